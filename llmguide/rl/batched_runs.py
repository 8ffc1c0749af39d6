"""The run loop of many jobs as one batch on any device: networks, accounts and replays all live there.

Everything that chance or the calendar decides - where episodes begin, when they end, which steps explore, which
transitions are drawn - depends on no network. It is computed ahead for a stretch of steps on the processor (`_Stretch`)
and copied over once; between two stretches nothing waits for the device.

All jobs of a batch have taken the same number of steps. They differ in length; one that has finished leaves the batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.compiling import njit
from llmguide.rl import batched_account
from llmguide.rl.batched_dqn import BatchedLearner, Transitions
from llmguide.rl.double_dqn import named_weights
from llmguide.rl.experience import Memory
from llmguide.rl.network import Layout
from llmguide.rl.noise import Keys, choose, draw_batch
from llmguide.rl.runs import (
    TICK,
    EpisodeEnd,
    Event,
    Job,
    Point,
    Resumed,
    Tick,
    chance_of_exploring,
    episode_starts,
    updates_after,
)
from llmguide.rl.state import TrainingState, load_state, save_state
from llmguide.trading.account import FLAT

__all__ = ["train_batched"]


def train_batched(jobs: Sequence[Job], device: torch.device, *, save_every: int) -> Generator[Event, None, None]:
    """Train all jobs; those that can share a batch do.

    Jobs share a batch where their settings, the width of their observation and, if they were interrupted, the steps
    taken so far are the same; instruments may differ. Closing the generator saves the state of the jobs in training.
    """
    groups: dict[tuple[object, ...], list[tuple[Job, TrainingState | None]]] = defaultdict(list)
    for job in jobs:
        state = load_state(job)
        if state is not None and state.episode == job.episodes:  # interrupted before anybody took its weights
            yield Resumed(job, state.episode, state.step)
            yield _finished(job, state)
            continue
        groups[job.course.config, job.course.inputs, state.step if state else 0].append((job, state))
    for group in groups.values():
        batch = _BatchedRuns(group, device)
        try:
            yield from batch.events(save_every)
        finally:
            batch.save()


def _finished(job: Job, state: TrainingState) -> EpisodeEnd:
    layout = Layout(job.course.inputs, job.course.config.hidden, job.course.config.actions)
    weights = named_weights(layout, torch.from_numpy(state.learner.flat), state.learner.running)
    return EpisodeEnd(job, state.episode, state.learner.updates, weights, state.curve)


class _Markets(NamedTuple):
    """The courses of a batch, each padded to the longest, on the device."""

    prices: Tensor  # (courses, bars) float64
    rows: Tensor  # (courses, bars - lookback + 1, inputs)
    bars: Tensor  # (courses,) int64
    lookback: int
    side_column: int
    bonus: Tensor  # (courses, bars) float64
    month: Tensor  # (courses, bars + 1) int64

    @classmethod
    def of(cls, jobs: Sequence[Job], device: torch.device) -> tuple[_Markets, Tensor]:
        """Stack the courses of some jobs; also returns each job's position among them, shape ``(jobs,)``."""
        courses = list({id(job.course): job.course for job in jobs}.values())
        position = {id(course): i for i, course in enumerate(courses)}
        bars, market = max(course.bars for course in courses), courses[0].market
        prices = np.ones((len(courses), bars))
        rows = np.zeros((len(courses), bars - market.lookback + 1, courses[0].inputs), dtype=np.float32)
        bonus, month = np.zeros((len(courses), bars)), np.zeros((len(courses), bars + 1), dtype=np.int64)
        for i, course in enumerate(courses):
            prices[i, : course.bars] = course.prices
            rows[i, : len(course.rows)] = course.rows
            bonus[i, : course.bars] = course.market.bonus
            month[i, : course.bars + 1] = course.market.month
        lengths = torch.tensor([course.bars for course in courses], device=device)
        stacked = cls(
            torch.from_numpy(prices).to(device),
            torch.from_numpy(rows).to(device),
            lengths,
            market.lookback,
            market.side_column,
            torch.from_numpy(bonus).to(device),
            torch.from_numpy(month).to(device),
        )
        return stacked, torch.tensor([position[id(job.course)] for job in jobs], device=device)

    def observe(
        self, course: Tensor, bar: Tensor, side: Tensor, taus: Tensor | None, run: Tensor, episode: Tensor
    ) -> Tensor:
        """Return the observations for decisions at these bars: any shape -> the same with the inputs behind.

        `taus`, shape ``(runs, episodes, months)``, is what each run observes of the guidance where that is not in the
        rows.
        """
        rows = self.rows[course, bar - self.lookback]
        rows[..., self.side_column] = side.to(rows.dtype)
        if taus is not None:
            rows[..., self.side_column + 1] = taus[run, episode, self.month[course, bar]]
        return rows


@dataclass(frozen=True)
class _Stretch:
    """What chance and the calendar say about the next steps; each of shape ``(steps, runs)``, on the device.

    Attributes:
        bar: where each run stands.
        episode: in which of its episodes, from 0.
        begins: whether it begins an episode there.
        explore, sticky, action: see `llmguide.rl.noise.Choice`, compared with their chances.
        picks: transitions to draw, shape ``(steps, runs, batch)``; of no use before enough are stored.
    """

    bar: Tensor
    episode: Tensor
    begins: Tensor
    explore: Tensor
    sticky: Tensor
    action: Tensor
    picks: Tensor


class _BatchedRuns:
    """Jobs in training, one row each."""

    def __init__(self, group: Sequence[tuple[Job, TrainingState | None]], device: torch.device) -> None:
        self.jobs = [job for job, _ in group]
        self.device = device
        self.config = self.jobs[0].course.config
        self.markets, self.course = _Markets.of(self.jobs, device)
        keys = [Keys.of(job.seed) for job in self.jobs]
        self.choices = np.array([key.choices for key in keys], dtype=np.uint64)
        self.learner = BatchedLearner(self.jobs[0].course.inputs, self.config, keys, device)
        self.calendar = [_Calendar(job) for job in self.jobs]
        self.curves: list[tuple[Point, ...]] = [()] * len(group)
        runs = len(group)
        longest = max(calendar.steps for calendar in self.calendar)
        self.taus = self._taus()
        self.capacity = min(self.config.replay, self.config.actions * longest)
        self.memory = [
            torch.from_numpy(np.zeros((runs, self.capacity), dtype=array.dtype)).to(device) for array in Memory.empty(0)
        ]
        self.side, self.shares = (torch.zeros(runs, dtype=torch.float64, device=device) for _ in range(2))
        self.cash = torch.full((runs,), self.config.cash, dtype=torch.float64, device=device)
        self.previous = torch.zeros(runs, dtype=torch.int8, device=device)
        self.step = 0
        for row, (_, state) in enumerate(group):
            if state is not None:
                self._restore(row, state)

    def events(self, save_every: int) -> Generator[Event, None, None]:
        """Train every run to its end."""
        for job, calendar in zip(self.jobs, self.calendar, strict=True) if self.step else ():
            yield Resumed(job, calendar.ended(self.step), self.step)
        between_saves = save_every * max(int(self.markets.bars.max()) // 2, 1)
        saved = self.step
        while self.jobs:
            steps = self._steps_until_something_happens()
            self._take_steps(steps)
            yield Tick(steps * len(self.jobs))
            yield from self._episode_ends(self.step - steps)
            if self.jobs and self.step - saved >= between_saves:
                self.save()
                saved = self.step

    def save(self) -> None:
        """Save the state of every run whose job has a file for it."""
        for row, job in enumerate(self.jobs):
            if job.state is not None:
                save_state(job, self._state(row))

    def _steps_until_something_happens(self) -> int:
        """Return how many steps to take before a run leaves, is to be measured, or progress is reported."""
        ends = [
            calendar.next_end(self.step) if job.measure is not None else calendar.steps
            for job, calendar in zip(self.jobs, self.calendar, strict=True)
        ]
        return min(TICK, min(ends) - self.step)

    def _take_steps(self, count: int) -> None:
        stretch = self._look_ahead(count)
        for i in range(count):
            self._take_step(stretch, i)

    def _take_step(self, stretch: _Stretch, i: int) -> None:
        begins, bar, learner, config = stretch.begins[i], stretch.bar[i], self.learner, self.config
        self.side = torch.where(begins, 0.0, self.side)
        self.shares = torch.where(begins, 0.0, self.shares)
        self.cash = torch.where(begins, config.cash, self.cash)
        self.previous = torch.where(begins, 0, self.previous)

        episode, rows = stretch.episode[i], torch.arange(len(self.jobs), device=self.device)
        greedy = learner.act(self.markets.observe(self.course, bar, self.side, self.taus, rows, episode))
        action = torch.where(stretch.sticky[i], self.previous, greedy)
        action = torch.where(stretch.explore[i], stretch.action[i], action)
        price, before = self.markets.prices[self.course, bar], self.markets.prices[self.course, bar - 1]
        account, flat = (self.side, self.shares, self.cash), config.actions == 3
        for turn in range(config.actions):
            tried = action if turn == 0 else torch.where(action < turn, turn, turn - 1)
            decision = torch.where(tried == 2, FLAT, tried) if flat else tried
            side, shares, cash, reward = batched_account.transition(
                *account, decision, price, before, config.cost, flat=flat
            )
            slot = (config.actions * self.step + turn) % self.capacity
            shaped = reward.clamp(-config.reward_clip, config.reward_clip)
            if config.agreement:
                shaped = shaped + (_side_of(tried) * self.markets.bonus[self.course, bar]).clamp(min=0.0)
            for memory, values in zip(self.memory, (bar, account[0], tried, shaped, episode), strict=True):
                memory[:, slot] = values.to(memory.dtype)
            if turn == 0:
                self.side, self.shares, self.cash = side, shares, cash
        self.previous = action
        self.step += 1
        if config.actions * self.step >= config.batch:
            learner.update(self._draw(stretch.picks[i]))
            if learner.updates % config.target_update == 0:
                learner.copy_to_target()

    def _draw(self, picks: Tensor) -> Transitions:
        """Look up the transitions of a batch, ``(runs, batch)`` each."""
        bar, side, action, reward, episode = (memory.gather(1, picks) for memory in self.memory)
        bar, course = bar.to(torch.int64), self.course[:, None].expand_as(picks)
        run = torch.arange(len(picks), device=self.device)[:, None].expand_as(picks)
        context = self.taus, run, episode.to(torch.int64)
        return Transitions(
            s_tm1=self.markets.observe(course, bar, side, *context),
            a_tm1=action.to(torch.int64),
            r_t=reward,
            live_t=(bar + 1 < self.markets.bars[course]).to(torch.float32),
            s_t=self.markets.observe(course, bar + 1, _side_of(action), *context),
        )

    def _taus(self) -> Tensor | None:
        """Return what each run observes of the guidance (see `llmguide.rl.course.Course.taus`); None: its rows."""
        tables = [job.course.taus(Keys.of(job.seed).sizes, job.episodes) for job in self.jobs]
        if not any(table.size for table in tables):
            return None
        shape = tuple(np.max([table.shape for table in tables], axis=0))
        stacked = np.zeros((len(tables), *shape), dtype=np.float32)
        for row, table in zip(stacked, tables, strict=True):
            row[: table.shape[0], : table.shape[1]] = table
        return torch.from_numpy(stacked).to(self.device)

    def _look_ahead(self, count: int) -> _Stretch:
        """Compute a stretch and copy it to the device."""
        runs, batch = len(self.jobs), self.config.batch
        draws, picks = np.empty((count, runs, 3)), np.zeros((count, runs, batch), dtype=np.int64)
        _draw_ahead(self.choices, self.step, self.capacity, self.config.actions, draws, picks)
        calendar = [entry.at(self.step, count) for entry in self.calendar]
        epsilon = np.array([chance_of_exploring(self.config, self.step + i) for i in range(count)])[:, None]
        return _Stretch(
            *(
                torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
                for array in (
                    *(np.stack(part, axis=1) for part in zip(*calendar, strict=True)),
                    draws[..., 0] <= epsilon,
                    draws[..., 1] <= self.config.sticky,
                    draws[..., 2].astype(np.int8),
                    picks,
                )
            )
        )

    def _episode_ends(self, since: int) -> Generator[Event, None, None]:
        """Report the episodes that ended after step `since`; runs whose last one it was leave."""
        staying = []
        for row, (job, calendar) in enumerate(zip(self.jobs, self.calendar, strict=True)):
            ended = calendar.ended(self.step)
            for episode in range(calendar.ended(since) + 1, ended + 1):
                last = episode == job.episodes
                updates = updates_after(self.config, calendar.steps_until_end(episode))
                if job.measure is not None:
                    point = {"episode": episode, "updates": updates}
                    self.curves[row] += (point | job.measure(self.learner.weights(row)),)
                if last and job.state is not None:  # before the event: what a caller has seen is never lost
                    save_state(job, self._state(row))
                weights = self.learner.weights(row) if last else None
                yield EpisodeEnd(job, episode, updates, weights, self.curves[row])
            if ended < job.episodes:
                staying.append(row)
        if len(staying) < len(self.jobs):
            self._keep(staying)

    def _keep(self, staying: list[int]) -> None:
        """Go on with only these rows."""
        self.jobs = [self.jobs[row] for row in staying]
        self.calendar = [self.calendar[row] for row in staying]
        self.curves = [self.curves[row] for row in staying]
        self.choices = self.choices[staying]
        rows = torch.tensor(staying, dtype=torch.int64, device=self.device)
        self.learner.keep(rows)
        self.memory = [memory[rows] for memory in self.memory]
        self.taus = None if self.taus is None else self.taus[rows]
        for name in ("course", "side", "shares", "cash", "previous"):
            setattr(self, name, getattr(self, name)[rows])

    def _state(self, row: int) -> TrainingState:
        calendar, stored = self.calendar[row], min(self.config.actions * self.step, self.capacity)
        over = self.step == calendar.steps
        bars, _, begins = calendar.at(self.step - over, 1)
        fresh = bool(begins[0]) and not over  # the account is only set back when an episode's first step is taken
        account = (
            [0.0, 0.0, self.config.cash] if fresh else [float(x[row]) for x in (self.side, self.shares, self.cash)]
        )
        return TrainingState(
            self.learner.state(row),
            Memory._make(memory[row, :stored].cpu().numpy() for memory in self.memory),
            np.array(account),
            self.step,
            calendar.ended(self.step),
            int(bars[0]) + over,
            0 if fresh else int(self.previous[row]),
            self.curves[row],
        )

    def _restore(self, row: int, state: TrainingState) -> None:
        self.learner.restore(row, state.learner)
        stored = len(state.memory.bar)
        for ours, theirs in zip(self.memory, state.memory, strict=True):
            ours[row, :stored] = torch.from_numpy(theirs).to(self.device)
        self.side[row], self.shares[row], self.cash[row] = (float(number) for number in state.account)
        self.previous[row] = state.previous
        self.curves[row] = state.curve
        self.step = state.step


class _Calendar:
    """Which bar a run is at after so many steps; known from the beginning."""

    def __init__(self, job: Job) -> None:
        self._starts = episode_starts(job)
        self._ends = np.cumsum(job.course.bars - self._starts)  # steps taken when each episode is over

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return int(self._ends[-1])

    def ended(self, step: int) -> int:
        """Return how many episodes are over after so many steps."""
        return int(np.searchsorted(self._ends, step, side="right"))

    def steps_until_end(self, episode: int) -> int:
        """Return the number of steps after which an episode, from 1, is over."""
        return int(self._ends[episode - 1])

    def next_end(self, step: int) -> int:
        """Return the number of steps after which the next episode is over."""
        return self.steps_until_end(self.ended(step) + 1)

    def at(self, step: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Return bars and episodes of the next steps, and which of them begin an episode; shape ``(count,)``."""
        steps = np.arange(step, step + count)
        episode = np.searchsorted(self._ends, steps, side="right")
        begun = np.concatenate([[0], self._ends])[episode]
        return self._starts[episode] + steps - begun, episode, steps == begun


def _side_of(action: Tensor) -> Tensor:
    """Return the side that each action takes (see `llmguide.trading.account.ACTIONS`)."""
    return torch.where(action == 2, 0, 2 * action - 1)


@njit(cache=True)
def _draw_ahead(
    keys: NDArray[np.uint64],
    step: int,
    capacity: int,
    actions: int,
    draws: NDArray[np.float64],
    picks: NDArray[np.int64],
) -> None:
    """Fill in chance (explore, sticky, action) and the transitions to draw, for all steps and runs."""
    count, runs, batch = picks.shape
    for i in range(count):
        stored = min(actions * (step + i + 1), capacity)
        for run in range(runs):
            chance = choose(keys[run], step + i, batch, actions)
            draws[i, run, 0], draws[i, run, 1], draws[i, run, 2] = chance.explore, chance.sticky, chance.action
            if stored >= batch:
                draw_batch(keys[run], step + i, stored, picks[i, run])
