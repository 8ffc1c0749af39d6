"""When guidance is issued: every 20 trading days, from the first bar that the benchmark trades on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError, GuidanceError
from llmguide.periods import calendar_of

__all__ = ["EVERY", "FIRST", "bar_dates", "close_prices", "daily_bars", "horizon_returns", "issue_positions"]

EVERY = 20  # bars; "monthly" in arXiv 2508.02366v3
_FEWEST = 8  # bars that tell days from weeks
FIRST = 30  # the first decision of arXiv 2004.06627's environment, which observes 30 bars


def issue_positions(bars: pd.DataFrame | pd.DatetimeIndex, *, every: int = EVERY, first: int = FIRST) -> range:
    """Return the positions i = first, first + every, ... of the bars on whose date guidance is issued.

    Guidance at i is made from bars[:i] only and carries the date of bar i. Raises GuidanceError when a setting is out
    of range or the bars are too few for one issue, DataError as `bar_dates` does.
    """
    index = bar_dates(bars)
    for name, value in (("every", every), ("first", first)):
        if value < 1:
            raise GuidanceError(f"expected {name} >= 1 bar, got {value}; a guidance needs a bar before it")
    if len(index) <= first:
        raise GuidanceError(
            f"expected more than {first} bars for a first guidance, got {len(index)}; give more, or a smaller first"
        )
    return range(first, len(index), every)


def bar_dates(bars: pd.DataFrame | pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return the bars' index; DataError unless it is a naive DatetimeIndex, not empty, unique and increasing."""
    index = bars.index if isinstance(bars, pd.DataFrame) else bars
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(f"expected bars with a DatetimeIndex, got {type(index).__name__}; use read_bars")
    if index.tz is not None:
        raise DataError(f"expected bars with naive dates, got time zone {index.tz}; use read_bars")
    if index.empty or index.hasnans or not (index.is_monotonic_increasing and index.is_unique):
        raise DataError(f"expected bars with unique, increasing dates, got {len(index)} that are not; use read_bars")
    return index


def daily_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the bars by day: open of the first, highest high, lowest low, close of the last, volume of all.

    Daily bars are returned as they are. Guidance counts in trading days, and each is seen from midnight on, so that a
    day's bars tell nothing of the day itself. Raises DataError for bars longer than days, as `bar_dates` does too.
    """
    index = bar_dates(bars)
    calendar = calendar_of(index)
    if calendar.unit == "day" or len(index) < _FEWEST:
        return bars
    if calendar.unit != "intraday":
        raise DataError(
            f"guidance is made from daily bars, and these have {calendar}; make it from daily bars of the "
            "instrument; the table can then be used with bars of any length"
        )
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    days: pd.DataFrame = bars.groupby(index.normalize()).agg({name: rule for name, rule in how.items() if name in bars})
    return days.set_axis(pd.DatetimeIndex(days.index, name=index.name))


def close_prices(bars: pd.DataFrame) -> NDArray[np.float64]:
    """Return the closes as a new contiguous array; DataError unless all are finite and positive."""
    if "close" not in bars:
        raise DataError(f"expected bars with a column 'close', got {list(bars.columns)}; use read_bars")
    close = np.array(bars["close"], dtype=np.float64, order="C")
    if not (np.isfinite(close).all() and (close > 0).all()):
        raise DataError("expected finite, positive closes; use read_bars, which fills gaps and counts them")
    return close


def horizon_returns(close: NDArray[np.float64], positions: ArrayLike, *, every: int = EVERY) -> NDArray[np.float64]:
    """Return close[i + every] / close[i] - 1 for each position i, (len(positions),): what became of guidance of bar i.

    **Uses the future**, up to bar i + every: it may be used by decisions on later bars only. NaN where the bars end
    before.
    """
    start = np.asarray(positions, dtype=np.intp)
    returns = np.full(len(start), np.nan)
    ended = start + every < len(close)
    returns[ended] = close[start[ended] + every] / close[start[ended]] - 1.0
    return returns
