"""Each run in a process of its own, all of them begun from the same state.

A strategy may keep what it computed in its class or module, and so carry the future from one run into the next. So each
run is a fork of this process, in which nothing of it has run: it starts with what importing it has left, and what it
leaves is gone with it. Forking costs milliseconds, where a new interpreter would import Backtrader, pandas and the
strategy's own libraries again, a second or more for each of a dozen runs. Files that a strategy writes are not undone.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from llmguide.audit.trace import Failure, Trace
from llmguide.errors import AuditError

__all__ = ["Job", "failure_of", "run_apart"]

Job = Callable[[], Trace]
PINNED = 20_110_921
"""Seed of what a run draws without a seed of its own, so that two runs draw the same."""


def run_apart(jobs: Sequence[tuple[Job, bool]], *, workers: int | None = None, timeout: float = 300.0) -> list[Trace]:
    """Run jobs side by side, each in a fork of this process, and return what they say, in their order.

    Args:
        jobs: functions, and for each whether what it draws without a seed is pinned.
        workers: how many at once; as many as there are processors by default.
        timeout: seconds after which a run is ended; it counts as failed.

    Raises:
        AuditError: on systems that cannot fork.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise AuditError("an audit forks a process for each run, which this system cannot do; use Linux, macOS or WSL")
    most = workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])
    answers: list[Trace | None] = [None] * len(jobs)
    waiting = list(range(len(jobs)))
    running: dict[Connection, tuple[int, BaseProcess, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                place = waiting.pop(0)
                receiver, process = _start(*jobs[place])
                running[receiver] = (place, process, time.monotonic() + timeout)
            left = min(until for _, _, until in running.values()) - time.monotonic()
            for ready in wait(list(running), timeout=max(0.0, left)):
                assert isinstance(ready, Connection)
                place, process, _ = running.pop(ready)
                answers[place] = _received(ready, process)
            for receiver in [key for key, (_, _, until) in running.items() if until <= time.monotonic()]:
                place, process, _ = running.pop(receiver)
                _end(receiver, process)
                answers[place] = Trace(failure=Failure("timeout", f"the run took more than {timeout:g} seconds", ""))
    finally:
        for receiver, (_, process, _) in running.items():
            _end(receiver, process)
    return [answer for answer in answers if answer is not None]


def _start(job: Job, pinned: bool) -> tuple[Connection, BaseProcess]:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_run, args=(job, pinned, sender), daemon=False)
    process.start()
    sender.close()
    return receiver, process


def _received(receiver: Connection, process: BaseProcess) -> Trace:
    try:
        answer = pickle.loads(receiver.recv_bytes())  # from a fork of this very process
    except EOFError:
        process.join()
        answer = Trace(failure=Failure("crash", f"the run's process ended with exit code {process.exitcode}", ""))
    process.join()
    receiver.close()
    assert isinstance(answer, Trace)
    return answer


def _end(receiver: Connection, process: BaseProcess) -> None:
    process.kill()
    process.join()
    receiver.close()


def _run(job: Job, pinned: bool, sender: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process lives
    warnings.simplefilter("ignore")  # those of changed bars mean nothing, and are no error where the caller's are
    (_pin if pinned else _unpin)()
    try:
        answer = job()
    except BaseException as error:  # SystemExit too: a script may end by it
        answer = Trace(failure=failure_of(error))
    sender.send_bytes(pickle.dumps(answer))
    sender.close()


def _pin() -> None:
    """Let everything that is drawn without a seed be the same in each run."""
    random.seed(PINNED)
    np.random.seed(PINNED % 2**32)  # noqa: NPY002  # what is drawn from numpy's own generator
    numbers = iter(range(PINNED, 2 * PINNED))
    made: Callable[..., Any] = np.random.default_rng

    def pinned_rng(seed: Any = None) -> Any:
        return made(next(numbers) if seed is None else seed)

    np.random.default_rng = pinned_rng  # in this process only
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(PINNED)


def _unpin() -> None:
    """Draw what is drawn without a seed anew: a fork would repeat what its siblings draw."""
    random.seed()
    np.random.seed()  # noqa: NPY002  # what is drawn from numpy's own generator
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


def failure_of(error: BaseException) -> Failure:
    """Return an exception as a value, with the innermost place that is not in a library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and __package__ not in _room(frame)]
    last = (own or list(frames))[-1:]
    where = "".join(f"{os.path.basename(frame.filename)}, line {frame.lineno}" for frame in last)
    return Failure(type(error).__name__, str(error), where)


def _room(frame: traceback.FrameSummary) -> str:
    return frame.filename.replace(os.sep, ".")
