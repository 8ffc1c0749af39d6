"""Prices that cannot be true: splits that were not applied, errors of unit, wrong single prices, gaps, stale closes.

A check of bars that are complete otherwise: no value is changed by it. A single day's move can be real, so limits are
wide of what shares do, rise with the bars' spacing and with their own volatility, and a move of middle size on a bar
with several times the usual volume is taken for news. What is smaller than the limits (a 5:4 split) is not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["Finding", "describe", "find_suspicions"]

Kind = Literal["split", "unit", "move", "spike", "price", "gap", "stale"]

DAY_LIMIT = 0.33
"""Log move of a day that is suspicious: -28 % or +39 %. The largest of the benchmark's 60 files is 0.28."""
CERTAIN = 2.0
"""From this multiple of the limit on, high volume excuses nothing."""
BUSY = 3.0
"""Volume above this multiple of the median of the 20 bars before it speaks for a real event."""
BACK = 5
"""A move that is undone within so many bars is a wrong price, not a new level."""
STALE = 10
"""Bars in a row with one close and no volume."""
MISSING = {"weekdays": 10, "days": 7, "weeks": 3, "months": 2}
"""How many missing bars in a row are a gap. Exchanges were closed for six weekdays in a row (Tokyo, 2019)."""

RATIOS = (
    (3, 2),
    (2, 1),
    (5, 2),
    (3, 1),
    (4, 1),
    (5, 1),
    (6, 1),
    (7, 1),
    (8, 1),
    (10, 1),
    (15, 1),
    (20, 1),
    (25, 1),
    (50, 1),
)
UNITS = (100, 1000)


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong.

    Attributes:
        date: the bar on which it begins; for a gap, the last bar before it.
        kind: split, unit, move (a new level of no known ratio), spike (undone within some bars), price (an open, high
            or low far from its close), gap, or stale.
        size: the move as a fraction (-0.5 for a fall of 50 %); for a price its ratio to the close; for a gap and a
            stale close, how many bars.
        sentence: what it is, with its date and size.
    """

    date: pd.Timestamp
    kind: Kind
    size: float
    sentence: str


def describe(findings: tuple[Finding, ...], most: int = 3) -> str:
    """The first few findings, and how many more there are."""
    rest = len(findings) - most
    more = [f"and {rest} more suspicious places"] if rest > 1 else ["and 1 more suspicious place"] if rest == 1 else []
    return ", ".join([*(finding.sentence for finding in findings[:most]), *more])


def find_suspicions(bars: pd.DataFrame) -> tuple[Finding, ...]:
    """Return what looks wrong in complete bars (open, high, low, close > 0, volume), in order of date."""
    moves = list(_moves(bars))
    odd = {row for _, rows in moves for row in rows}
    found = [finding for finding, _ in moves]
    found += [*_prices(bars, odd), *_gaps(pd.DatetimeIndex(bars.index)), *_stale(bars)]
    return tuple(sorted(found, key=lambda finding: finding.date))


def _days(index: pd.DatetimeIndex) -> tuple[np.ndarray, float]:
    """Calendar days between neighbours, and their median: the bars' own spacing."""
    elapsed = np.diff(index.to_numpy(dtype="datetime64[ns]")) / np.timedelta64(1, "D")
    return elapsed, float(np.median(elapsed))


def _limits(bars: pd.DataFrame) -> np.ndarray:
    """The log move of each bar (from the second on) from which on it is suspicious."""
    elapsed, step = _days(pd.DatetimeIndex(bars.index))
    # In trading days; an hour is about a seventh of one, and the night between two intraday bars a whole one.
    usual = step * 5 / 7 if step > 3 else 1.0 if step >= 0.5 else max(step * 24 / 6.5, 0.01)
    days = np.where(elapsed > max(5.0, 2 * step), elapsed * 5 / 7, usual)
    days = np.where((step < 0.5) & (elapsed >= 0.5), np.maximum(days, 1.0), days)
    moves = np.diff(np.log(bars["close"].to_numpy()))
    spread = 1.4826 * float(np.median(np.abs(moves - np.median(moves))))
    return np.maximum(DAY_LIMIT * days**0.2, 6.0 * spread)


def _moves(bars: pd.DataFrame) -> Iterator[tuple[Finding, range]]:
    """Find suspicious moves of the close, each with the rows whose close is wrong (none for a new level)."""
    log = np.log(bars["close"].to_numpy())
    index = bars.index
    limits = _limits(bars)
    volume = bars["volume"].replace(0.0, np.nan)
    usual = volume.rolling(20, min_periods=5).median().shift(1)
    busy = (volume > BUSY * usual).to_numpy()
    row = 1
    while row < len(log):
        move, limit = log[row] - log[row - 1], limits[row - 1]
        if abs(move) <= limit or (busy[row] and abs(move) <= CERTAIN * limit):
            row += 1
            continue
        size = float(np.expm1(move))
        what = f"close {'rose' if move > 0 else 'fell'} {_percent(size)} on {_day(index[row])}"
        later = log[row + 1 : row + 1 + BACK] - log[row - 1]
        back = np.flatnonzero(np.abs(later) <= min(limit, abs(move) / 2))
        if len(back):
            bars_wrong = int(back[0]) + 1
            when = "the next bar" if bars_wrong == 1 else f"{bars_wrong} bars later"
            unit = _unit(move)
            why = f"a unit error of {unit}" if unit else "a wrong price"
            fell = "fell back" if move > 0 else "came back"
            sentence = f"{what} and {fell} {when}: looks like {why}"
            yield Finding(index[row], "unit" if unit else "spike", size, sentence), range(row, row + bars_wrong)
            row += bars_wrong + 1
            continue
        # The night's move tells the ratio more precisely, where opens are on the scale of the closes.
        night = float(np.log(bars["open"].iloc[row]) - log[row - 1])
        kind, why = _level(move, night)
        yield Finding(index[row], kind, size, f"{what}: {why}"), range(0)
        row += 1


def _unit(move: float) -> str:
    for ratio in UNITS:
        if abs(abs(move) - np.log(ratio)) <= 0.2:
            return f"{ratio}:1"
    return ""


def _level(move: float, night: float) -> tuple[Kind, str]:
    """What a move to a new level looks like."""
    if unit := _unit(move):
        return "unit", f"looks like a change of unit of {unit} (such as pence and pounds), or a split not applied"
    nearest = min(((abs(abs(part) - np.log(a / b)), a, b) for part in (move, night) for a, b in RATIOS))
    if nearest[0] <= 0.06:
        _, a, b = nearest
        name = f"{a}:{b} split" if move < 0 else f"{b}:{a} reverse split"
        return "split", f"looks like a {name} that was not applied"
    return "move", "more than shares move in that time; compare it with another source"


def _prices(bars: pd.DataFrame, odd: set[int]) -> Iterator[Finding]:
    """Find opens, highs and lows that are far from their close on one bar; `odd` are rows with a wrong close.

    Distances are taken from the level of the bars around, since files whose closes alone are adjusted have all three on
    another scale.
    """
    _, step = _days(pd.DatetimeIndex(bars.index))
    three = bars[["open", "high", "low"]]
    distance = three.div(bars["close"], axis=0).apply(np.log)
    off = distance - distance.rolling(11, center=True, min_periods=1).median()
    spread = 1.4826 * off.abs().median()
    # A low 31 % under the open is real: 24 August 2015.
    limit = np.maximum(0.5 * max(step * 5 / 7, 1.0) ** 0.2, 10 * spread)
    wrong = off.abs() > limit
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        if row in odd:
            continue
        columns = [column for column in wrong if wrong[column].iloc[row]]
        ratio = float(np.exp(off[columns[0]].iloc[row]))
        yield Finding(
            bars.index[row],
            "price",
            ratio,
            f"{' and '.join(columns)} of {_day(bars.index[row])} {'are' if len(columns) > 1 else 'is'} {ratio:.3g} "
            "times what the close and the bars around let expect: looks like a wrong price",
        )


def _gaps(index: pd.DatetimeIndex) -> Iterator[Finding]:
    """Find stretches without bars, in the bars' own spacing."""
    elapsed, step = _days(index)
    weekends = bool((index.day_of_week >= 5).mean() > 0.1)
    if step > 45:
        return
    unit = "months" if step > 20 else "weeks" if step > 3 else "days" if weekends else "weekdays"
    for row in np.flatnonzero(elapsed > max(2 * step, 5.0)).tolist():
        before, after = index[row].normalize(), index[row + 1].normalize()
        first, last = before + pd.Timedelta(days=1), after - pd.Timedelta(days=1)
        if unit == "weekdays":
            missing = int(np.busday_count(first.to_numpy().astype("M8[D]"), after.to_numpy().astype("M8[D]")))
            first, last = first + pd.offsets.BDay(0), after - pd.offsets.BDay(1)
        elif unit == "days":
            missing = (after - before).days - 1
        else:
            missing = round(float(elapsed[row]) / (30.44 if unit == "months" else 7)) - 1
        if missing >= MISSING[unit]:
            sentence = f"no bars from {_day(first)} to {_day(last)}: {missing} {unit}"
            yield Finding(index[row], "gap", float(missing), sentence)


def _stale(bars: pd.DataFrame) -> Iterator[Finding]:
    """Find closes that stay the same while nothing is traded."""
    same = (bars["close"].diff() == 0) & (bars["volume"] == 0)
    flat = (bars["high"] == bars["low"]) & (bars["close"].diff() == 0)  # volume filled forward is no trade
    edges = np.flatnonzero(np.diff(np.r_[False, (same | flat).to_numpy(), False]))
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if after - first >= STALE:
            span = f"{_day(bars.index[first])} to {_day(bars.index[after - 1])}"
            sentence = f"close stays the same from {span}, {after - first} bars: looks like prices carried forward"
            yield Finding(bars.index[first], "stale", float(after - first), sentence)


def _percent(size: float) -> str:
    return f"{abs(size) * 100:,.0f} %" if abs(size) < 0.99 or size > 0 else f"{abs(size) * 100:.4g} %"


def _day(stamp: pd.Timestamp) -> str:
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else str(stamp)
