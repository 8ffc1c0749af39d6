"""How levels are told: relative, which places no company and no day, or absolute, as published.

A model that has read the years knows that an index that closes at 2486.20 does so on one day only, and a share that
trades at 44.25 in few months. Relative levels say as much about the trade and nothing about the calendar:

| what | relative | absolute |
|---|---|---|
| prices of the last bars | rebased: the first close shown is 100 | as in the file |
| their volumes | multiples of the mean of the bars shown | amounts |
| averages of the close (SMA, VWAP) | distance of the close from them, in per cent | prices |
| MACD, its signal, ATR | per cent of the close | prices |
| an index | share of the past year's closes below its own; distance from its mean, in per cent | points |
| PMI, 10Y-2Y spread | rounded | as published |

All that is a change, a ratio or a rate is told the same way in both.
"""

from __future__ import annotations

from typing import Literal

from llmguide.errors import GuidanceError, did_you_mean

__all__ = ["LEVELS", "Levels", "check_levels"]

Levels = Literal["relative", "absolute"]

LEVELS: tuple[Levels, ...] = ("relative", "absolute")


def check_levels(levels: str) -> Levels:
    """Return `levels`; GuidanceError for anything but "relative" and "absolute"."""
    for known in LEVELS:
        if levels == known:
            return known
    raise GuidanceError(f"expected levels {' or '.join(LEVELS)}, got {levels!r}{did_you_mean(levels, LEVELS)}")
