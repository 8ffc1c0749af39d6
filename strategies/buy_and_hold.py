"""Long all the time."""

from __future__ import annotations

from llmguide.strategies.base import AccountStrategy
from llmguide.trading.account import LONG

__all__ = ["BuyAndHold"]


class BuyAndHold(AccountStrategy):
    """Buys at the first bar after the idle ones and holds (baseline of arXiv 2004.06627, section 5.2).

    Params are those of `AccountStrategy`.
    """

    def decide(self) -> int:
        """Return long."""
        return LONG
