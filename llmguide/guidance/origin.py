"""Which bars a table of guidance was made from, and whether others are these.

A row remembers the last daily bar before it was issued and by how much the close had changed over the `LOOKBACK` daily
bars up to it. That survives CSV files, cutting the bars, a vendor's rounding, and dividends that rescale all adjusted
closes of the past; another instrument, or the same one dated a day off, does not have the same changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.guidance.row import GuidanceRow
from llmguide.periods import calendar_of

__all__ = ["LOOKBACK", "Origin", "daily_closes", "judge", "seen_by"]

LOOKBACK = 20
"""Daily bars over which a row remembers the change of the close."""

TOLERANCE = 0.004
"""Difference of two such changes from which on they are of different bars. Rounded prices differ by less; a dividend
that only one of two files is adjusted for by more, but not in most months."""


FEW, FAR = 3, 0.03
"""Of fewer rows than this, each must differ by more than the second: one of them can be a month with a dividend."""


class Origin(NamedTuple):
    """How many rows could be compared with some bars, how many of them differ, how many by far, and one of these."""

    compared: int
    differ: int
    far: int
    example: str

    @property
    def other(self) -> bool:
        """Whether the bars are others than those that the table was made from: most rows differ."""
        if self.compared < FEW:
            return 0 < self.compared == self.far
        return 2 * self.differ > self.compared


def daily_closes(index: pd.DatetimeIndex, close: NDArray[np.float64]) -> pd.Series:
    """Return the last close of each calendar date, by date; nothing where the bars are longer than days."""
    if calendar_of(index).unit not in ("day", "intraday"):
        return pd.Series(dtype=np.float64, index=pd.DatetimeIndex([]))
    return pd.Series(close, index=index.normalize()).groupby(level=0).last()


def seen_by(issued_at: datetime, closes: pd.Series) -> tuple[datetime | None, float | None]:
    """Return the last date before a row was issued, and the change of the close over `LOOKBACK` bars up to it.

    `closes` as `daily_closes` returns them; only those before the date of issue are looked at. None where there are not
    so many.
    """
    days = pd.DatetimeIndex(closes.index)
    count = int(days.searchsorted(pd.Timestamp(issued_at).normalize()))
    if count <= LOOKBACK:
        return None, None
    values = closes.to_numpy()
    return days[count - 1].to_pydatetime(), float(values[count - 1] / values[count - 1 - LOOKBACK] - 1.0)


def judge(rows: Iterable[GuidanceRow], closes: pd.Series) -> Origin:
    """Compare what rows remember with the bars of `closes`, as far as these hold the bars that a row saw."""
    days, values = pd.DatetimeIndex(closes.index), closes.to_numpy(dtype=np.float64)
    compared = differ = far = 0
    example = ""
    for row in rows:
        if row.seen_until is None or row.seen_return is None or not len(days):
            continue
        seen = pd.Timestamp(row.seen_until)
        count = int(days.searchsorted(seen, side="right"))
        if count <= LOOKBACK or seen > days[-1]:
            continue  # the bars begin later, or end before
        compared += 1
        found = float(values[count - 1] / values[count - 1 - LOOKBACK] - 1.0)
        if days[count - 1] == seen and math.isclose(found, row.seen_return, rel_tol=0.0, abs_tol=TOLERANCE):
            continue
        differ += 1
        far += days[count - 1] != seen or not abs(found - row.seen_return) <= FAR
        if not example:
            what = f"they have {found:+.1%} then" if days[count - 1] == seen else "they have no bar of that day"
            example = (
                f"the row issued {row.issued_at:%Y-%m-%d} saw the close change by {row.seen_return:+.1%} over "
                f"{LOOKBACK} bars up to {seen:%Y-%m-%d}, and {what}"
            )
    return Origin(compared, differ, far, example)
