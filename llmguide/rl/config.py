"""Every constant of the agent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from llmguide.errors import ModelError, did_you_mean
from llmguide.trading.observation import LOOKBACK, SMOOTHING

__all__ = ["DQNConfig"]


@dataclass(frozen=True)
class DQNConfig:
    """Settings of the double DQN; the defaults are the published ones.

    Source: arXiv 2004.06627, table 2 and the authors' code; arXiv 1509.06461 (double DQN).
    """

    lookback: int = LOOKBACK
    """Bars in an observation."""
    smoothing: int = SMOOTHING
    """Length in bars of the trailing mean over what the agent sees; 0 for none."""
    hidden: int = 512
    """Units of each of the four hidden layers."""
    dropout: float = 0.2
    learning_rate: float = 1e-4
    weight_decay: float = 1e-6
    discount: float = 0.4
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    batch: int = 32
    replay: int = 100_000
    """Transitions kept; each step stores two."""
    target_update: int = 1_000
    """Steps between copies into the target network."""
    epsilon_start: float = 1.0
    epsilon_end: float = 0.01
    epsilon_decay: float = 10_000.0
    """Steps in which the exploration falls to 1/e of the way."""
    sticky: float = 0.1
    """Chance that a greedy step repeats the previous action."""
    reward_clip: float = 1.0
    cash: float = 100_000.0
    cost: float = 0.001
    """Fraction of each traded value."""

    def __post_init__(self) -> None:
        positive = ("hidden", "learning_rate", "gradient_clip", "batch", "target_update", "epsilon_decay", "cash")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ModelError(f"{name} must be positive, got {getattr(self, name)}")
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

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> DQNConfig:
        """Make a config from `to_dict`'s result; a name that is not known is refused."""
        known = {field.name for field in fields(cls)}
        for name in stored:
            if name not in known:
                raise ModelError(f"unknown agent setting {name!r}{did_you_mean(name, known)}")
        return cls(**stored)
