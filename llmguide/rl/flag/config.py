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
"""How the policy is updated: see ``algorithm`` of `FlagConfig`."""


@dataclass(frozen=True)
class FlagConfig:
    """Settings of FLAG-Trader's training; the defaults are the published ones.

    docs/flag_trader.md lists what the paper leaves open: the optimiser, how minibatch and accumulation fit a rollout,
    and others.

    Raises ModelError for a setting out of range.

    Source: arXiv 2502.11433v3, section 3 and its table of hyper-parameters.
    """

    steps: int = 13_860
    """Transitions in total, over all environments."""
    environments: int = 1
    """Accounts trained side by side, each in an episode of its own."""
    rollout: int = 40
    """Steps of each environment between two updates."""
    learning_rate: float = 5e-4
    """Step size of Adam at the first step."""
    anneal: bool = True
    """Whether the learning rate falls linearly to 0 at the last step."""
    discount: float = 0.95
    """Discount factor of the next step's value, in [0, 1]."""
    trace: float = 0.98
    """Lambda of generalised advantage estimation; REINFORCE takes 1."""
    epochs: int = 1
    """Passes over a rollout; REINFORCE takes one."""
    minibatch: int = 32
    """Largest number of transitions in one optimiser step; a rollout is cut into equal parts no larger than that."""
    accumulation: int = 8
    """Backward passes into which a minibatch is split, one part after the other; the gradient is that of one pass."""
    clip: float = 0.2
    """Clip range of the probability ratio and of the change in value."""
    entropy: float = 0.05
    """Weight of the entropy bonus."""
    value: float = 0.5
    """Weight of the value loss."""
    kl: float = 0.05
    """Weight of the KL divergence from the policy as it was before training."""
    gradient_clip: float = 0.5
    """Largest norm of the gradient."""
    normalise: bool = True
    """Whether the advantages of a minibatch are scaled to mean 0 and standard deviation 1."""
    adam_epsilon: float = 1e-5
    """Epsilon of Adam."""
    algorithm: Algorithm = "ppo"
    """"ppo", or "reinforce" (returns less the value as a baseline, one update of each rollout, nothing clipped)."""
    shown: int = SHOWN
    """Number of bars that a state shows."""
    rules: FlagRules = field(default_factory=FlagRules)
    """Rules of the account and its reward."""

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
                raise ModelError(f"{name} must be a weight of at least 0, got {getattr(self, name)}")
        for name in ("discount", "trace"):
            if not 0 <= getattr(self, name) <= 1:
                raise ModelError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.algorithm not in ("ppo", "reinforce"):
            raise ModelError(f"algorithm must be 'ppo' or 'reinforce', got {self.algorithm!r}")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate for the update of a rollout that began at `step`, counted from 0."""
        return self.learning_rate * (1.0 - step / self.steps) if self.anneal else self.learning_rate

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, the rules as a dictionary of their own."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> FlagConfig:
        """Return the config of `stored`, the result of `to_dict`; ModelError for an unknown name."""
        known = {field.name for field in fields(cls)}
        for name in stored:
            if name not in known:
                raise ModelError(f"unknown setting {name!r}{did_you_mean(name, known)}")
        return cls(**stored | {"rules": FlagRules.from_dict(stored["rules"])})
