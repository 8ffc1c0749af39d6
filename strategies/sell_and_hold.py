"""Short all the time."""

from __future__ import annotations

from llmguide.strategies.base import AccountStrategy
from llmguide.trading.account import SHORT

__all__ = ["SellAndHold"]


class SellAndHold(AccountStrategy):
    """Sells short at the first bar after the idle ones and stays short (baseline of arXiv 2004.06627, section 5.2).

    Where the price rises so far that the cash could no longer buy the shares back after another rise of a tenth, part
    of them is bought back; once all of them were, nothing more is traded.

    Params are those of `AccountStrategy`.
    """

    def decide(self) -> int:
        """Return short."""
        return SHORT
