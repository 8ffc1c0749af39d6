"""When bars are known."""

from __future__ import annotations

import pandas as pd

from llmguide.errors import DataError
from llmguide.sources.kinds import CLOSE

__all__ = ["close_of", "known_at"]


def known_at(bars: pd.DataFrame) -> pd.Timestamp:
    """Return the time at which the last of the bars was complete: naive, in the exchange's own time.

    Daily bars, all stamped at midnight, close at 16:00; an early close is not known from them. The stamp of an
    intraday bar is taken as its end. Raises DataError for no bars, or bars without naive dates.
    """
    return close_of(bars, len(bars) - 1)


def close_of(bars: pd.DataFrame, position: int) -> pd.Timestamp:
    """Return the same for the bar at a position, 0 being the first."""
    index = bars.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None or index.empty:
        raise DataError(f"expected at least one bar with a naive date, got {len(bars)} of {type(index).__name__}")
    stamp = pd.Timestamp(index[position])
    # One bar at midnight among intraday bars is not a whole day.
    daily = bool((index == index.normalize()).all())
    return stamp + CLOSE if daily else stamp
