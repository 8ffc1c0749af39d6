"""Train seeds on all cores, or all of them at once on a GPU.

On a processor every seed trains alone on one thread, as many side by side as there are cores: its arithmetic needs no
communication, releases Python's lock, and has the same bits whatever the number of cores. On a GPU all seeds train as
one batched network (see `llmguide.rl.runs`).
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from llmguide.rl.course import Course
from llmguide.rl.runs import EpisodeEnd, Tick, train_runs

__all__ = ["cores", "train_seeds"]

Event = Tick | EpisodeEnd


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def train_seeds(
    course: Course, seeds: Sequence[int], episodes: int, device: torch.device, *, workers: int | None = None
) -> Iterator[Event]:
    """Yield the events of `train_runs` for all seeds, in the order in which they happen.

    Closing the generator, or an exception at a `yield` (Ctrl-C), stops all workers within a few steps.
    """
    if device.type != "cpu":
        yield from train_runs(course, seeds, episodes, device)
        return
    with _one_thread_each():
        yield from _side_by_side(course, seeds, episodes, device, workers or cores())


def _side_by_side(
    course: Course, seeds: Sequence[int], episodes: int, device: torch.device, workers: int
) -> Iterator[Event]:
    events: queue.Queue[Event | BaseException | None] = queue.Queue()
    stop = threading.Event()

    def train(seed: int) -> None:
        try:
            for event in train_runs(course, [seed], episodes, device):
                if stop.is_set():
                    return
                events.put(event)
        except BaseException as error:  # handed to the caller, who raises it
            events.put(error)
        finally:
            events.put(None)

    with ThreadPoolExecutor(
        max_workers=min(workers, len(seeds)),
        thread_name_prefix="llmguide",
        initializer=torch.set_num_threads,  # a new thread begins with OpenMP's own number
        initargs=(1,),
    ) as pool:
        try:
            for seed in seeds:
                pool.submit(train, seed)
            running = len(seeds)
            while running:
                event = events.get()
                if event is None:
                    running -= 1
                elif isinstance(event, BaseException):
                    raise event
                else:
                    yield event
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep torch from splitting small operations over threads: waiting for each other costs more than it gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
