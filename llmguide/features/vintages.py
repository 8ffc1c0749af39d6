"""What was last said of a day or a period, where it was said more than once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["DAILY_AGE", "Figures", "last_figures"]

DAILY_AGE = 7
"""Days after which a daily figure counts as not known any more: weekends and holidays pass, an ended table does not."""

# Fiscal quarters end up to two weeks away from the calendar's; the next figure of a monthly series is 28 days away.
_TOLERANCE = np.timedelta64(20, "D")


class Figures(NamedTuple):
    """The latest known figure of each day or period; no NaN."""

    periods: NDArray[np.datetime64]  # (n,) increasing dates: of the day, or of the period's end
    values: NDArray[np.float64]  # (n,)

    @property
    def last(self) -> float:
        """The figure of the last period."""
        return float(self.values[-1])

    def is_fresh(self, moment: pd.Timestamp, *, days: int) -> bool:
        """Whether there is a figure, and the last one tells of at most so many days before that of `moment`."""
        return len(self.periods) > 0 and moment.normalize() - pd.Timestamp(self.periods[-1]) <= pd.Timedelta(days=days)

    def days(self, count: int) -> NDArray[np.float64] | None:
        """Return the last `count` daily figures, (count,); None where there are fewer, or they are not of that time.

        Those of a table with a long gap, or with a row a week, are not: `count` days are less than 2 * `count` calendar
        days with some more for holidays.
        """
        if len(self.periods) < count:
            return None
        span = self.periods[-1] - self.periods[-count]
        return self.values[-count:] if span <= np.timedelta64(2 * count + DAILY_AGE, "D") else None

    def change(self, *, months: int, relative: bool) -> float | None:
        """Return the change of the last figure from that of the period `months` before; None where it is not known.

        The period before is the one whose end is nearest to the day so many calendar months earlier, at most 20 days
        off. The change is relative to the size of the earlier figure (so that a smaller loss is a rise), or a
        difference.
        """
        target = pd.Timestamp(self.periods[-1]) - pd.DateOffset(months=months)
        distances = np.abs(self.periods - target.to_datetime64())
        nearest = int(distances.argmin())
        now, then = self.last, float(self.values[nearest])
        if distances[nearest] > _TOLERANCE or (relative and then == 0):
            return None
        return (now - then) / abs(then) if relative else now - then


def last_figures(table: pd.DataFrame, value: str, *, per: str) -> Figures:
    """Return the latest known figures of the column `value`, one for each day or period in the column `per`.

    The table is sorted by published_at, and cut at the moment of interest (`Tables.until`).
    """
    periods = table[per].to_numpy(dtype="datetime64[ns]")
    values = table[value].to_numpy(dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(periods[known], kind="stable")]
    periods, values = periods[order], values[order]
    latest = np.append(periods[1:] != periods[:-1], np.ones(min(1, len(periods)), dtype=bool))
    return Figures(periods[latest], values[latest])
