"""How many bars make a year: what per-bar measures are annualised by, read from the dates of the bars.

Conventions, not counts, where bars are regular: a market that is closed on two days of the week has 252 trading days a
year (as the benchmark and the hybrid have it, arXiv 2004.06627 and 2508.02366), one that never closes has 365; weeks
are 52, months 12, quarters 4. Bars within a day count as many a day as a usual day has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from llmguide.errors import DataError

__all__ = ["DEFAULT", "BarCalendar", "Dates", "calendar_of", "check_periods", "periods_of"]

Dates: TypeAlias = "ArrayLike | Sequence[date] | pd.Index[Any] | pd.Series[Any]"
"""Dates of bars: an index, a series, or anything else that `pandas.DatetimeIndex` takes."""

DEFAULT = 252
"""Bars per year of numbers without dates: trading days."""

_DAY = np.timedelta64(1, "D")
_UNITS = {"week": (6.0, 8.0, 52), "month": (27.0, 32.0, 12), "quarter": (85.0, 95.0, 4), "year": (350.0, 380.0, 1)}
_OPEN = 1 / 3  # of a weekday's dates that have bars, from which on the market counts as open on it


@dataclass(frozen=True)
class BarCalendar:
    """How often bars come.

    Attributes:
        unit: "intraday", "day", "week", "month", "quarter", "year", or "other" where none of these fits.
        days_per_year: trading days a year for intraday and daily bars; for longer ones, bars per year.
        bars_per_day: bars on a usual day; 1 for daily and longer bars.
    """

    unit: str
    days_per_year: int
    bars_per_day: int = 1

    @property
    def periods(self) -> int:
        """Bars per year."""
        return self.days_per_year * self.bars_per_day

    def __str__(self) -> str:
        if self.unit == "intraday":
            return f"{self.periods:,} bars a year: {self.bars_per_day} a day on {self.days_per_year} trading days"
        names = {"day": "daily", "week": "weekly", "month": "monthly", "quarter": "quarterly", "year": "yearly"}
        return f"{self.periods:,} {names.get(self.unit, '')} bars a year".replace("  ", " ")


def calendar_of(dates: Dates) -> BarCalendar:
    """Return the calendar of bars.

    Fewer than three dates tell nothing, and count as trading days. Intraday bars are recognised by days that usually
    have several of them; the bars of a day are those of the median day, so that half-days and a cut first day do not
    matter. A weekday counts as open where at least a third of its dates have bars. Missing bars do not matter.

    Args:
        dates: the bars' dates, a DatetimeIndex or what converts to one, oldest first.

    Raises DataError where `dates` cannot be read as dates.
    """
    try:
        index = pd.DatetimeIndex(cast(Any, dates))
    except (TypeError, ValueError) as error:
        raise DataError(f"expected dates to count bars per year by, got {type(dates).__name__}") from error
    index = index.tz_localize(None)
    if len(index) < 3 or index.hasnans:
        return BarCalendar("day", DEFAULT)
    days = index.normalize()
    counts = pd.Series(1, index=days).groupby(level=0).sum()
    per_day = int(counts.iloc[1:-1].median()) if len(counts) > 2 else int(counts.max())
    if per_day > 1:
        usual = counts[counts >= max(2, per_day / 2)]  # an evening session before the week is no day of it
        return BarCalendar("intraday", _days_per_year(pd.DatetimeIndex(usual.index)), per_day)
    apart = np.diff(counts.index.to_numpy()) / _DAY
    if np.quantile(apart, 0.25) < 2:  # weekends, holidays and gaps are the longer ones
        return BarCalendar("day", _days_per_year(pd.DatetimeIndex(counts.index)))
    between = float(np.median(apart))
    for unit, (shortest, longest, periods) in _UNITS.items():
        if shortest <= between <= longest:
            return BarCalendar(unit, periods)
    return BarCalendar("other", max(1, round(365.25 / between)))


def periods_of(numbers: Dates | pd.DataFrame, periods: float | None = None) -> float:
    """Return the bars per year of a series, a frame or an index.

    Args:
        numbers: a pandas object with dates, or numbers without dates, which count as trading days (`DEFAULT`).
        periods: this number instead, where it is given.

    Raises DataError for periods that are not above zero.
    """
    if periods is not None:
        return check_periods(periods)
    index = numbers if isinstance(numbers, pd.Index) else getattr(numbers, "index", None)
    return float(calendar_of(index).periods) if isinstance(index, pd.DatetimeIndex) else float(DEFAULT)


def check_periods(periods: float) -> float:
    """Return a number of bars per year as a float.

    Args:
        periods: the number.

    Raises DataError unless it is finite and above zero.
    """
    try:
        number = float(periods)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise DataError(f"periods is the number of bars in a year, such as 252, 52 or 8760, got {periods!r}")
    return number


def _days_per_year(days: pd.DatetimeIndex) -> int:
    """Trading days a year: 252 for a week of five, 365 for one of seven, the weekdays' share of a year for others.

    Only whole weeks can tell that a market trades at weekends: of a shorter time Monday to Friday are taken as open.
    """
    span = pd.date_range(days[0], days[-1], freq="D")
    have = np.bincount(days.day_of_week, minlength=7)
    could = np.bincount(span.day_of_week, minlength=7)
    working = np.arange(7) < 5
    open_days = np.where(could > 0, have >= _OPEN * np.maximum(could, 1), working)
    count = int(open_days.sum())
    return DEFAULT if count <= 5 else 365 if count == 7 else round(365.25 * count / 7)
