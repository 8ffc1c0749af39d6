"""Train jobs on all cores, or all of them at once on a GPU.

On a processor every job trains alone on one thread, as many side by side as there are cores: its arithmetic needs no
communication, releases Python's lock, and has the same bits whatever the number of cores. On a GPU all jobs train as
one batch (see `llmguide.rl.batched_runs`).
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from llmguide.rl.runs import Event, Job
from llmguide.rl.solo import SoloRun

__all__ = ["SAVE_EVERY", "cores", "train_jobs"]

SAVE_EVERY = 5
"""Episodes between two saves of a job's state."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def train_jobs(
    jobs: Sequence[Job], device: torch.device, *, workers: int | None = None, save_every: int = SAVE_EVERY
) -> Generator[Event, None, None]:
    """Yield the events of all jobs, in the order in which they happen.

    Jobs that have a state go on from it. Closing the generator, or an exception in it (Ctrl-C), stops all workers
    within a few steps; each saves its job's state first. A job's file is left to the caller, who removes it
    (`llmguide.rl.state.remove_state`) when the finished agent is in a safe place.
    """
    if device.type != "cpu":
        from llmguide.rl.batched_runs import train_batched

        yield from train_batched(jobs, device, save_every=save_every)
        return
    with _one_thread_each():
        yield from _side_by_side(jobs, workers or cores(), save_every)


def _side_by_side(jobs: Sequence[Job], workers: int, save_every: int) -> Generator[Event, None, None]:
    events: queue.Queue[Event | BaseException | None] = queue.Queue()
    stop = threading.Event()

    def train(job: Job) -> None:
        try:
            run = SoloRun(job)
            for event in run.events(save_every):
                events.put(event)
                if stop.is_set():
                    if not run.done:
                        run.save()
                    return
        except BaseException as error:  # handed to the caller, who raises it
            events.put(error)
        finally:
            events.put(None)

    with ThreadPoolExecutor(
        max_workers=min(workers, len(jobs)),
        thread_name_prefix="llmguide",
        initializer=torch.set_num_threads,  # a new thread begins with OpenMP's own number
        initargs=(1,),
    ) as pool:
        try:
            for job in jobs:
                pool.submit(train, job)
            running = len(jobs)
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
