"""The run loop: many seeds step through their own episodes side by side.

A generator, so that progress bars, curves and checkpoints stay outside. Runs differ in length, because every episode
starts at a random bar; one that has finished leaves the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from llmguide.rl.agent import Weights
from llmguide.rl.course import Course
from llmguide.rl.double_dqn import Learner
from llmguide.rl.noise import Streams
from llmguide.rl.replay import Replay
from llmguide.trading import account

__all__ = ["EpisodeEnd", "Tick", "planned_steps", "train_runs"]

TICK = 50
"""Steps between two reports of progress."""


@dataclass(frozen=True)
class Tick:
    """Steps taken by all seeds together since the last report."""

    steps: int


@dataclass(frozen=True)
class EpisodeEnd:
    """One seed reached the last bar.

    Attributes:
        seed: which one.
        episode: number of the episode that ended, from 1.
        updates: gradient steps the seed has taken so far.
        weights: its policy network now.
        finished: whether this was its last episode.
    """

    seed: int
    episode: int
    updates: int
    weights: Weights
    finished: bool


def draw_starts(streams: Streams, course: Course, episodes: int) -> NDArray[np.int64]:
    """Draw the bar of each episode's first decision: uniform over the bars, but with a whole observation behind it."""
    return np.maximum(streams.choices.integers(course.bars, size=episodes), course.config.lookback)


def planned_steps(course: Course, seeds: Sequence[int], episodes: int) -> int:
    """Return the exact number of steps that these seeds will take together."""
    return sum(int((course.bars - draw_starts(Streams(seed), course, episodes)).sum()) for seed in seeds)


class _Accounts:
    """Where each active seed stands."""

    def __init__(self, seeds: Sequence[int], course: Course, episodes: int) -> None:
        self.course = course
        self.seeds = np.array(seeds)
        self.streams = [Streams(seed) for seed in seeds]
        self.starts = np.stack([draw_starts(stream, course, episodes) for stream in self.streams])  # (seeds, episodes)
        count = len(self.seeds)
        self.episode = np.zeros(count, dtype=np.int64)
        self.bar = self.starts[:, 0].copy()
        self.side, self.shares, self.cash = np.zeros(count), np.zeros(count), np.full(count, course.config.cash)
        self.previous = np.zeros(count, dtype=np.int8)  # the last action, which a sticky step repeats

    def begin(self, row: int) -> None:
        """Start the next episode of one seed."""
        self.episode[row] += 1
        self.bar[row] = self.starts[row, self.episode[row]]
        self.side[row], self.shares[row], self.cash[row] = 0.0, 0.0, self.course.config.cash
        self.previous[row] = 0

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with only these seeds."""
        self.streams = [self.streams[row] for row in rows]
        for name in ("seeds", "starts", "episode", "bar", "side", "shares", "cash", "previous"):
            setattr(self, name, getattr(self, name)[rows])


def train_runs(
    course: Course, seeds: Sequence[int], episodes: int, device: torch.device
) -> Iterator[Tick | EpisodeEnd]:
    """Train every seed for `episodes` episodes; yields progress, and each seed's network after each of its episodes.

    A seed's numbers depend on the seed alone, not on the seeds beside it (`docs/method.md` says where that ends).
    """
    config = course.config
    runs = _Accounts(seeds, course, episodes)
    learner = Learner(course.inputs, config, runs.streams, device)
    replay = Replay(len(runs.seeds), config.replay)
    rewards = np.empty((len(runs.seeds), 2))
    step = ticked = 0
    while len(runs.seeds):
        action = _choose(runs, learner, step)
        bar, side = runs.bar.copy(), runs.side.astype(np.int8)
        account.advance(runs.side, runs.shares, runs.cash, runs.bar, action, course.prices, config.cost, rewards)
        clipped = np.clip(rewards, -config.reward_clip, config.reward_clip).astype(np.float32)
        rows = np.arange(len(action))
        for chosen in (action, (1 - action).astype(np.int8)):
            replay.add(bar, side, chosen, clipped[rows, chosen])
        if len(replay) >= config.batch:
            batch = replay.sample([stream.choices for stream in runs.streams], config.batch)
            learner.update(course.transitions(batch))
            if learner.updates % config.target_update == 0:
                learner.copy_to_target()
        runs.previous = action
        runs.bar += 1
        step += 1
        ticked += len(rows)
        if step % TICK == 0:
            yield Tick(ticked)
            ticked = 0

        over = np.flatnonzero(runs.bar == course.bars)
        last = runs.episode[over] + 1 == episodes
        for row, finished in zip(over, last, strict=True):
            weights = learner.weights(int(row))
            yield EpisodeEnd(int(runs.seeds[row]), int(runs.episode[row]) + 1, learner.updates, weights, bool(finished))
            if not finished:
                runs.begin(int(row))
        if last.any():
            rows = np.delete(rows, over[last])
            runs.keep(rows)
            learner.keep(rows)
            replay = replay.keep(rows)
            rewards = np.empty((len(rows), 2))
    yield Tick(ticked)


def _choose(runs: _Accounts, learner: Learner, step: int) -> NDArray[np.int8]:
    """Return each seed's action: random with probability epsilon, else sticky or greedy."""
    config = learner.config
    epsilon = config.epsilon_end + (config.epsilon_start - config.epsilon_end) * math.exp(-step / config.epsilon_decay)
    # Three numbers each, needed or not: a seed's stream must not depend on what was decided.
    draws = np.stack([stream.choices.random(3) for stream in runs.streams])  # (seeds, 3)
    explore, sticky = draws[:, 0] <= epsilon, draws[:, 1] <= config.sticky
    action = (draws[:, 2] < 0.5).astype(np.int8)
    if not (explore | sticky).all():
        greedy = learner.act(runs.course.observe(runs.bar, runs.side.astype(np.int8)))
        action = np.where(explore, action, greedy)
    return np.where(sticky & ~explore, runs.previous, action).astype(np.int8)
