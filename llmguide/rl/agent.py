"""A trained agent that decides. NumPy only: a backtest loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.counting import counted
from llmguide.errors import ModelError
from llmguide.rl.config import DQNConfig
from llmguide.trading.account import ACTIONS, FLAT, LONG, SHORT, side_of
from llmguide.trading.observation import MarketArrays, Scaler, market_features, observation_size, observe

__all__ = [
    "BATCH_NORM_EPSILON",
    "HIDDEN_LAYERS",
    "SIDES",
    "Agent",
    "QFunction",
    "best_decision",
    "greedy_decisions",
]

HIDDEN_LAYERS = 4
BATCH_NORM_EPSILON = 1e-5
LEAKY_SLOPE = 0.01
SIDES = (-1, 0, 1)
"""Order of the sides in a table of Q-values."""

_SIDE_AFTER = np.array([side_of(decision) for decision in (FLAT, SHORT, LONG)])  # decisions are -1, 0, 1

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class QFunction:
    """The network in evaluation mode: each batch norm folded into its linear layer, everything in float64.

    Double precision makes one row at a time and all rows at once agree to about 1e-15, far below any gap between two
    Q-values that training leaves, so that a live run decides as a preloaded one does.
    """

    layers: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

    @classmethod
    def fold(cls, weights: Weights) -> QFunction:
        """Make it from a checkpoint's arrays (see `llmguide.rl.checkpoint`)."""
        layers = []
        for layer in range(1, HIDDEN_LAYERS + 1):
            w = weights[f"fc{layer}.weight"].astype(np.float64)  # (in, out)
            b = weights[f"fc{layer}.bias"].astype(np.float64)
            scale = weights[f"bn{layer}.weight"] / np.sqrt(
                weights[f"bn{layer}.running_var"].astype(np.float64) + BATCH_NORM_EPSILON
            )
            shift = weights[f"bn{layer}.bias"] - weights[f"bn{layer}.running_mean"].astype(np.float64) * scale
            layers.append((w * scale, b * scale + shift))
        last = HIDDEN_LAYERS + 1
        layers.append((weights[f"fc{last}.weight"].astype(np.float64), weights[f"fc{last}.bias"].astype(np.float64)))
        return cls(tuple(layers))

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return Q-values, shape ``(rows, actions)``: short, long, and flat where there are three."""
        x = observations.astype(np.float64)
        *hidden, (w, b) = self.layers
        for weight, bias in hidden:
            x = x @ weight + bias
            np.maximum(x, LEAKY_SLOPE * x, out=x)
        return x @ w + b


@dataclass(frozen=True, repr=False)
class Agent:
    """A trained double-DQN.

    Attributes:
        weights: the network's arrays by name, float32 (``fc1.weight`` has shape ``(inputs, outputs)``).
        scaler: coefficients of the observation, from the training bars.
        config: the settings it was trained with.
        guided: whether tau is part of its observation.
        seed: the seed it was trained with.
        notes: what else its checkpoint holds (arm, bars it was trained on, versions).

    Raises ModelError for weights that do not fit the settings.
    """

    weights: Weights
    scaler: Scaler
    config: DQNConfig
    guided: bool
    seed: int
    notes: dict[str, Any] = field(default_factory=dict)
    network: QFunction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expected = observation_size(self.config.lookback, guided=self.guided)
        got = len(self.weights["fc1.weight"])
        if got != expected:
            raise ModelError(
                f"an agent {'with' if self.guided else 'without'} guidance and a lookback of {self.config.lookback} "
                f"bars observes {expected} values, but this network takes {got}; train it again with the same settings"
            )
        actions = self.weights[f"fc{HIDDEN_LAYERS + 1}.weight"].shape[1]
        if actions != self.config.actions:
            raise ModelError(
                f"an agent of {self.config.actions} actions has a network with as many outputs, but this one has "
                f"{actions}; train it again with the same settings"
            )
        object.__setattr__(self, "network", QFunction.fold(self.weights))

    @property
    def training(self) -> str:
        """How it was trained, in words, as far as its notes say."""
        learned: dict[str, Any] = self.notes.get("trained_on", {})
        parts = ["with guidance" if self.guided else "without guidance"]
        if "episodes" in self.notes:
            parts.append(f"trained for {counted(self.notes['episodes'], 'episode')}")
        if learned:
            first, last = (str(learned[end]).removesuffix(" 00:00:00") for end in ("first", "last"))
            parts.append(f"on bars from {first} to {last}")
        return ", ".join([parts[0], *([" ".join(parts[1:])] if parts[1:] else [])])

    def __repr__(self) -> str:
        return f"Agent(seed {self.seed}, {self.training})"

    def features(self, market: MarketArrays, *, first: int = 0) -> NDArray[np.float32]:
        """Return the market part of the observations, shape ``(rows, 116)``.

        Args:
            market: prices and volumes; see `llmguide.trading.observation.market_features`.
            first: position of the first of these bars in the whole history.
        """
        return market_features(
            market, self.scaler, lookback=self.config.lookback, smoothing=self.config.smoothing, first=first
        )

    def q_values(self, features: NDArray[np.float32], tau: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the Q-values of all actions on each side.

        Args:
            features: market part of the observations, shape ``(rows, 116)``.
            tau: guidance for each row, shape ``(rows,)``; needed where the agent is guided, refused where it is not. An
                agent with ``tau="constant"`` observes its sign.

        Returns:
            Shape ``(rows, 3, actions)``: side -1, 0, +1 by action short, long, and flat where there are three.

        Raises ModelError where a guided agent gets no tau, or the other way round.
        """
        if self.guided != (tau is not None):
            raise ModelError(
                "this agent was trained with guidance and needs tau"
                if self.guided
                else "this agent was trained without guidance and takes no tau"
            )
        guidance = None if tau is None else np.asarray(tau, dtype=np.float64)
        if guidance is not None and self.config.tau == "constant":
            guidance = np.sign(guidance)
        per_side = [self.network(observe(features, side, guidance)) for side in SIDES]
        return np.stack(per_side, axis=1)

    def q_table(self, bars: pd.DataFrame, tau: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the Q-values for the decision at every bar from `lookback` on.

        Args:
            bars: raw bars; the decision at bar t uses those up to t-1.
            tau: guidance in force at every bar, shape ``(bars,)``.

        Returns:
            Shape ``(bars - lookback, 3, actions)`` (see `q_values`).
        """
        rows = self.features(MarketArrays.of(bars))[:-1]
        return self.q_values(rows, None if tau is None else np.asarray(tau)[self.config.lookback :])

    def decide(self, bars: pd.DataFrame, tau: ArrayLike | None = None) -> NDArray[np.int8]:
        """Return the greedy decision for every bar from `lookback` on: 1 long, 0 short, and -1 flat of three actions.

        Args:
            bars: raw bars; the decision at bar t uses those up to t-1.
            tau: guidance in force at every bar, shape ``(bars,)``.

        Returns:
            Shape ``(bars - lookback,)``, int8.
        """
        return greedy_decisions(self.q_table(bars, tau))

    def decide_all(self, bars: pd.DataFrame, tau: ArrayLike) -> NDArray[np.int8]:
        """Return what `decide` returns with each of many series of guidance.

        Args:
            bars: raw bars; the decision at bar t uses those up to t-1.
            tau: guidance in force at every bar, shape ``(tables, bars)``.

        Returns:
            Shape ``(tables, bars - lookback)``, int8. The network sees each bar once with each value that tau takes
            anywhere, not once with each table.
        """
        rows = self.features(MarketArrays.of(bars))[:-1]
        levels, level = np.unique(np.asarray(tau, dtype=np.float64)[:, self.config.lookback :], return_inverse=True)
        level = level.reshape(-1, len(rows))
        best = [np.argmax(self.q_values(rows, np.full(len(rows), one)), axis=2) for one in levels]
        choices = np.array(ACTIONS, dtype=np.int8)[np.stack(best)]  # (levels, rows, 3)
        decisions = np.empty(level.shape, dtype=np.int8)
        sides = np.zeros(len(level), dtype=np.intp)
        for row in range(len(rows)):
            decisions[:, row] = choices[level[:, row], row, sides + 1]
            sides = _SIDE_AFTER[decisions[:, row] + 1]
        return decisions


def greedy_decisions(q_table: NDArray[np.float64]) -> NDArray[np.int8]:
    """Follow the largest Q-value from side 0 on; a tie is short. Shape ``(rows, 3, actions)`` -> ``(rows,)``."""
    choices = np.array(ACTIONS, dtype=np.int8)[np.argmax(q_table, axis=2)]  # (rows, 3)
    decisions = np.empty(len(choices), dtype=np.int8)
    side = 0
    for row, by_side in enumerate(choices):
        decisions[row] = by_side[side + 1]
        side = side_of(decisions[row])
    return decisions


def best_decision(q_values: ArrayLike) -> int:
    """Return the decision of the largest Q-value, shape ``(actions,)``; of equal ones the first, short before long."""
    return ACTIONS[int(np.argmax(q_values))]
