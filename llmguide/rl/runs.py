"""The vocabulary of training: a job is one agent to train, events tell what has happened to it.

`llmguide.rl.solo` trains one job on one core, `llmguide.rl.batched_runs` many of them as one batch on any device,
`llmguide.rl.parallel` spreads jobs over a machine, and `llmguide.rl.cluster` over a Ray cluster. All are generators of
these events, so that progress bars and stores stay outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmguide.rl.agent import Weights
from llmguide.rl.config import DQNConfig
from llmguide.rl.course import Course
from llmguide.rl.noise import Keys, draw_starts

__all__ = [
    "EpisodeEnd",
    "Event",
    "Job",
    "Point",
    "Resumed",
    "Tick",
    "chance_of_exploring",
    "episode_starts",
    "planned_steps",
    "updates_after",
]

TICK = 50
"""Steps between two reports of progress."""

Point = dict[str, Any]
"""What was measured after one episode: ``episode``, ``updates``, and Sharpe ratios."""


@dataclass(frozen=True, eq=False)
class Job:
    """One agent to train.

    Attributes:
        name: says which one it is, in events and errors.
        course: what it trains on.
        seed: all its randomness.
        episodes: walks through the course.
        measure: called with the network after every episode; what it returns joins the job's curve.
        state: the file in which training keeps its state from time to time, or None. It is removed at the end.
    """

    name: str
    course: Course
    seed: int
    episodes: int
    measure: Callable[[Weights], Point] | None = None
    state: Path | None = None


@dataclass(frozen=True)
class Tick:
    """Steps taken since the last report, by all jobs that are trained together."""

    steps: int


@dataclass(frozen=True)
class Resumed:
    """A job goes on from its state: so many episodes and steps were behind it."""

    job: Job
    episodes: int
    steps: int


@dataclass(frozen=True)
class EpisodeEnd:
    """A job reached the last bar.

    Attributes:
        job: which one.
        episode: number of the episode that ended, from 1.
        updates: gradient steps taken so far.
        weights: the policy network after the last episode, else None.
        curve: a point for every episode so far, where the job measures.
    """

    job: Job
    episode: int
    updates: int
    weights: Weights | None
    curve: tuple[Point, ...]


Event = Tick | Resumed | EpisodeEnd


def episode_starts(job: Job) -> NDArray[np.int64]:
    """Return the bar of each episode's first decision, shape ``(episodes,)``."""
    return draw_starts(Keys.of(job.seed).starts, job.episodes, job.course.bars, job.course.config.lookback)


def planned_steps(jobs: Iterable[Job]) -> int:
    """Return the exact number of steps that these jobs take together."""
    return sum(int((job.course.bars - episode_starts(job)).sum()) for job in jobs)


def chance_of_exploring(config: DQNConfig, step: int) -> float:
    """Return epsilon at a step, from 0."""
    fall = math.exp(-step / config.epsilon_decay)
    return config.epsilon_end + (config.epsilon_start - config.epsilon_end) * fall


def updates_after(config: DQNConfig, steps: int) -> int:
    """Return the gradient steps taken in so many steps: one each, as soon as the replay holds a batch.

    Each step stores a transition for every action.
    """
    return max(0, steps - math.ceil(config.batch / config.actions) + 1)
