"""What a month's direction becomes when a probability says more than the model's own word.

Memory suppression, debiasing and votes each end in a probability of LONG, and `decide` turns it into a direction and a
confidence, by one rule. The model's own words stay beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

__all__ = ["Revision", "decide", "undecided"]

_ROUNDING = 1e-9  # a half is one though it was computed, and two votes of three are in the second third


@dataclass(frozen=True)
class Revision(ABC):
    """A direction that took the place of the model's own."""

    direction: int  # 1 long, 0 short
    confidence: int  # 1, 2 or 3
    p_long: float  # what they were made from, 0..1

    @property
    @abstractmethod
    def note(self) -> str:
        """One sentence for the explanation: what was done, and the numbers behind it."""


def decide(p_long: float, *, direction: int, confidence: int) -> tuple[int, int]:
    """Return the direction and the confidence that a probability of LONG stands for; `direction` is the model's own.

    The direction is LONG above 0.5, SHORT below, and stays at 0.5. The confidence is 1, 2 or 3 by the thirds of
    2 |p - 0.5|, and not more than the model's own where the direction is the model's.
    """
    chosen = direction if undecided(p_long) else int(p_long > 0.5)
    third = min(int(6.0 * abs(p_long - 0.5) + _ROUNDING) + 1, 3)
    return chosen, min(third, confidence) if chosen == direction else third


def undecided(p_long: float) -> bool:
    """Whether a probability of LONG is a half, but for rounding."""
    return abs(p_long - 0.5) <= _ROUNDING
