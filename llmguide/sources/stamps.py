"""Dates and times as vendors write them, read only where they can be read in one way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from llmguide.errors import DataError

__all__ = ["Stamps", "read_stamps", "times_of_day"]

_TIME = (
    r"(?:(?:T|\s+)(?P<time>(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)\s*(?P<half>[ap]m)?)?"
    r"\s*(?P<offset>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
)
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_FORMS = {
    "2018-01-31": r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
    "20180131": r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
    "31.01.2018": r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
    "Jan 31, 2018": rf"{_MONTH}\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}})",
    "31-Jan-2018": rf"(?P<day>\d{{1,2}})[-\s]{_MONTH}[-\s,]+(?P<year>\d{{4}})",
}
_SLASHED = r"(?P<first>\d{1,2})(?P<mark>[-/])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4})"
_UTC = ("z", "utc", "gmt", "+00", "+0000", "+00:00", "-00:00")
_MONTHS = {name: str(i) for i, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun"), 1)} | {
    name: str(i) for i, name in enumerate(("jul", "aug", "sep", "oct", "nov", "dec"), 7)
}
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Between these, seconds, milli-, micro- and nanoseconds cannot be confused, nor with 20180131 or 20180131093000.
_EPOCH = (pd.Timestamp("1980-01-01").timestamp(), pd.Timestamp("2100-01-01").timestamp())


class Stamps(NamedTuple):
    """Stamps of rows, in their order."""

    wall: pd.Series
    """As the clock showed them, naive; NaT where unreadable."""

    utc: pd.Series | None = None
    """The same instants in UTC, naive; None where it is not told whose clock it was."""

    clock: str = ""
    """Whose clock it was, for messages."""


def read_stamps(name: str, given: pd.Series) -> Stamps:
    """Read datetimes, periods of at most a day, dates in text, or seconds since 1970 (also milli-, micro-, nano-).

    In text, the year stands first, or the month has its English name, or the day comes first between points. Dates like
    31/01/2018 are read where one order of day and month fits all of them and the other does not.

    Raises DataError where both orders fit, or only some stamps tell their offset from UTC.
    """
    if isinstance(given.dtype, pd.DatetimeTZDtype):
        clock = "UTC" if str(given.dt.tz) in ("UTC", "UTC+00:00", "Etc/UTC") else str(given.dt.tz)
        return Stamps(given.dt.tz_localize(None), given.dt.tz_convert("UTC").dt.tz_localize(None), clock)
    if pd.api.types.is_datetime64_dtype(given):
        return Stamps(given)
    if isinstance(given.dtype, pd.PeriodDtype):
        # A longer period is not over on its first day.
        if pd.Timedelta(1, "D") < (given.dt.end_time - given.dt.start_time).max():
            return Stamps(pd.Series(pd.NaT, index=given.index, dtype="datetime64[ns]"))
        return Stamps(given.dt.start_time)
    text = _as_text(given)
    epoch = _since_1970(text)
    if epoch.notna().sum() > 0.5 * len(epoch):
        return Stamps(epoch, epoch, "UTC")
    return _from_text(name, text)


def _as_text(given: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(given.dtype) and not (given % 1).any() and (given.abs() < 2**63).all():
        given = given.astype(np.int64)
    return given.astype(str).str.strip()


def _since_1970(text: pd.Series) -> pd.Series:
    """Return the stamps of cells that count from 1970, each by its magnitude; NaT elsewhere."""
    digits = text.where(text.str.fullmatch(r"\d{9,19}")).astype(object)
    counts = pd.to_numeric(digits, errors="coerce").astype("Int64")
    stamps = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]")
    for unit, per_second in _UNITS.items():
        here = counts.between(int(_EPOCH[0] * per_second), int(_EPOCH[1] * per_second)).fillna(False).astype(bool)
        if here.any():
            stamps[here] = counts[here].to_numpy(dtype=np.int64).astype(f"datetime64[{unit}]").astype("datetime64[ns]")
    return stamps


def _from_text(name: str, text: pd.Series) -> Stamps:
    slashed = text.str.extract(f"(?i)^{_SLASHED}{_TIME}$")
    readings = [text.str.extract(f"(?i)^{form}{_TIME}$") for form in _FORMS.values()]
    parts = max((*readings, slashed), key=lambda reading: int(reading["year"].notna().sum()))
    if parts is slashed:
        parts = _day_and_month(name, text, slashed)
    month = parts["month"].str.lower().replace(_MONTHS)
    days = parts["year"] + "-" + month.str.zfill(2) + "-" + parts["day"].str.zfill(2)
    wall = pd.to_datetime(days, format="%Y-%m-%d", errors="coerce").astype("datetime64[ns]") + _since_midnight(parts)
    offsets = parts["offset"][wall.notna()].str.lower()
    if offsets.isna().all():
        return Stamps(wall)
    if offsets.isna().any():
        bare = text[offsets.index[offsets.isna()][0]]
        raise DataError(
            f"{name} has dates with an offset from UTC ({text[offsets.first_valid_index()]!r}) and dates "
            f"without one ({bare!r}); use one format throughout"
        )
    in_utc = offsets.isin(_UTC)
    clock = "UTC" if in_utc.all() else f"UTC{offsets[~in_utc].iloc[0]}"
    signs = parts["offset"].str.lower().mask(parts["offset"].str.lower().isin(_UTC), "+0000").str.replace(":", "")
    ahead = pd.to_timedelta(signs.str[1:3] + ":" + signs.str[3:5].replace("", "00") + ":00", errors="coerce")
    return Stamps(wall, wall - ahead.where(signs.str[0] == "+", -ahead), clock)


def _day_and_month(name: str, text: pd.Series, parts: pd.DataFrame) -> pd.DataFrame:
    """Tell the day from the month: it is the one that exceeds 12 somewhere in the column."""
    first, second = (pd.to_numeric(parts[part], errors="coerce") for part in ("first", "second"))
    example = str(text[parts["year"].notna()].iloc[0])
    if first.max() > 12 and second.max() > 12:
        raise DataError(
            f"{name} has dates with the day first ({text[first > 12].iloc[0]!r}) and dates with the month "
            f"first ({text[second > 12].iloc[0]!r}); use one format throughout, such as 2018-01-31"
        )
    if max(first.max(), second.max()) <= 12:
        mark = str(parts["mark"].dropna().iloc[0])
        raise DataError(
            f"{name}: dates like {example!r} may have the day or the month first, and no date in the file "
            f"shows which; convert them with pandas.to_datetime(dates, format='%d{mark}%m{mark}%Y') or "
            f"format='%m{mark}%d{mark}%Y'"
        )
    order = {"first": "day", "second": "month"} if first.max() > 12 else {"first": "month", "second": "day"}
    return parts.rename(columns=order)


def _since_midnight(parts: pd.DataFrame) -> pd.Series:
    time = parts["time"].fillna("0:00")
    since = pd.to_timedelta(time.where(time.str.count(":") == 2, time + ":00"))
    half, hours = parts["half"].str.lower(), since.dt.components["hours"]
    since = since.mask(half.notna() & ((hours == 0) | (hours > 12)))  # 0 pm and 16 pm are none
    since = since.mask((half == "am") & (hours == 12), since - pd.Timedelta(hours=12))
    return since.mask((half == "pm") & (hours < 12), since + pd.Timedelta(hours=12))


def times_of_day(given: pd.Series) -> pd.Series:
    """Times of day as in Stooq's files, 93000 or 09:30 or 09:30:00, as timedeltas (NaT where unreadable)."""
    text = given.astype(str).str.strip()
    digits = text.str.replace(":", "").mask(text.str.count(":") == 1, text.str.replace(":", "") + "00").str.zfill(6)
    return pd.to_timedelta(digits.str[:2] + ":" + digits.str[2:4] + ":" + digits.str[4:], errors="coerce")
