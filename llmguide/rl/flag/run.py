"""The run loop of one seed: collect a rollout, learn from it, tell what happened.

All randomness is a function of the seed and of what it is for (see `llmguide.rl.noise`): where episodes start, which
action is drawn, in which order a rollout is learned from. So a run stands, between two rollouts, in its weights, Adam's
moments, its accounts and a few counters, and what goes on from these gives the same bits.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from llmguide.errors import ModelError
from llmguide.rl.flag.advantages import estimate_advantages
from llmguide.rl.flag.lesson import FlagLesson
from llmguide.rl.flag.ppo import Rollout, masked_log_probabilities, update
from llmguide.rl.flag.protocol import Encoded, TradingPolicy
from llmguide.rl.flag.state import Boundary, FlagOrigin, FlagState, load_state, save_state
from llmguide.rl.noise import below, uniform
from llmguide.trading.flag_env import check_start

__all__ = ["FlagEvent", "FlagResumed", "FlagRun", "RolloutEnd"]


@dataclass(frozen=True)
class FlagResumed:
    """A run goes on from its state: so many rollouts and steps were behind it."""

    seed: int
    rollouts: int
    steps: int


@dataclass(frozen=True)
class RolloutEnd:
    """A run has learned from one more rollout.

    Attributes:
        seed: which run.
        steps: taken in the rollout.
        point: what was measured in it (see `FlagRun.curve`).
        done: whether it was the last one.
    """

    seed: int
    steps: int
    point: dict[str, Any]
    done: bool


FlagEvent = FlagResumed | RolloutEnd


class Streams(NamedTuple):
    """The random streams of one seed."""

    starts: np.uint64
    actions: np.uint64
    orders: np.uint64

    @classmethod
    def of(cls, seed: int) -> Streams:
        """Return the streams of a seed; different seeds have unrelated ones."""
        return cls(*(s.generate_state(1, np.uint64)[0] for s in np.random.SeedSequence(seed).spawn(3)))


class FlagRun:
    """One policy in training.

    Args:
        lesson: what it trains on.
        policy: what learns; its trainable tensors are changed in place.
        seed: all randomness but that of the policy's first weights.
        state: the file in which unfinished training is kept, or None.

    Attributes:
        curve: a point for every rollout so far: ``steps`` and ``episodes`` until then, ``episode_sharpe`` and
            ``episode_value``, means over the episodes that ended in it (None where none did), ``reward`` per step,
            ``learning_rate``, ``explained`` (share of the returns' variance that the values had foreseen, None where
            they do not vary), and the parts of `llmguide.rl.flag.ppo.Update`.
    """

    def __init__(self, lesson: FlagLesson, policy: TradingPolicy, seed: int, *, state: Path | None = None) -> None:
        config = lesson.config
        last = check_start(len(lesson.prices), config.rules, shown=config.shown, whole=False)
        self.lesson, self.policy, self.seed, self.state_file = lesson, policy, seed, state
        self._starts = last - config.shown + 1  # bars at which an episode can begin
        self._streams = Streams.of(seed)
        self._trained = policy.trainable()
        self._optimiser = torch.optim.Adam(
            list(self._trained.values()), lr=config.learning_rate, eps=config.adam_epsilon, foreach=False
        )
        # A policy that keeps what all states begin with learns it here, not from whichever states come first: what it
        # makes of a state then has the same bits in a run that was resumed.
        policy.encode([lesson.prefix])
        self._accounts = lesson.accounts(config.environments)
        self._begun = 0  # episodes
        for account in range(config.environments):
            self._begin_episode(account)
        self.curve: tuple[dict[str, Any], ...] = ()
        # None while weights are being changed: there is nothing then that could be gone on from.
        self._boundary: Boundary | None = self._stand(0)
        self._restore()

    @property
    def done(self) -> bool:
        """Whether all steps are taken."""
        return self.steps >= self.lesson.config.steps

    @property
    def steps(self) -> int:
        """Steps taken and learned from."""
        return int(self.curve[-1]["steps"]) if self.curve else 0

    @cached_property
    def origin(self) -> FlagOrigin:
        """What the run's numbers depend on."""
        lesson = self.lesson
        return FlagOrigin(self.seed, lesson.config.to_dict(), lesson.fingerprint, self.policy.identity())

    def events(self, save_every: int) -> Generator[FlagEvent, None, None]:
        """Train to the end.

        Where there is a file for it, the state is saved after every `save_every` rollouts and after the last one, each
        time before the event, and when the generator is closed or interrupted. An interruption while a rollout is
        collected loses that rollout, one while weights change all since the file was last written.
        """
        try:
            if self.curve:
                yield FlagResumed(self.seed, len(self.curve), self.steps)
            while not self.done:
                point = self._take_rollout()
                if self.done or len(self.curve) % save_every == 0:
                    self.save()
                yield RolloutEnd(self.seed, point["steps"] - self._steps_before(), point, self.done)
        except (GeneratorExit, KeyboardInterrupt):
            if not self.done:  # else it was saved before the last event, and the caller may have removed it since
                self.save()
            raise

    def save(self) -> None:
        """Save where the run stands, if it has a file for it and is not in the middle of an update."""
        if self.state_file is not None and self._boundary is not None:
            state = FlagState(self._trained, self._moments(), self._boundary, self.curve)
            save_state(self.state_file, self.origin, state)

    def _steps_before(self) -> int:
        return int(self.curve[-2]["steps"]) if len(self.curve) > 1 else 0

    def _take_rollout(self) -> dict[str, Any]:
        config, before = self.lesson.config, self.steps
        length = min(config.rollout, -(-(config.steps - before) // config.environments))
        rollout, told = self._collect(length, before)
        rows = len(rollout.actions)
        rate = config.learning_rate_at(before)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        orders = [self._order(epoch, rows) for epoch in range(config.epochs)]
        self._boundary = None
        changed = update(self.policy, self._optimiser, rollout, orders, config)
        if not all(np.isfinite(changed)):
            raise ModelError(
                f"training of seed {self.seed} broke at step {before}: the update gave {changed}; a smaller "
                "learning_rate may help"
            )
        point = {"steps": before + rows, **told, "learning_rate": rate, **changed._asdict()}
        curve = (*self.curve, point)
        self.curve, self._boundary = curve, self._stand(len(curve))
        return point

    def _collect(self, length: int, before: int) -> tuple[Rollout, dict[str, Any]]:
        """Return a rollout, whose rows are ordered by step and then by environment, and what happened in it."""
        config, accounts = self.lesson.config, self._accounts
        shape = (length, config.environments)
        encoded: list[Encoded] = []
        legal = np.empty((*shape, 3), dtype=np.bool_)
        actions, over = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.bool_)
        log_probabilities, values, rewards = np.empty(shape), np.empty(shape), np.empty(shape)
        ended: list[tuple[float, float]] = []
        for t in range(length):
            seen = self._encode()
            encoded += seen
            legal[t] = accounts.legal()
            log_pi, values[t] = self._judge(seen, legal[t])
            first = before + t * config.environments
            for i in range(config.environments):
                actions[t, i] = draw_action(np.exp(log_pi[i]), uniform(self._streams.actions, np.uint64(first + i)))
                log_probabilities[t, i] = log_pi[i, actions[t, i]]
            rewards[t], over[t] = accounts.step(actions[t])
            for i in np.flatnonzero(over[t]).tolist():
                ended.append((float(accounts.ledgers.ratio[i]), accounts.view(i).value))
                self._begin_episode(i)
        _, expected = self._judge(self._encode(), accounts.legal())
        trace = config.trace if config.algorithm == "ppo" else 1.0
        advantages, returns = estimate_advantages(
            rewards, values, over, expected, discount=config.discount, trace=trace
        )
        spread = float(returns.var())
        told = {
            "episodes": self._begun - config.environments,
            "episode_sharpe": float(np.mean([ratio for ratio, _ in ended])) if ended else None,
            "episode_value": float(np.mean([value for _, value in ended])) if ended else None,
            "reward": float(rewards.mean()),
            "explained": 1.0 - float((returns - values).var()) / spread if spread > 0 else None,
        }
        rollout = Rollout(
            encoded,
            legal.reshape(-1, 3),
            actions.ravel(),
            log_probabilities.ravel(),
            values.ravel(),
            advantages.ravel(),
            returns.ravel(),
        )
        return rollout, told

    def _encode(self) -> list[Encoded]:
        accounts = self._accounts
        views = [accounts.view(i) for i in range(self.lesson.config.environments)]
        return list(self.policy.encode(self.lesson.texts(views)))

    def _judge(
        self, encoded: list[Encoded], legal: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return log-probabilities ``(environments, 3)`` and values ``(environments,)``."""
        with torch.no_grad():
            logits, values = self.policy.evaluate(encoded)
            log_pi = masked_log_probabilities(logits, torch.as_tensor(legal, device=logits.device))
        return log_pi.double().cpu().numpy(), values.double().cpu().numpy()

    def _begin_episode(self, account: int) -> None:
        start = self.lesson.config.shown + below(self._streams.starts, np.uint64(self._begun), self._starts)
        self._accounts.reset(account, int(start))
        self._begun += 1

    def _order(self, epoch: int, rows: int) -> NDArray[np.int64]:
        """Return the rows of the next update in a random order."""
        first = (len(self.curve) * self.lesson.config.epochs + epoch) * self._most_rows
        keys = [uniform(self._streams.orders, np.uint64(first + row)) for row in range(rows)]
        return np.argsort(keys, kind="stable")

    @property
    def _most_rows(self) -> int:
        return self.lesson.config.rollout * self.lesson.config.environments

    def _stand(self, rollouts: int) -> Boundary:
        return Boundary(rollouts, self._begun, self._accounts.ledgers.copy())

    def _moments(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return what Adam knows of each tensor; nothing before the first update."""
        return {name: dict(self._optimiser.state.get(tensor, {})) for name, tensor in self._trained.items()}

    def _restore(self) -> None:
        if self.state_file is None:
            return
        state = load_state(self.state_file, self.origin, self._trained)
        if state is None:
            return
        with torch.no_grad():
            for name, tensor in self._trained.items():
                tensor.copy_(state.trained[name])
                if state.moments[name]:
                    self._optimiser.state[tensor] = {
                        key: moment if key == "step" else moment.to(tensor.device)
                        for key, moment in state.moments[name].items()
                    }
        for ours, theirs in zip(self._accounts.ledgers, state.boundary.ledgers, strict=True):
            ours[...] = theirs
        self._begun, self.curve, self._boundary = state.boundary.episodes, state.curve, state.boundary


def draw_action(probabilities: NDArray[np.float64], chance: float) -> int:
    """Return the action on which a number in [0, 1) falls; never one whose probability is 0."""
    reached = np.cumsum(probabilities)
    whole = reached[-1]
    return int(np.searchsorted(reached, min(chance * whole, np.nextafter(whole, 0.0)), side="right"))
