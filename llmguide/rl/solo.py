"""The run loop of one job on one core."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from llmguide.rl.double_dqn import Learner
from llmguide.rl.experience import Batch, Memory, live
from llmguide.rl.noise import Keys
from llmguide.rl.runs import TICK, EpisodeEnd, Event, Job, Point, Resumed, Tick, chance_of_exploring, episode_starts
from llmguide.rl.state import TrainingState, load_state, save_state

__all__ = ["SoloRun"]


class SoloRun:
    """One job in training. Its numbers depend on the job alone.

    Attributes:
        job: see there.
        keys: the random streams.
        learner: networks and optimiser.
        memory: the replay.
        batch: what was last drawn from it.
        account: side, shares, cash.
    """

    def __init__(self, job: Job) -> None:
        config = job.course.config
        self.job = job
        self.keys = Keys.of(job.seed)
        self._starts = episode_starts(job)
        self.learner = Learner(job.course.inputs, config, self.keys)
        self.memory = Memory.empty(config.replay)
        self.batch = Batch.empty(config.batch, job.course.inputs)
        self.account = np.array([0.0, 0.0, config.cash])
        self._taus = job.course.taus(self.keys.sizes, job.episodes)
        self._step = self._episode = self._previous = 0
        self._bar = int(self._starts[0])
        self._curve: tuple[Point, ...] = ()
        self._restore(load_state(job))

    @property
    def done(self) -> bool:
        """Whether the last episode is over."""
        return self._episode == self.job.episodes

    def events(self, save_every: int) -> Generator[Event, None, None]:
        """Train to the end.

        Where the job has a file for it, the state is saved after every `save_every` episodes and after the last one,
        each time before the event: what a caller has seen is never lost.
        """
        if self._step:
            yield Resumed(self.job, self._episode, self._step)
        if self.done:  # interrupted after its last step, before anybody took its weights
            yield self._report()
        ticked = self._step
        while not self.done:
            if self._bar < self.job.course.bars:  # else it was interrupted between an episode's last step and its end
                self._take_step()
            over = self._bar == self.job.course.bars
            if self._step - ticked == TICK or (over and self._step > ticked):
                yield Tick(self._step - ticked)
                ticked = self._step
            if over:
                event = self._end_episode()
                if self.done or self._episode % save_every == 0:
                    self.save()
                yield event

    def save(self) -> None:
        """Save the state, if the job has a file for it; between two events."""
        if self.job.state is not None:
            save_state(self.job, self._state())

    def _take_step(self) -> None:
        course, config, learner = self.job.course, self.job.course.config, self.learner
        self._previous = live(
            course.market,
            course.rules,
            learner.network,
            self.keys.choices,
            self._step,
            chance_of_exploring(config, self._step),
            self._bar,
            self._previous,
            self.account,
            self.memory,
            self.batch,
            self._episode,
            self._taus,
        )
        self._step += 1
        self._bar += 1
        if config.actions * self._step >= config.batch:
            learner.update(self.batch)
            if learner.updates % config.target_update == 0:
                learner.copy_to_target()

    def _end_episode(self) -> EpisodeEnd:
        """Measure, and begin the next episode if there is one."""
        self._episode += 1
        if self.job.measure is not None:
            point = {"episode": self._episode, "updates": self.learner.updates}
            self._curve += (point | self.job.measure(self.learner.weights()),)
        if not self.done:
            self._bar = int(self._starts[self._episode])
            self.account[:] = 0.0, 0.0, self.job.course.config.cash
            self._previous = 0
        return self._report()

    def _report(self) -> EpisodeEnd:
        weights = self.learner.weights() if self.done else None
        return EpisodeEnd(self.job, self._episode, self.learner.updates, weights, self._curve)

    def _state(self) -> TrainingState:
        stored = min(self.job.course.config.actions * self._step, len(self.memory.bar))
        return TrainingState(
            self.learner.state(),
            Memory._make(array[:stored] for array in self.memory),
            self.account,
            self._step,
            self._episode,
            self._bar,
            self._previous,
            self._curve,
        )

    def _restore(self, state: TrainingState | None) -> None:
        if state is None:
            return
        self.learner.restore(state.learner)
        stored = len(state.memory.bar)
        for name, theirs in state.memory._asdict().items():
            getattr(self.memory, name)[:stored] = theirs
        self.account[:] = state.account
        self._step, self._episode, self._bar, self._previous = state.step, state.episode, state.bar, state.previous
        self._curve = state.curve
