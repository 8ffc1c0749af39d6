"""From a probability to a direction and a confidence: one rule for all that revises what the model said."""

from __future__ import annotations

__all__ = ["decide"]


def decide(p: float, *, direction: int, confidence: int) -> tuple[int, int]:
    """Return direction (1 long, 0 short) and confidence (1, 2 or 3) for p, the probability of LONG.

    `direction` and `confidence` are the model's own. The direction is LONG above 0.5 and SHORT below, and stays where p
    is 0.5. The confidence is 1, 2 or 3 by the thirds of 2 |p - 0.5|, and not more than the model's own where the
    direction is the model's.
    """
    chosen = direction if p == 0.5 else int(p > 0.5)
    third = min(int(6.0 * abs(p - 0.5)) + 1, 3)
    return chosen, min(third, confidence) if chosen == direction else third
