"""Short all the time."""

from __future__ import annotations

from llmguide.strategies.base import AccountStrategy
from llmguide.trading.account import SHORT

__all__ = ["SellAndHold"]


class SellAndHold(AccountStrategy):
    """Sells short at the first bar after the idle ones and stays short (baseline of arXiv 2004.06627).

    Where the price rises so far that the cash could not pay the shares back after another tenth, part of them is bought
    back; a short that was bought back whole has nothing left to do.
    """

    def decide(self) -> int:
        """Return short."""
        return SHORT
