"""What training and deciding know of a policy that reads states as text: five methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

__all__ = ["Encoded", "TradingPolicy"]


class Encoded(Protocol):
    """What a rollout stores for one state: outputs of the frozen layers (tokens, hidden), length; opaque otherwise."""


class TradingPolicy(Protocol):
    """A policy over states as text: logits of three actions (sell, hold, buy) and a value."""

    def encode(self, states: Sequence[str]) -> Sequence[Encoded]:
        """Return what the frozen layers make of each state; no gradient.

        Keys and values of the prefix that does not change are computed once.
        """

    def evaluate(self, encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Return logits, shape ``(batch, 3)``, and values, shape ``(batch,)``: the trainable part, with gradient."""

    def reference(self, encoded: Sequence[Encoded]) -> Tensor:
        """Return the logits, shape ``(batch, 3)``, of the policy as it was before training; no gradient."""

    def trainable(self) -> dict[str, Tensor]:
        """Return by name what an optimiser steps and a checkpoint stores."""

    def identity(self) -> dict[str, Any]:
        """Return name and hash of the base, layers, head, adapter: what a checkpoint is checked against."""
