"""Which trading day a bar belongs to: stamps, the clock that showed them, and the exchange's time zone."""

from __future__ import annotations

import functools
import zoneinfo

import numpy as np
import pandas as pd

from llmguide.errors import DataError, did_you_mean
from llmguide.sources.stamps import Stamps, read_stamps, times_of_day

__all__ = ["bar_dates", "check_zone"]

_HOUR = pd.Timedelta(hours=1)
_ASK = "give the exchange's time zone, as in tz='Asia/Tokyo' (--tz Asia/Tokyo)"
# Where exchanges trade, or traded in their history, on Sundays and not on Fridays.
_SUNDAY_MARKETS = frozenset(
    [
        *("Asia/Jerusalem", "Asia/Tel_Aviv", "Israel", "Asia/Riyadh", "Asia/Kuwait", "Asia/Bahrain", "Asia/Qatar"),
        *("Asia/Dubai", "Asia/Muscat", "Asia/Aden", "Asia/Amman", "Asia/Damascus", "Asia/Baghdad", "Asia/Beirut"),
        *("Asia/Gaza", "Asia/Hebron", "Africa/Cairo", "Egypt", "Africa/Tripoli", "Libya", "Africa/Khartoum"),
        *("Africa/Algiers", "Asia/Dhaka", "Asia/Dacca", "Asia/Kathmandu", "Asia/Katmandu", "Asia/Tehran", "Iran"),
        *("Asia/Kabul", "Indian/Maldives"),
    ]
)


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def check_zone(tz: str | None) -> None:
    """Raise DataError unless `tz` is None or the IANA name of a time zone."""
    if tz is not None and (not isinstance(tz, str) or tz not in _zones()):
        hint = did_you_mean(tz, _zones()) if isinstance(tz, str) else ""
        raise DataError(f"tz is the IANA name of the exchange's time zone, like 'Asia/Tokyo', not {tz!r}{hint}")


def bar_dates(name: str, given: pd.Series, times: pd.Series | None, tz: str | None) -> pd.DatetimeIndex:
    """Return the naive dates of daily bars, or the wall times of intraday bars, by the rules of `layouts.read_table`.

    Raises DataError where stamps cannot be read, or where they do not tell the day.
    """
    stamps = read_stamps(name, given)
    if times is not None:
        since = times_of_day(times)
        stamps = Stamps(stamps.wall + since, None if stamps.utc is None else stamps.utc + since, stamps.clock)
    wall = stamps.wall
    if wall.isna().any():
        row = int(wall.isna().to_numpy().argmax())
        raise DataError(
            f"{name}: {int(wall.isna().sum())} dates cannot be read, the first in row {row + 1}: "
            f"{str(given.iloc[row])!r}; expected dates like 2018-01-31, all in one format (convert others "
            "with pandas.to_datetime and its format)"
        )
    # A few double dates are errors in daily bars, not intraday bars; nor are bars of two instruments on the same days.
    if wall.dt.normalize().nunique() < 0.9 * wall.nunique():
        local = wall if tz is None or stamps.utc is None else _in_zone(stamps.utc, tz)
        return _index(local)
    if tz is None:
        days = _own_dates(name, stamps)
    elif stamps.utc is not None:
        days = _converted(name, stamps, stamps.utc, tz)
    else:
        days = _naive_in_zone(name, wall, tz)
    _refuse_impossible_week(name, days, tz)
    return _index(days)


def _index(stamps: pd.Series) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps.to_numpy(dtype="datetime64[ns]"), name="date")


def _in_zone(utc: pd.Series, tz: str) -> pd.Series:
    local: pd.Series = utc.dt.tz_localize("UTC").dt.tz_convert(tz).dt.tz_localize(None)
    return local


def _own_dates(name: str, stamps: Stamps) -> pd.Series:
    """Return the dates as the clock showed them, provided that it showed midnight."""
    wall = stamps.wall
    days: pd.Series = wall.dt.normalize()
    if not _all_but_running(wall == days, wall):
        whose = f" by the clock of {stamps.clock}" if stamps.clock else ""
        raise DataError(
            f"{name}: daily bars are stamped {wall[wall != days].iloc[0]:%Y-%m-%d %H:%M}{whose}, which may be "
            f"the midnight of another time zone, so they may belong to that day or to the next; {_ASK}"
        )
    return days


def _converted(name: str, stamps: Stamps, utc: pd.Series, tz: str) -> pd.Series:
    """Return the dates that the exchange's clock showed."""
    days: pd.Series = _in_zone(utc, tz).dt.normalize()
    own = stamps.wall.dt.normalize()
    if (days != own).any() and (stamps.wall == own).all() and not _starts_of_days(utc, tz).all():
        raise DataError(
            f"{name}: daily bars are stamped at midnight by the clock of {stamps.clock}, which is not midnight in "
            f"{tz}: either they are dates already (leave tz out), or tz is not the exchange's"
        )
    return days


def _naive_in_zone(name: str, wall: pd.Series, tz: str) -> pd.Series:
    """Return the dates of naive stamps: of the exchange's midnights told in UTC, plain dates, or its own wall time."""
    own: pd.Series = wall.dt.normalize()
    one_time = (wall - own).nunique() == 1
    if _all_but_running(_starts_of_days(wall, tz), wall):
        days: pd.Series = _in_zone(wall, tz).dt.normalize()
        # At 16:00 an exchange eight hours ahead of UTC closes, and in UTC it is its midnight: the week tells.
        if not (one_time and _impossible_week(days, tz) and not _impossible_week(own, tz)):
            return days
    if one_time or _all_but_running(wall == own, wall):
        return own
    raise DataError(
        f"{name}: the times of its daily bars ({', '.join(sorted({f'{t:%H:%M}' for t in wall})[:4])}) are "
        f"neither midnights of {tz} in UTC nor a single time of day; set their time zone first, as in "
        "frame.tz_localize('Europe/London')"
    )


def _starts_of_days(utc: pd.Series, tz: str) -> pd.Series:
    """Which instants are midnight in the zone, or the first of a day that begins later (clocks set forward)."""
    local, before = _in_zone(utc, tz), _in_zone(utc - pd.Timedelta(1, "us"), tz)
    days: pd.Series = local.dt.normalize()
    starts: pd.Series = (local == days) | (days != before.dt.normalize())
    return starts


def _all_but_running(fits: pd.Series, wall: pd.Series) -> bool:
    """Whether all stamps fit but perhaps the latest: a vendor's running bar has the time of its last trade.

    An hour beside midnight it may be one midnight after clocks were set.
    """
    odd = wall[~fits]
    if odd.empty:
        return True
    since = odd.iloc[0] - odd.iloc[0].normalize()
    return len(odd) == 1 and bool(odd.iloc[0] == wall.max()) and _HOUR < since < 23 * _HOUR


def _refuse_impossible_week(name: str, days: pd.Series, tz: str | None) -> None:
    if impossible := _impossible_week(days, tz):
        if tz is None:
            fix = f"{_ASK}, with stamps that still have their times, or tz='Asia/Riyadh' where {impossible} are right"
        else:
            fix = f"no exchange of {tz} has such weeks: is it the right zone, and do the stamps still have their times?"
        raise DataError(f"{name} has bars on {impossible}, which suggests dates taken in another time zone; {fix}")


def _impossible_week(days: pd.Series, tz: str | None) -> str:
    """Say how the weekdays of daily bars show a week of Monday to Friday moved by a day; "" where they do not.

    Counted are weeks with one of its ends and without the other: Sundays without the Friday after them, Saturdays
    without the Monday before. Markets of all days have both, and so have the few Saturday sessions of others.
    """
    numbers = np.unique(days.to_numpy(dtype="datetime64[D]").astype(np.int64))  # 1970-01-01 was a Thursday.
    if len(numbers) < 2 or np.median(np.diff(numbers)) > 3:
        return ""
    weekdays = (numbers + 3) % 7
    ends = {("Saturdays", "Mondays"): (5, 0, 3), ("Sundays", "Fridays"): (6, 4, 4)}
    for (present, absent), (one, other, shift) in ends.items():
        if present == "Sundays" and tz in _SUNDAY_MARKETS:
            continue
        weeks = (numbers + shift) // 7
        complete = (weeks > weeks[0]) if present == "Saturdays" else (weeks < weeks[-1])
        having = set(weeks[(weekdays == one) & complete])
        lacking = having - set(weeks[weekdays == other])
        if len(lacking) >= 2 and 2 * len(lacking) >= len(having):
            return f"{present} and none on the {absent} of those weeks"
    return ""
