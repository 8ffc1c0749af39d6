"""Every constant of FLAG-Trader's training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from llmguide.errors import ModelError, did_you_mean
from llmguide.trading.flag_env import SHOWN
from llmguide.trading.flag_rules import FlagRules

__all__ = ["Algorithm", "FlagConfig"]

Algorithm = Literal["ppo", "reinforce"]


@dataclass(frozen=True)
class FlagConfig:
    """Settings of training; the defaults are the published ones.

    Source: arXiv 2502.11433v3, section 3 and its table of hyper-parameters. docs/flag_trader.md says what it leaves
    open: optimiser, how minibatch and accumulation fit a rollout, and others.
    """

    steps: int = 13_860
    """Transitions, of all environments together."""
    environments: int = 1
    """Accounts side by side, each in an episode of its own."""
    rollout: int = 40
    """Steps of each environment between two updates."""
    learning_rate: float = 5e-4
    anneal: bool = True
    """The learning rate falls in a line to 0 at the last step."""
    discount: float = 0.95
    trace: float = 0.98
    """Lambda of generalised advantage estimation; REINFORCE takes 1."""
    epochs: int = 1
    """Passes over a rollout; REINFORCE takes one."""
    minibatch: int = 32
    """Transitions at most of one optimiser step: a rollout is cut into equal parts no larger than that."""
    accumulation: int = 8
    """Backward passes in which a minibatch is taken, one part after the other; the gradient is that of one pass."""
    clip: float = 0.2
    """Of the probabilities' ratio and of the value's change."""
    entropy: float = 0.05
    value: float = 0.5
    kl: float = 0.05
    """Weight of the distance to the policy as it was before training."""
    gradient_clip: float = 0.5
    """Largest norm of the gradient."""
    normalise: bool = True
    """Advantages of a minibatch have mean 0 and standard deviation 1."""
    adam_epsilon: float = 1e-5
    algorithm: Algorithm = "ppo"
    """"ppo", or "reinforce": returns less the value as the baseline, one update of each rollout, nothing clipped."""
    shown: int = SHOWN
    """Bars that a state tells."""
    rules: FlagRules = field(default_factory=FlagRules)

    def __post_init__(self) -> None:
        for name in ("steps", "environments", "rollout", "epochs", "minibatch", "accumulation", "shown"):
            number = getattr(self, name)
            if not (isinstance(number, int) and number >= 1):
                raise ModelError(f"{name} must be a whole number of at least 1, got {number!r}")
        for name in ("learning_rate", "clip", "gradient_clip", "adam_epsilon"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ModelError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("entropy", "value", "kl"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ModelError(f"{name} is a weight of at least 0, got {getattr(self, name)}")
        for name in ("discount", "trace"):
            if not 0 <= getattr(self, name) <= 1:
                raise ModelError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.algorithm not in ("ppo", "reinforce"):
            raise ModelError(f"algorithm is 'ppo' or 'reinforce', got {self.algorithm!r}")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of the update of a rollout that began at a step, from 0."""
        return self.learning_rate * (1.0 - step / self.steps) if self.anneal else self.learning_rate

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, the rules as a dictionary of their own."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> FlagConfig:
        """Make a config from `to_dict`'s result; a name that is not known is refused."""
        known = {field.name for field in fields(cls)}
        for name in stored:
            if name not in known:
                raise ModelError(f"unknown setting {name!r}{did_you_mean(name, known)}")
        return cls(**stored | {"rules": FlagRules.from_dict(stored["rules"])})
