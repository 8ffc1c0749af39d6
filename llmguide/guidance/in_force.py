"""Whether guidance is of the bars' time.

A table's last row is in force for `STALE` days, or for twice the longest time between two of its rows where that is
more. Guidance that no longer is at the first bar that counts, or of which no bar sees a row, is refused. A DataWarning
says where it no longer is at the last bar, or where all bars see the same row, the last one.
"""

from __future__ import annotations

import warnings
from itertools import pairwise

import pandas as pd

from llmguide.errors import DataWarning, GuidanceError
from llmguide.guidance.table import Guidance

__all__ = ["STALE", "check_in_force"]

STALE = 183
"""Days after which a table's last row is no longer taken for what holds, if its rows are closer than half of that."""


def check_in_force(
    guidance: Guidance,
    bars: pd.DataFrame,
    dates: pd.DatetimeIndex,
    *,
    start: int,
    name: str = "guidance",
    symbol: str = "",
) -> None:
    """Refuse guidance of other bars or of another time, and warn where it ends long before the bars do.

    Args:
        guidance: the table.
        bars: as `llmguide.read_bars` returns them.
        dates: of the bars.
        start: position of the first bar that counts.
        name: what the table is called in errors.
        symbol: the instrument, where it is known.
    """
    guidance.check_bars(bars, symbol=symbol)
    rows = [row.issued_at for row in guidance.rows]
    first, last = (dates[place].date() for place in (start, -1))
    if not rows:
        raise GuidanceError(f"{name} has no rows; give a table for {first} to {last}")
    issued = [moment for moment in rows if moment.date() <= last]  # what comes later, no bar sees
    if guidance.at(last) is None:
        raise GuidanceError(
            f"no bar sees any {name}: it begins {rows[0]}, and the last bar is of {last}; give an earlier table"
        )
    gaps = [(later - earlier).days for earlier, later in pairwise(issued)]
    lasts = max(STALE, 2 * max(gaps, default=0))
    ended = issued[-1].date()
    if (first - ended).days > lasts:
        raise GuidanceError(
            f"{name} ends on {ended}, {(first - ended).days} days before the first tradable bar of {first}; "
            "give a table that extends to these bars"
        )
    if ended < dates[0].date():
        fault = f"all bars from {dates[0].date()} to {last} see the same row, the last one"
    elif (last - ended).days > lasts:
        fault = f"the bars go on for {(last - ended).days} days, to {last}, and all of these see the last row"
    else:
        return
    warnings.warn(
        f"{name} ends on {ended}, but {fault}: stale guidance is traded as if it were current; give a table "
        "for these bars",
        DataWarning,
        stacklevel=2,
    )
