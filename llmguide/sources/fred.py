"""Macroeconomic series as they were first released, from ALFRED, the archive of FRED (extra `data`).

Through plain requests: fredapi sets no time limit on its own, and fails where a series has more than 2000 vintages (its
issues 28 and 48).

This product uses the FRED API but is not endorsed or certified by the Federal Reserve Bank of St. Louis.

| series | FRED | what it is | dated by |
|---|---|---|---|
| GDP | GDPC1 | real gross domestic product, billions of chained dollars, quarterly | ALFRED |
| M2 | M2SL | money stock M2, billions of dollars, monthly | ALFRED |
| PPI | PPIACO | producer prices of all commodities, 1982 = 100, monthly | ALFRED |
| CCI | UMCSENT | consumer sentiment, University of Michigan, 1966 Q1 = 100, monthly | ALFRED |
| DGS10 | DGS10 | yield of 10-year Treasury notes, percent, daily | the next business day |
| T10Y2Y | T10Y2Y | 10-year less 2-year yield, percentage points, daily | the next business day |

CCI stands in for the Conference Board's index, which FRED may not publish; the University of Michigan asks to be cited,
and its figures reach FRED a month late. PMI is absent: the Institute for Supply Management withdrew it from FRED in
2016. Who has either adds its rows to macro.csv.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.holiday import USFederalHolidayCalendar

from llmguide.bars import Bound, bound_period
from llmguide.errors import DataError
from llmguide.sources._http import JsonService, credential
from llmguide.sources.tables import read_table

__all__ = ["download_macro"]

BASE_URL = "https://api.stlouisfed.org"
WHERE = "free keys: https://fredaccount.stlouisfed.org/apikeys"
VINTAGES_PER_REQUEST = 1000  # FRED refuses more than 2000 for JSON
PER_REQUEST = 100_000  # observations; the most that FRED sends at once
LAST_VINTAGE = "9999-12-31"  # FRED's name for the newest
# Changes are taken over a quarter or a year: a first release is compared with figures of at most this age.
COMPARED = pd.DateOffset(years=1)


class Series(NamedTuple):
    id: str  # FRED's
    frequency: str  # of its periods, in pandas' terms; FRED dates an observation by the first day of its period
    revised: bool


SERIES = {
    "GDP": Series("GDPC1", "Q", True),
    "M2": Series("M2SL", "M", True),
    "PPI": Series("PPIACO", "M", True),
    "CCI": Series("UMCSENT", "M", True),
    "DGS10": Series("DGS10", "D", False),
    "T10Y2Y": Series("T10Y2Y", "D", False),
}


def download_macro(
    *, api_key: str | None = None, start: Bound | None = None, end: Bound | None = None, base_url: str = BASE_URL
) -> pd.DataFrame:
    """Return a `macro` table of the periods that begin from `start` to `end`, both inclusive.

    Columns: published_at (the end of the day of release), series, period_end, value; as `read_table` returns them.

    Each period's value is its first release, on the day of that release; revisions of it alone are left out. But a
    growth rate must not compare two vintages: levels of 2009 dollars and of 2012 dollars, which GDP changed in July
    2018, differ by 5 %. So with each first release come the figures of the year before it as they stood in that same
    release, where they differ from what was known: changes computed from the latest rows known at a moment are the
    changes as they were first published.

    The archive of a series begins later than the series; older periods carry the date of its first vintage, later than
    they were really known. Daily yields are hardly ever revised and have too many vintages to ask for: they are dated
    by the federal business day after their own, on which the Federal Reserve (H.15) publishes them.

    A change over a year needs periods of the year and a half before the first decision: choose `start` accordingly.

    `api_key` is FRED's, the environment's FRED_API_KEY by default. Raises DataError without a key, for bounds that are
    no dates, and when FRED cannot be reached or refuses; MissingExtra without requests.
    """
    first = None if start is None else bound_period("start", start).start_time.normalize()
    last = None if end is None else bound_period("end", end).end_time.normalize()
    if first is not None and last is not None and last < first:
        raise DataError(f"start ({start}) is later than end ({end}); swap them")
    key = credential(api_key, "FRED_API_KEY", what="a key for FRED", where=WHERE)
    span = {}
    if first is not None:
        span["observation_start"] = _day(first)
    if last is not None:
        span["observation_end"] = _day(last)
    frames = []
    with JsonService(
        "FRED",
        base_url,
        access=f"check the key in FRED_API_KEY ({WHERE})",
        params={"api_key": key, "file_type": "json"},
        secrets=(key,),
    ) as service:
        for name, series in SERIES.items():
            if series.revised:
                rows = _first_releases(_vintages(service, series, span))
            else:
                rows = _next_business_day(_observations(service, series, span))
            ends = pd.PeriodIndex(rows["date"], freq=series.frequency).end_time.normalize()
            frames.append(rows.drop(columns="date").assign(series=name, period_end=ends))
    macro = pd.concat(frames, ignore_index=True)
    if macro.empty:
        raise DataError(f"FRED has no observations from {start or 'the first'} to {end or 'the last'}; widen the span")
    return read_table("macro", macro)


def _vintages(service: JsonService, series: Series, span: dict[str, str]) -> pd.DataFrame:
    """Return every value that every observation had: columns known (its first day), date, value.

    FRED clips the time at which a value was known to the time asked for. Consecutive spans therefore repeat the values
    at their seams, with a later date: harmless, since only the first of equal values counts.
    """
    answer = service.get("/fred/series/vintagedates", {"series_id": series.id})
    dates = _field(answer, "vintage_dates", series)
    frames = []
    for begin in range(0, len(dates), VINTAGES_PER_REQUEST):
        following = dates[begin + VINTAGES_PER_REQUEST :]
        known = {
            "realtime_start": dates[begin],
            "realtime_end": _day(pd.Timestamp(following[0]) - pd.Timedelta(days=1)) if following else LAST_VINTAGE,
        }
        frames.append(_observations(service, series, {**span, **known}))
    if not frames:
        raise DataError(f"FRED has no vintages of {series.id}")
    return pd.concat(frames, ignore_index=True).sort_values(["date", "known"], kind="stable", ignore_index=True)


def _observations(service: JsonService, series: Series, params: dict[str, str]) -> pd.DataFrame:
    pages = list(_pages(service, series, params))
    rows = [(row["realtime_start"], row["date"], row["value"]) for page in pages for row in page]
    frame = pd.DataFrame(rows, columns=["known", "date", "value"])
    frame = frame[frame["value"] != "."]  # FRED's way to say that there is none: a holiday, a gap
    try:
        return frame.assign(
            known=pd.to_datetime(frame["known"], format="%Y-%m-%d").astype("datetime64[ns]"),
            date=pd.to_datetime(frame["date"], format="%Y-%m-%d").astype("datetime64[ns]"),
            value=pd.to_numeric(frame["value"]).astype(float),
        )
    except ValueError as error:
        problem = str(error).split("\n")[0]
    raise DataError(f"FRED sent observations of {series.id} that cannot be read: {problem}")


def _pages(service: JsonService, series: Series, params: dict[str, str]) -> Iterator[list[dict[str, str]]]:
    offset = 0
    while True:
        asked: dict[str, str | int] = {**params, "series_id": series.id, "limit": PER_REQUEST, "offset": offset}
        answer = service.get("/fred/series/observations", asked)
        page = _field(answer, "observations", series)
        yield page
        offset += len(page)
        if not page or offset >= int(answer.get("count", 0)):
            return


def _field(answer: Any, name: str, series: Series) -> list[Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get(name), list):
        raise DataError(f"FRED's answer about {series.id} has no list {name!r}; its format may have changed")
    return list(answer[name])


def _first_releases(vintages: pd.DataFrame) -> pd.DataFrame:
    """Return columns published_at, date, value: first releases, each with the year before it as it then stood."""
    rows: list[tuple[pd.Timestamp, pd.Timestamp, float]] = []
    told: dict[pd.Timestamp, float] = {}  # the last value given for each period
    history = dict(iter(vintages.groupby("date")))
    firsts = vintages.groupby("date", sort=True)["known"].min()
    for released, periods in firsts.groupby(firsts, sort=True):
        earliest = periods.index.min() - COMPARED
        for date in firsts.index[(firsts.index >= earliest) & (firsts.index <= periods.index.max())]:
            values = history[date]
            standing = values.loc[values["known"] <= released, "value"]
            if len(standing) and told.get(date) != standing.iloc[-1]:
                told[date] = standing.iloc[-1]
                rows.append((released, date, told[date]))
    return pd.DataFrame(rows, columns=["published_at", "date", "value"])


def _next_business_day(observations: pd.DataFrame) -> pd.DataFrame:
    days = observations["date"].to_numpy(dtype="datetime64[D]")
    holidays = pd.DatetimeIndex([])
    if len(days):
        calendar: Any = USFederalHolidayCalendar()
        holidays = calendar.holidays(days.min(), days.max() + np.timedelta64(14, "D"))
    published = np.busday_offset(days, 1, roll="backward", holidays=holidays.to_numpy(dtype="datetime64[D]"))
    return observations.assign(published_at=published.astype("datetime64[ns]")).drop(columns="known")


def _day(stamp: pd.Timestamp) -> str:
    return stamp.strftime("%Y-%m-%d")
