"""The last bars, as rows of a prompt's table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from llmguide.features.fact import as_amount, as_number, as_percent, as_price
from llmguide.features.levels import Levels

__all__ = ["COLUMNS", "RECENT", "BarLine", "bar_lines", "closes_fit"]

RECENT = 20  # bars that a prompt shows
COLUMNS = ["open", "high", "low", "close", "volume"]

_ROUNDING = 1e-9  # of a price: a file may hold its prices with different precision
_NOTHING = "-"


class BarLine(NamedTuple):
    """One of the last bars, rounded for a prompt; "-" stands for what cannot be told."""

    ago: int  # 1 is the last one known: the decision is taken on the bar after it
    open: str
    high: str
    low: str
    close: str
    volume: str
    range: str  # high / low - 1, in per cent


def closes_fit(recent: pd.DataFrame) -> bool:
    """Whether every close lies within its bar's low and high: not so where only closes are adjusted."""
    low, high, close = (recent[name].to_numpy(dtype=np.float64) for name in ("low", "high", "close"))
    margin = _ROUNDING * np.abs(close)
    return bool(np.all((low <= close + margin) & (close <= high + margin)))


def bar_lines(recent: pd.DataFrame, levels: Levels) -> tuple[BarLine, ...]:
    """Return the bars, oldest first, without dates.

    Relative: prices on a scale on which the first close is 100, volumes as multiples of their mean. Where a close does
    not fit its bar (`closes_fit`), open, high and low of all of them are left out: they are on another scale.
    """
    rows = recent[COLUMNS].to_numpy(dtype=np.float64)  # (n, 5)
    ranges = [
        as_percent(high / low - 1.0, decimals=2, sign=False) if low > 0 else _NOTHING for _, high, low, *_ in rows
    ]
    if levels == "absolute":
        prices = [[as_price(price) for price in row[:4]] for row in rows.tolist()]
        volumes = [as_amount(volume) for volume in rows[:, 4].tolist()]
    else:
        told = [True, True, True, True] if closes_fit(recent) else [False, False, False, True]
        rebased = 100.0 * rows[:, :4] / rows[0, 3]
        prices = [
            [as_number(price, sign=False) if tell else _NOTHING for price, tell in zip(row, told, strict=True)]
            for row in rebased.tolist()
        ]
        mean = float(rows[:, 4].mean())
        volumes = [as_number(volume / mean, sign=False) if mean > 0 else _NOTHING for volume in rows[:, 4].tolist()]
    return tuple(
        BarLine(ago, opened, high, low, close, volume, reach)
        for ago, (opened, high, low, close), volume, reach in zip(
            range(len(rows), 0, -1), prices, volumes, ranges, strict=True
        )
    )
