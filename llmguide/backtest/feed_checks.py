"""What a feed must bring: known prices, dates of its exchange, and prices on one scale where orders wait for an open.

Positions of bars count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError

__all__ = ["adopt_zone", "bar_of", "check_now", "check_values", "closes_outside", "feed_of", "refuse_two_scales"]

ROUNDING = 1e-4
"""Part of a price by which a close may lie outside [low, high] through rounding."""

FEWEST, SHARE = 5, 0.1
"""Closes outside [low, high] that show two scales: at least so many, and this share of the bars seen."""


def feed_of(source: Any) -> Any:
    """Return the feed that a line or a feed is of, None for an indicator's."""
    for _ in range(3):
        if isinstance(source, bt.feed.AbstractDataBase):
            return source
        source = getattr(source, "_owner", None)
    return None


def name_of(data: Any) -> str:
    """Return what a feed is called in messages."""
    name = getattr(data, "_name", "") or ""
    return f"feed {name!r}" if name else "the feed"


def bar_of(data: Any, position: int) -> str:
    """Return "bar 100, 2018-05-04" for the bar at a position that the feed still holds."""
    try:
        date = data.num2date(data.lines.datetime[position - len(data) + 1])
    except IndexError:
        return f"bar {position}"
    return f"bar {position}, {date:%Y-%m-%d}" if date.time() == date.min.time() else f"bar {position}, {date}"


def check_now(data: Any, lines: Iterable[str], *, needed_by: str, ago: int = 0, positive: bool = True) -> None:
    """Refuse the current bar (or the one `ago` before it) where a line has no finite value, or none above 0.

    Raises DataError with the feed, the bar and its date.
    """
    for name in lines:
        value = float(getattr(data.lines, name)[ago])
        if not _usable(value, positive=positive and name != "volume"):
            _refuse(data, name, value, len(data) - 1 + ago, needed_by)


def check_values(
    data: Any, name: str, values: Sequence[float] | NDArray[np.float64], *, first: int, needed_by: str, positive: bool
) -> None:
    """Refuse the first of some values of a feed's line that is not finite, or not above 0; `first` is its position."""
    series = np.asarray(values, dtype=np.float64)
    bad = ~np.isfinite(series) | (series <= 0.0 if positive else series < 0.0 if name == "volume" else False)
    if bad.any():
        at = int(np.argmax(bad))
        _refuse(data, name, float(series[at]), first + at, needed_by)


def closes_outside(low: ArrayLike, high: ArrayLike, close: ArrayLike) -> int:
    """Return how many closes lie outside [low, high] by more than rounding."""
    lows, highs, closes = (np.asarray(values, dtype=np.float64) for values in (low, high, close))
    return int(((closes < lows * (1.0 - ROUNDING)) | (closes > highs * (1.0 + ROUNDING))).sum())


def refuse_two_scales(outside: int, bars: int, name: str) -> None:
    """Raise DataError where so many closes outside [low, high] show that the prices are on two scales."""
    if outside >= FEWEST and outside > SHARE * bars:
        raise DataError(
            f"the closes of {name} lie outside [low, high] by more than {100 * ROUNDING:g} % on {outside} of "
            f"{bars} bars: only they are adjusted, and the next open is a price on another scale; read the bars with "
            "llmguide.read_bars(path, adjust=True) (--adjust), or fill at the close: "
            "llmguide.backtest.use_close_fills(cerebro) (--fill close)"
        )


def adopt_zone(data: Any) -> None:
    """Let a feed made of a frame with a time zone give dates in that zone; Backtrader itself gives them in UTC.

    A zone that the feed was given (``tz=``) stays. Raises DataError for a resampled feed: its bars were cut by UTC.
    """
    frame = getattr(data.p, "dataname", None)
    resampled = bool(getattr(data, "_filters", None)) or isinstance(frame, bt.feed.AbstractDataBase)
    while isinstance(frame, bt.feed.AbstractDataBase):
        frame = getattr(frame.p, "dataname", None)
    if data._tz is not None or not isinstance(frame, pd.DataFrame) or not isinstance(data, bt.feeds.PandasData):
        return
    column = data.p.datetime
    if column is None:
        zone = getattr(frame.index, "tz", None)
    else:
        times = frame.iloc[:, column] if isinstance(column, int) else frame.get(column)
        zone = getattr(getattr(times, "dtype", None), "tz", None)
    if zone is None:
        return
    if resampled:
        raise DataError(
            f"{name_of(data)} is resampled, and its frame has the time zone {zone}, which Backtrader converts "
            "to UTC before it groups the bars; drop the zone first: frame.tz_localize(None), or "
            "llmguide.read_bars(frame)"
        )
    data._tz = _Zone(zone)
    data.lines.datetime._settz(data._tz)


class _Zone(tzinfo):
    """A time zone with the `localize` that Backtrader asks of one."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def __reduce__(self) -> tuple[Any, ...]:
        return _Zone, (self._zone,)

    def localize(self, wall: datetime) -> datetime:
        """Return a naive time as one of this zone."""
        pytz_like = getattr(self._zone, "localize", None)
        localized: datetime = pytz_like(wall) if pytz_like else wall.replace(tzinfo=self._zone)
        return localized

    def fromutc(self, moment: datetime) -> datetime:
        """Return a time in UTC as one of this zone."""
        return moment.replace(tzinfo=UTC).astimezone(self._zone)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return self._zone.utcoffset(moment)

    def dst(self, moment: datetime | None) -> timedelta | None:
        return self._zone.dst(moment)

    def tzname(self, moment: datetime | None) -> str | None:
        return self._zone.tzname(moment)


def _usable(value: float, *, positive: bool) -> bool:
    return math.isfinite(value) and (value > 0.0 or not positive)


def _refuse(data: Any, name: str, value: float, position: int, needed_by: str) -> None:
    """Raise DataError for a value; where everything before it is missing too, name the bar to begin at."""
    what = f"has no {name} (nan)" if value != value else f"has the {name} {value:g}"
    fix = "fill or drop the bar, e.g. with llmguide.read_bars"
    series = np.asarray(getattr(data.lines, name).array, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(series) & (series > 0.0))
    if name == "volume" and not len(known):
        fix = "give the feed volumes"
    elif len(known) and known[0] > position and len(series) == data.buflen():
        fix = f"its first is that of {bar_of(data, int(known[0]))}: begin there (fromdate=)"
    elif not len(known) and name != "close":
        fix = f"add {name} to the feed, or use what needs none (llmguide.backtest.use_close_fills for orders)"
    raise DataError(f"{name_of(data)} {what} on {bar_of(data, position)}, which {needed_by} needs; {fix}")
