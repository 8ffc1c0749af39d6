"""What training and a strategy need of a policy that reads text.

Source: arXiv 2502.11433v3, section 3: a language model whose last layers, with a head for the actions and one for the
value, are the policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

__all__ = ["Encoded", "TradingPolicy"]


class Encoded(Protocol):
    """What a rollout stores for one state: outputs of the frozen layers (tokens, hidden) and their length; opaque."""


class TradingPolicy(Protocol):
    """A policy over states as text: logits of three actions (sell, hold, buy) and a value.

    Methods take `states`, texts, and `encoded`, what `encode` returned. A policy may also have a method
    ``accumulating()``, a context manager within which the gradients of several backward passes add up to one and no
    weight changes, so that what they share need be computed only once.
    """

    def encode(self, states: Sequence[str]) -> Sequence[Encoded]:
        """Return what the frozen part makes of each state, without gradient.

        The unchanging prefix's keys and values are computed once. Any text is a state, the prefix alone, too.
        """

    def evaluate(self, encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Return logits ``(batch, 3)`` and values ``(batch,)`` of the trainable part, with gradient."""

    def reference(self, encoded: Sequence[Encoded]) -> Tensor:
        """Return the logits ``(batch, 3)`` of the policy as it was before training, without gradient."""

    def trainable(self) -> dict[str, Tensor]:
        """Return by name what an optimiser steps and a checkpoint stores."""

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint is checked against: name and hash of the base, layers, head, adapter."""
