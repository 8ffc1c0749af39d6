"""Daily bars: read from any usual source, checked at the door, with every repair counted.

Bars are a DataFrame with the columns open, high, low, close, volume (float64) and a naive, strictly increasing
DatetimeIndex named "date". Layouts and dates are recognised in `llmguide.sources.layouts`; this module judges what the
numbers say. What makes bars unusable is an error; what is merely unusual is reported in one `DataWarning`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from llmguide.errors import DataError, DataWarning, did_you_mean, warn_always
from llmguide.sources import consequences
from llmguide.sources.adjusting import adjust_prices
from llmguide.sources.layouts import PRICES, read_table
from llmguide.sources.suspicion import Finding, describe, find_suspicions
from llmguide.sources.synthetic import sample_bars

__all__ = ["COLUMNS", "MIN_BARS", "BarsReport", "count_closes_outside", "inspect_bars", "read_bars", "sample_bars"]

COLUMNS = (*PRICES, "volume")
"""Names of the columns of bars, in order."""
MIN_BARS = 32
"""Fewest bars that are accepted: the 30 of the first observation, the bar of the first decision, and one that rewards
it.
"""

Bound = str | date | datetime | pd.Timestamp
Gaps = Literal["forward", "interpolate"]


@dataclass(frozen=True)
class BarsReport:
    """What was found in bars that were accepted; all counts are of the bars returned.

    Attributes:
        source: file name, or "the frame".
        bars: how many bars.
        first: date of the first bar.
        last: date of the last bar.
        reversed: the newest bar came first (as in files of Alpha Vantage), and the order was reversed.
        adjusted_ignored: bars whose "Adj Close", which was left out, differs from the Close that was used.
        closes_outside: bars whose close lies outside [low, high], as where only closes are adjusted.
        missing_prices: prices that were zero or absent.
        missing_volumes: volumes that were zero or absent.
        filled_forward: values that were filled with the last known one.
        filled_linear: values that were interpolated.
        filled_backward: values that were filled with the next known one.
        zero_volumes: volumes that are 0 in the result, because none was known up to then.
        longest_gap: the longest run of bars in which one column was filled.
        findings: prices, moves and gaps that look wrong, in order of date (see `llmguide.sources.suspicion`).
        last_today: the last bar is of today, so that its close may not be final.
        adjusted: what ``adjust=True`` did.
    """

    source: str
    bars: int
    first: pd.Timestamp
    last: pd.Timestamp
    reversed: bool = False
    adjusted_ignored: int = 0
    closes_outside: int = 0
    missing_prices: int = 0
    missing_volumes: int = 0
    filled_forward: int = 0
    filled_linear: int = 0
    filled_backward: int = 0
    zero_volumes: int = 0
    longest_gap: int = 0
    findings: tuple[Finding, ...] = ()
    last_today: bool = False
    adjusted: str = ""

    @property
    def filled(self) -> int:
        """How many values were filled by any rule."""
        return self.filled_forward + self.filled_linear + self.filled_backward

    def notes(self) -> list[str]:
        """Return what is unusual, one phrase each with its count and whether it matters; an empty list for bars without
        anything unusual.
        """
        rules = {"forward": self.filled_forward, "linearly": self.filled_linear, "backward": self.filled_backward}
        how = ", ".join(f"{count} {rule}" for rule, count in rules.items() if count)
        missing = " and ".join(
            f"{count} {what}"
            for count, what in ((self.missing_prices, "prices"), (self.missing_volumes, "volumes"))
            if count
        )
        filled = (
            f", {self.filled} values filled ({how}), at most {self.longest_gap} bars in a row" if self.filled else ""
        )
        filling = consequences.of_filling(
            prices=self.missing_prices, longest=self.longest_gap, bars=self.bars, linear=self.filled_linear
        )
        notes = (
            ("the newest bar came first: order reversed", self.reversed, consequences.REVERSED),
            (
                f"Adj Close ignored, it differs from Close on {self.adjusted_ignored} bars",
                self.adjusted_ignored,
                consequences.ADJUSTED_IGNORED,
            ),
            (f"Close outside [Low, High] on {self.closes_outside} bars", self.closes_outside, consequences.OUTSIDE),
            (f"{missing} zero or missing{filled}", missing, filling),
            (
                f"volume is 0 on the {self.zero_volumes} bars before the first known one",
                self.zero_volumes,
                consequences.ZERO_VOLUMES,
            ),
            (self.adjusted, self.adjusted, consequences.ADJUSTED),
            ("the last bar is of today: its close may not be final", self.last_today, consequences.LAST_TODAY),
            (describe(self.findings), self.findings, consequences.of_findings(self.findings)),
        )
        return [f"{note} ({matters})" for note, found, matters in notes if found]

    def __str__(self) -> str:
        span = f"{self.source}: {self.bars} bars, {self.first:%Y-%m-%d} to {self.last:%Y-%m-%d}"
        return "; ".join([span, *self.notes()])


def read_bars(
    path_or_frame: Path | str | pd.DataFrame,
    *,
    start: Bound | None = None,
    end: Bound | None = None,
    gaps: Gaps = "forward",
    strict: bool = False,
    adjust: bool = False,
    today: date | None = None,
    tz: str | None = None,
) -> pd.DataFrame:
    """Read bars from a CSV or Parquet file or a DataFrame, and warn once of everything unusual in them.

    The layouts of yfinance, Alpha Vantage, Stooq, vectorbt, Tiingo, Polygon, Alpaca, Nasdaq, Investing.com, MetaTrader
    5, Binance, CCXT, spreadsheets and the TDQN benchmark's files are recognised (docs/bars.md), in any case of column
    names; other columns are left out. The input is never modified.

    The close is used as given, and "Adj Close" is ignored; ``adjust=True`` puts all four prices on the adjusted scale.

    Args:
        path_or_frame: a file, or a frame whose dates are its index or a column.
        start: first date, inclusive; "2018" and "2018-03" mean the whole year and month. Values outside `start` to
            `end` are neither checked nor used, so that reading a slice equals slicing first and reading then.
        end: last date, inclusive, in the same form.
        gaps: how prices and volumes that are zero or missing are filled. "forward" repeats the last known value, and so
            uses nothing of a later bar. "interpolate" is the TDQN authors' rule, for replication: linear over at most 5
            bars of a gap, then forward, then backward; **it uses the next known value, which is in the future of the
            bars that it fills**. A filled high or low that would cross the other is set equal to it. Volume is 0 until
            one is known ("forward"), and throughout where there is none.
        strict: refuse bars in which prices, moves or gaps look wrong (`BarsReport.findings`), instead of warning.
        adjust: put all prices on one scale. Where the file has an "Adj Close" that differs, all four are multiplied by
            Adj Close / Close. Where only closes were adjusted, so that they lie outside [low, high], open, high and low
            are brought to the scale of the closes as far as it can be inferred from each bar and those before it
            (`llmguide.sources.adjusting`). Volume is left as it is.
        today: dates after this one count as future; None is today's, in the time zone where it is latest.
        tz: IANA name of the exchange's time zone, such as "Asia/Tokyo". Needed where daily bars are stamped at another
            time than midnight, which leaves their day open (see `llmguide.sources.layouts.read_table`).

    Returns:
        Bars: open, high, low, close and volume as float64, with a naive increasing index named "date". A time zone is
            dropped and its wall time kept; daily bars get the bare date of the exchange.

    Raises:
        DataError: the file does not exist or is not a table; a column is missing; dates are unreadable, out of order,
            duplicated or in the future; values are not numbers, negative or infinite; a column has no price; high <
            low; the first bar lacks a price ("forward"); fewer than `MIN_BARS` bars are left; something looks wrong and
            `strict` is set; `adjust` is not possible.

    Warns:
        DataWarning: once, with the count of each: order reversed, Adj Close ignored, closes outside [low, high], zero
            or missing values and how they were filled, what looks wrong, a last bar of today. `inspect_bars` returns
            the same as numbers.
    """
    bars, report = inspect_bars(
        path_or_frame, start=start, end=end, gaps=gaps, strict=strict, adjust=adjust, today=today, tz=tz
    )
    if report.notes():
        if isinstance(path_or_frame, pd.DataFrame):
            warn_always(str(report))  # another frame may well have the same dates and counts
        else:
            warnings.warn(str(report), DataWarning, stacklevel=2)
    return bars


def inspect_bars(
    path_or_frame: Path | str | pd.DataFrame,
    *,
    start: Bound | None = None,
    end: Bound | None = None,
    gaps: Gaps = "forward",
    strict: bool = False,
    adjust: bool = False,
    today: date | None = None,
    tz: str | None = None,
) -> tuple[pd.DataFrame, BarsReport]:
    """Read bars as `read_bars` does, and return them with a report instead of warning.

    The arguments `path_or_frame`, `start`, `end`, `gaps`, `strict`, `adjust`, `today` and `tz` are those of
    `read_bars`, and so are the errors (DataError).

    Returns:
        The bars, and a `BarsReport` of everything unusual in them.
    """
    if gaps not in ("forward", "interpolate"):
        hint = did_you_mean(gaps, ("forward", "interpolate"))
        raise DataError(f"expected gaps to be 'forward' or 'interpolate', got {gaps!r}{hint}")
    name, table = read_table(path_or_frame, tz=tz)
    table, is_reversed = _in_order(name, table)
    # No exchange is further ahead than UTC+14.
    _refuse_future(name, pd.DatetimeIndex(table.index), today or (datetime.now(UTC) + timedelta(hours=14)).date())
    table = _between(name, table, start, end)
    known = _known_values(name, table)
    adjusted = ""
    if adjust:
        series = pd.to_numeric(table["adj close"], errors="coerce") if "adj close" in table else None
        known, adjusted = adjust_prices(name, known, series)
    bars, counts = _fill(name, known, gaps)
    findings = find_suspicions(bars)
    if strict and findings:
        raise DataError(f"{name}: {describe(findings)}; correct the file, or read it without strict")
    report = BarsReport(
        source=name,
        bars=len(bars),
        first=bars.index[0],
        last=bars.index[-1],
        reversed=is_reversed,
        adjusted_ignored=0 if adjust else _differing(table),
        closes_outside=count_closes_outside(bars),
        missing_prices=int(known[list(PRICES)].isna().sum().sum()),
        missing_volumes=int(known["volume"].isna().sum()),
        findings=findings,
        last_today=_is_daily(bars.index) and bars.index[-1].date() >= (today or datetime.now(UTC).date()),
        adjusted=adjusted,
        **counts,
    )
    return bars, report


def count_closes_outside(bars: pd.DataFrame) -> int:
    """Return on how many bars the close lies outside [low, high].

    Args:
        bars: as `read_bars` returns them.
    """
    tolerance = 1e-9 * bars["close"]  # Adjusting all prices by one factor rounds each of them.
    return int(((bars["close"] > bars["high"] + tolerance) | (bars["close"] < bars["low"] - tolerance)).sum())


def _is_daily(index: pd.Index) -> bool:
    stamps = pd.DatetimeIndex(index)
    return bool((stamps == stamps.normalize()).all())


def _in_order(name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Return the table oldest first, and whether it had to be turned; refuse jumbled and double dates."""
    index = table.index
    is_reversed = len(table) > 1 and index.is_monotonic_decreasing and index[0] > index[-1]
    if is_reversed:
        table = table.iloc[::-1]
        index = table.index
    double = index.duplicated()
    if double.any():
        raise DataError(_doubles(name, table))
    if not index.is_monotonic_increasing:
        row = int(np.argmax(index[1:] < index[:-1])) + 1
        raise DataError(
            f"{name} is not sorted by date: {_day(index[row])} comes after {_day(index[row - 1])}; sort it (and make "
            "sure that its rows belong to one instrument)"
        )
    return table, is_reversed


def _doubles(name: str, table: pd.DataFrame) -> str:
    """Say which dates occur more than once, and what that looks like: a repeated tail, or several instruments."""
    again = table.index.duplicated()
    days = table.index[again].unique().sort_values()
    listed = ", ".join(_day(day) for day in days[:5]) + (", ..." if len(days) > 5 else "")
    found = f"{name} has {int(again.sum())} duplicate dates, the first {listed}"
    closes = pd.to_numeric(table["close"], errors="coerce").groupby(table.index).agg(["min", "max"]).loc[days]
    if (closes["max"] / closes["min"]).median() > 1.2:
        low, high = closes.iloc[0]
        return (
            f"{found}, with closes as far apart as {low:g} and {high:g} on that day: rows of several instruments; "
            "select one of them"
        )
    differ = not table.reset_index().duplicated().to_numpy()[again].all()
    how = "; their values differ, as of a running bar and a finished one" if differ else "; their rows are equal"
    return f"{found}{how}; keep one bar for each, as in frame[~frame.index.duplicated(keep='last')]"


def _refuse_future(name: str, index: pd.DatetimeIndex, today: date) -> None:
    future = index.normalize() > pd.Timestamp(today)
    if future.any():
        raise DataError(
            f"{name} has {int(future.sum())} dates in the future, the first {_day(index[future][0])} (today is "
            f"{today}); check how its dates were parsed"
        )


def _between(name: str, table: pd.DataFrame, start: Bound | None, end: Bound | None) -> pd.DataFrame:
    first = bound_period("start", start).start_time if start is not None else table.index[0]
    last = bound_period("end", end).end_time if end is not None else table.index[-1]
    chosen = table[(table.index >= first) & (table.index <= last)]
    span = f"{_day(table.index[0])} to {_day(table.index[-1])}"
    asked = f"from {start if start is not None else 'the first'} to {end if end is not None else 'the last'}"
    if chosen.empty:
        raise DataError(f"{name} has no bars {asked}; it has {len(table)}, {span}")
    if len(chosen) < MIN_BARS:
        which = f"{name} {asked}" if len(chosen) < len(table) else name
        raise DataError(
            f"{which} is too short: {len(chosen)} bars, at least {MIN_BARS} are needed (30 to observe, one to "
            f"decide on, one to be rewarded for); it has {len(table)}, {span}"
        )
    return chosen


def bound_period(side: str, value: Bound) -> pd.Period:
    """Return the day, month or year that a bound names, or an instant where it has a time of day."""
    try:
        if isinstance(value, str):
            period = pd.Period(value)
        else:
            stamp = pd.Timestamp(value).tz_localize(None)
            period = pd.Period(stamp, freq="D" if stamp.time() == time() else "us")
    except (ValueError, TypeError) as error:
        raise DataError(f"expected {side} to be a date such as '2018-01-31', got {value!r}") from error
    if not isinstance(period, pd.Period):  # NaT
        raise DataError(f"expected {side} to be a date such as '2018-01-31', got {value!r}")
    return period


def _known_values(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the values as float64, NaN where nothing is known (absent, or zero); refuse what cannot be true."""
    columns = {}
    for column in COLUMNS:
        if column not in table:
            columns[column] = np.full(len(table), np.nan)
            continue
        given = table[column]
        values = pd.to_numeric(given, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        for problem, wrong in {
            "not numbers": np.isnan(values) & given.notna().to_numpy(),
            "infinite": np.isinf(values),
            "negative": values < 0,
        }.items():
            if wrong.any():
                row = int(wrong.argmax())
                raise DataError(
                    f"{name}: {int(wrong.sum())} values of {column!r} are {problem}, the first on "
                    f"{_day(table.index[row])}: {str(given.iloc[row])!r}; correct or remove those bars"
                )
        if column in PRICES and not (values > 0).any():
            raise DataError(f"{name}: no value of {column!r} is above zero, so these are not prices; check the file")
        columns[column] = np.where(values == 0, np.nan, values)
    known = pd.DataFrame(columns, index=table.index)
    crossed = known["high"] < known["low"]
    if crossed.any():
        raise DataError(
            f"{name}: high is below low on {int(crossed.sum())} bars, the first {_day(known.index[crossed][0])}; "
            "check whether the columns are swapped"
        )
    return known


def _fill(name: str, known: pd.DataFrame, gaps: Gaps) -> tuple[pd.DataFrame, dict[str, int]]:
    """Fill NaN by the rule `gaps` of `read_bars`; return complete bars, and the counts for `BarsReport`."""
    prices = list(PRICES)
    linear = known
    if gaps == "interpolate":
        linear = known.interpolate(method="linear", limit=5, limit_area="inside")
    elif known[prices].iloc[0].isna().any():
        column = str(known[prices].iloc[0].isna().idxmax())
        complete = known[prices].dropna()
        advice = f"begin at the first complete bar, start='{_day(complete.index[0])}'" if len(complete) else "add them"
        raise DataError(
            f"{name}: the first bar, {_day(known.index[0])}, has no {column}, and gaps are filled from earlier bars "
            f"only; {advice}"
        )
    forward = linear.ffill()
    backward = forward.bfill() if gaps == "interpolate" else forward
    bars = backward.fillna({"volume": 0.0})

    # Known highs and lows do not cross, so where they do one of them was filled: that one gives way.
    crossed = bars["high"] < bars["low"]
    high_filled = known["high"].isna()
    bars["high"] = bars["high"].mask(crossed & high_filled, bars["low"])
    bars["low"] = bars["low"].mask(crossed & ~high_filled, bars["high"])

    missing = [int(step.isna().sum().sum()) for step in (known, linear, forward, backward)]
    counts = {
        "filled_linear": missing[0] - missing[1],
        "filled_forward": missing[1] - missing[2],
        "filled_backward": missing[2] - missing[3],
        "zero_volumes": missing[3],
        "longest_gap": max(_longest_run((known[c].isna() & backward[c].notna()).to_numpy()) for c in COLUMNS),
    }
    return bars, counts


def _longest_run(mask: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False]))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _differing(table: pd.DataFrame) -> int:
    """On how many bars an adjusted close, which is not used, differs from the close, which is."""
    if "adj close" not in table:
        return 0
    close, adjusted = (pd.to_numeric(table[c], errors="coerce").to_numpy(dtype=float) for c in ("close", "adj close"))
    return int((~np.isclose(close, adjusted, rtol=1e-9, atol=0, equal_nan=True)).sum())


def _day(stamp: pd.Timestamp) -> str:
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else str(stamp)
