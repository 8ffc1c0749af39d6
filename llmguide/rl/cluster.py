"""Train jobs on a Ray cluster (extra `cluster`).

Workers keep nothing. After every episode a worker says how far it is, and whenever it saves the state of a job it hands
over the bytes, which become the job's file here. So jobs whose worker was lost, and a command that was interrupted, go
on from the same files as training on one machine, with the same bits.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from llmguide._version import __version__
from llmguide.errors import ModelError
from llmguide.files import atomic_path
from llmguide.rl.agent import Agent, Weights
from llmguide.rl.connection import connected, reason
from llmguide.rl.parallel import train_jobs
from llmguide.rl.progress import TrainingBar
from llmguide.rl.runs import EpisodeEnd, Event, Job, Point, Resumed, Tick, episode_starts
from llmguide.rl.state import STATE_SUFFIX, load_state
from llmguide.rl.training import Lesson, check_episodes, deliver

__all__ = ["train_on_cluster"]

RETRIES = 3
"""How often a block of jobs is given to another worker."""


def train_on_cluster(
    jobs: Mapping[Job, Lesson],
    *,
    address: str = "auto",
    device: str = "auto",
    progress: TrainingBar | bool = True,
    title: str = "training",
    announce: Callable[[str], None] | None = None,
) -> Generator[tuple[Job, Agent], None, None]:
    """Train jobs as `llmguide.rl.training.train_agents` does, on the workers of a Ray cluster.

    A job's state is kept until the caller comes back for the next agent: store the agent before that. A lost worker is
    replaced, and so is a lost machine; but where Ray itself dies on this machine, it ends this process (exit code 1).

    Args:
        jobs: each job and its lesson.
        address: HOST:PORT of a cluster that this machine belongs to; or "auto": the one that RAY_ADDRESS or an earlier
            `ray start` names, else a local Ray on the cores of this machine, which is shut down at the end.
        device: "cpu"; "cuda" for all seeds of a lesson as one batch on one GPU; or "auto": GPUs where there are any.
        progress: show a bar on a terminal or in a notebook; or an existing one to continue.
        title: what stands in front of the bar.
        announce: called with one line on which cluster it is, and on every worker that was lost.

    Raises:
        MissingExtra: Ray is not installed.
        ModelError: no cluster answers; it has no GPU, or other versions of what computes; a state cannot be gone on
            with; or the workers of a block died again and again.
    """
    say = announce or (lambda line: None)
    check_episodes(jobs)
    with connected(address, say) as ray:
        place = _place(ray, device)
        yield from deliver(_train(ray, tuple(jobs), place, say), jobs, place, progress=progress, title=title)


class _Report(NamedTuple):
    """What a worker says after an episode: an `EpisodeEnd` whose job is a number among those of its course.

    Attributes:
        state: the content of the job's file, if it was saved since the last report.
    """

    number: int
    episode: int
    updates: int
    weights: Weights | None
    curve: tuple[Point, ...]
    state: bytes | None


@dataclass
class _Block:
    """Jobs of one course that one worker trains.

    Attributes:
        course: reference to all jobs of the course, pickled, in Ray's store.
        jobs: the unfinished ones, by their numbers there.
        losses: how many workers were lost over it.
    """

    course: Any
    jobs: dict[int, Job]
    losses: int = 0


def _train(
    ray: Any, jobs: Sequence[Job], place: torch.device, announce: Callable[[str], None]
) -> Generator[Event, None, None]:
    """Yield the events of all jobs, in the order in which they arrive; none twice, also where a block is repeated.

    Closing the generator cancels all tasks.
    """
    gpu = place.type == "cuda"
    train = ray.remote(_train_block).options(
        num_returns="streaming", num_cpus=1, num_gpus=int(gpu), max_retries=0, name="llmguide.train"
    )
    shown: dict[Job, int] = {}  # steps that were reported
    for job in jobs:
        state = load_state(job)  # here, where an error names the file that the user knows
        shown[job] = state.step if state else 0
        if state:
            yield Resumed(job, state.episode, state.step)

    def start(block: _Block) -> Any:
        states = {number: _content(job.state) for number, job in block.jobs.items()}
        return train.remote(_versions(), block.course, states, place.type)

    running: dict[Any, _Block] = {}
    try:
        for block in _blocks(ray, jobs, together=gpu):
            running[start(block)] = block
        while running:
            (stream,), _ = ray.wait(list(running), num_returns=1)
            block = running[stream]
            try:
                report: _Report = pickle.loads(ray.get(next(stream)))
            except StopIteration:
                del running[stream]
                continue
            except ray.exceptions.RayTaskError as error:  # our own code's, which Ray has wrapped
                raise _cause(error) from error
            except ray.exceptions.RayError as error:
                del running[stream]
                if block.jobs:
                    block.losses += 1
                    announce(_loss(block, error))
                    running[start(block)] = block
                continue
            job, steps = block.jobs[report.number], _steps_after(block.jobs[report.number], report.episode)
            if report.weights is not None:
                del block.jobs[report.number]
            elif report.state is not None and job.state is not None:
                with atomic_path(job.state) as temporary:
                    temporary.write_bytes(report.state)
            if steps > shown[job]:
                yield Tick(steps - shown[job])
            if steps > shown[job] or report.weights is not None:
                shown[job] = steps
                yield EpisodeEnd(job, report.episode, report.updates, report.weights, report.curve)
    finally:
        for stream in running:
            ray.cancel(stream)


def _blocks(ray: Any, jobs: Sequence[Job], *, together: bool) -> Iterator[_Block]:
    """Cut the jobs into blocks: all of a course together, or each alone."""
    courses: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        courses[id(job.course)].append(job)
    for group in courses.values():
        # Pickled here, so that workers get arrays of their own: Ray's are read-only, other types to the kernels.
        packed = ray.put(pickle.dumps(group))
        numbered = dict(enumerate(group))
        if together:
            yield _Block(packed, numbered)
        else:
            yield from (_Block(packed, {number: job}) for number, job in numbered.items())


def _train_block(
    versions: dict[str, str], course: bytes, states: dict[int, bytes | None], device: str
) -> Generator[bytes, None, None]:
    """Train some jobs of a course in a worker, one after the other or as one batch; yields pickled reports."""
    here = _versions()
    different = [
        f"{name} {here[name]} instead of {version}" for name, version in versions.items() if here[name] != version
    ]
    if different:
        raise ModelError(f"a worker of the Ray cluster has {', '.join(different)}; install the same on all machines")
    known: list[Job] = pickle.loads(course)
    with tempfile.TemporaryDirectory(prefix="llmguide-") as folder:
        jobs: dict[Job, int] = {}
        for number, state in states.items():
            job = known[number]
            if job.state is not None:
                job = replace(job, state=Path(folder) / f"{number}{STATE_SUFFIX}")
            if job.state is not None and state is not None:
                job.state.write_bytes(state)
            jobs[job] = number
        with closing(train_jobs(tuple(jobs), torch.device(device), workers=1)) as events:
            for event in events:
                if isinstance(event, EpisodeEnd):
                    number, state = jobs[event.job], _take(event.job.state)
                    yield pickle.dumps(_Report(number, event.episode, event.updates, event.weights, event.curve, state))


def _versions() -> dict[str, str]:
    """Return the versions of what computes; torch's without its build, which differs between CPUs and GPUs."""
    return {"llmguide": __version__, "torch": torch.__version__.split("+")[0], "numpy": np.__version__}


def _take(path: Path | None) -> bytes | None:
    """Return the content of a job's file and remove it; training may save the next one at any moment."""
    if path is None or not path.exists():
        return None
    return path.replace(path.with_suffix(".taken")).read_bytes()


def _content(path: Path | None) -> bytes | None:
    return None if path is None or not path.exists() else path.read_bytes()


def _steps_after(job: Job, episodes: int) -> int:
    """Return the steps that a job takes in its first episodes."""
    return int((job.course.bars - episode_starts(job)[:episodes]).sum())


def _loss(block: _Block, error: Exception) -> str:
    """Say that a worker was lost and where its jobs go on; raises ModelError where that has happened too often."""
    kind = type(error).__name__
    first, *others = block.jobs.values()
    named = f"{first.name} and {len(others)} more" if others else first.name
    if block.losses > RETRIES:
        raise ModelError(
            f"{block.losses} workers were lost over {named}, the last by {kind}: {reason(error)}; see Ray's logs"
        ) from error
    episode = min(state.episode if state else 0 for state in map(load_state, block.jobs.values()))
    return f"a worker was lost ({kind}); {named} resumes from episode {episode}"


def _cause(error: Any) -> Exception:
    """Return what was raised in a worker, out of its wrapping."""
    cause: Exception = error.cause
    if isinstance(cause, RuntimeError) and "failed to import" in str(cause):
        return ModelError(
            f"a worker of the Ray cluster cannot load llmguide ({reason(cause)}); install it on all its machines"
        )
    return cause


def _place(ray: Any, device: str) -> torch.device:
    """Return the kind of device to train on."""
    if device not in ("auto", "cpu", "cuda"):
        raise ModelError(f"expected device to be 'auto', 'cpu' or 'cuda', got {device!r}")
    gpus = ray.cluster_resources().get("GPU", 0)
    if device == "cuda" and not gpus:
        raise ModelError("device 'cuda' was requested, but the Ray cluster has no GPU; use 'cpu' or 'auto'")
    return torch.device("cuda" if gpus and device != "cpu" else "cpu")
