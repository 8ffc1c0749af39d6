"""Every constant of the agent."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from llmguide.errors import ModelError, did_you_mean
from llmguide.trading.observation import LOOKBACK, SMOOTHING

__all__ = ["LEVERS", "DQNConfig", "Tau"]

Tau = Literal["published", "constant", "jittered"]
"""What an agent observes of the strength of its guidance: see ``tau`` of `DQNConfig`."""

LEVERS = ("raw_prices", "tau", "agreement", "actions")
"""Settings that the papers do not have, off by default (see docs/levers.md)."""


@dataclass(frozen=True)
class DQNConfig:
    """Settings of the double DQN; the defaults are the published ones.

    Raises ModelError for a setting out of range.

    Source: arXiv 2004.06627, table 2 and the authors' code; arXiv 1509.06461 (double DQN).
    """

    lookback: int = LOOKBACK
    """Bars in an observation."""
    smoothing: int = SMOOTHING
    """Length in bars of the trailing mean over what the agent observes; 0 for none."""
    hidden: int = 512
    """Units of each of the four hidden layers."""
    dropout: float = 0.2
    """Probability that a hidden unit is dropped in training."""
    learning_rate: float = 1e-4
    """Step size of Adam."""
    weight_decay: float = 1e-6
    """L2 penalty of Adam."""
    discount: float = 0.4
    """Discount factor of the next bar's value, in [0, 1]."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    batch: int = 32
    """Transitions in one update; there is one update per step."""
    replay: int = 100_000
    """Capacity of the replay memory in transitions; each step stores two."""
    target_update: int = 1_000
    """Steps between copies into the target network."""
    epsilon_start: float = 1.0
    """Probability of a random action at the first step."""
    epsilon_end: float = 0.01
    """Probability of a random action in the long run."""
    epsilon_decay: float = 10_000.0
    """Steps after which epsilon has come within 1/e of its way from start to end."""
    sticky: float = 0.1
    """Probability that a greedy step repeats the previous action."""
    reward_clip: float = 1.0
    """Rewards are clipped to plus and minus this value."""
    cash: float = 100_000.0
    """Initial capital, in money."""
    cost: float = 0.001
    """Fraction of each traded value."""
    raw_prices: bool = False
    """Whether training trades at raw closes, as a backtest does, instead of smoothed ones; observations stay
    smoothed.
    """
    tau: Tau = "published"
    """What the agent observes of the guidance's strength.

    "published" is tau as it is; "constant" is its sign alone, in training and in use; "jittered" draws the size of each
    month anew in every episode of training (see `llmguide.rl.jitter`), and is tau as it is in use.
    """
    agreement: float = 0.0
    """Added to the reward, in training only, while the position is on the side of the guidance in force."""
    actions: int = 2
    """Number of actions, 2 for short and long, or 3 for short, long and flat, which holds nothing."""

    def __post_init__(self) -> None:
        positive = ("hidden", "learning_rate", "gradient_clip", "batch", "target_update", "epsilon_decay", "cash")
        for name in (*positive, "reward_clip"):
            if not getattr(self, name) > 0:
                raise ModelError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "cash"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ModelError(f"{name} must be a finite number of at least 0, got {getattr(self, name)}")
        for name in ("dropout", "discount", "epsilon_start", "epsilon_end", "sticky", "cost"):
            if not 0 <= getattr(self, name) <= 1:
                raise ModelError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.dropout == 1:
            raise ModelError("dropout of 1 would drop every unit; choose a fraction below 1")
        if self.lookback < 2 or self.smoothing < 0:
            raise ModelError(
                f"lookback must be at least 2 and smoothing at least 0, got {self.lookback} and {self.smoothing}"
            )
        if self.replay < 2 * self.batch:
            raise ModelError(f"replay must hold at least two batches ({2 * self.batch}), got {self.replay}")
        if self.tau not in get_args(Tau):
            hint = did_you_mean(str(self.tau), get_args(Tau))
            raise ModelError(f"tau must be one of {', '.join(get_args(Tau))}, got {self.tau!r}{hint}")
        if not 0 <= self.agreement < math.inf:
            raise ModelError(
                "agreement is added to the rewards, which are returns per bar, and must be at least 0, got "
                f"{self.agreement}"
            )
        if self.actions not in (2, 3):
            raise ModelError(f"actions must be 2 (short, long) or 3 (short, long, flat), got {self.actions}")

    @property
    def guided_only(self) -> tuple[str, ...]:
        """Names of settings that differ from the published ones and have no effect without guidance."""
        usual = DQNConfig()
        return tuple(name for name in ("tau", "agreement") if getattr(self, name) != getattr(usual, name))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name; those of `LEVERS` that are off are left out."""
        usual = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if name not in LEVERS or value != usual[name]}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> DQNConfig:
        """Return the config of `stored`, the result of `to_dict`; ModelError for an unknown name."""
        known = {field.name for field in fields(cls)}
        for name in stored:
            if name not in known:
                raise ModelError(f"unknown agent setting {name!r}{did_you_mean(name, known)}")
        return cls(**stored)
