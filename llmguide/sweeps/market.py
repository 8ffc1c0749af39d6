"""What a sweep is measured on: one instrument's bars, with the guidance and the agent for it.

**Guidance of another time.** A table's last row is in force for `STALE` days, or for twice the longest time between two
of its rows where that is more. Guidance that no longer is at the first tradable bar, or of which no bar sees a row, is
refused. A DataWarning says where it no longer is at the last bar, or where all bars see the same row, the last one.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataWarning, GuidanceError, LlmguideError
from llmguide.guidance.table import Guidance
from llmguide.periods import DEFAULT

if TYPE_CHECKING:
    from llmguide.rl.agent import Agent

__all__ = ["STALE", "Market", "check_guidance", "kind_of"]

STALE = 183
"""Days after which a table's last row is no longer taken for what holds, if its rows are closer than half of that."""


@dataclass(frozen=True)
class Market:
    """What a rule may look at: one instrument's bars, and the guidance and agent for it.

    Attributes:
        labels: where it stands in the frame of a sweep: symbol, guidance, or neither.
        bars: as `llmguide.read_bars` returns them.
        prices: their closes, shape ``(bars,)``.
        guidance, agent: None where the sweep has none.
        start: the first tradable bar.
        periods: bars per year.
    """

    labels: dict[str, str]
    bars: pd.DataFrame
    prices: NDArray[np.float64]
    guidance: Guidance | None
    agent: Agent | None
    start: int
    periods: float = DEFAULT

    @property
    def tradable(self) -> int:
        """Number of bars with a decision."""
        return len(self.prices) - self.start

    @property
    def dates(self) -> pd.DatetimeIndex:
        """The dates of the bars; LlmguideError where they have none."""
        if not isinstance(self.bars.index, pd.DatetimeIndex):
            raise LlmguideError(
                f"guidance needs bars with dates, got an index of type {type(self.bars.index).__name__}"
            )
        return self.bars.index


def kind_of(index: pd.Index[Any]) -> str:
    """Return in words what an index consists of, as far as two can be compared."""
    if not isinstance(index, pd.DatetimeIndex):
        return "no dates" if len(index) == 0 or isinstance(index, pd.RangeIndex) else f"an index of {index.dtype}"
    return f"dates {'without' if index.tz is None else 'with'} a time zone"


def check_guidance(market: Market) -> None:
    """Refuse guidance of another time than the tradable bars, and warn where it ends long before they do."""
    if market.guidance is None:
        return
    market.guidance.check_bars(market.bars, symbol=market.labels.get("symbol", ""))
    rows = [row.issued_at for row in market.guidance.rows]
    first, last = (market.dates[place].date() for place in (market.start, -1))
    where = " ".join(["guidance", *market.labels.values()])
    if not rows:
        raise GuidanceError(f"{where} has no rows; give a table for {first} to {last}")
    issued = [moment for moment in rows if moment.date() <= last]  # what comes later, no bar sees
    if market.guidance.at(last) is None:
        raise GuidanceError(
            f"no bar sees any {where}: it begins {rows[0]}, and the last bar is of {last}; give an earlier table"
        )
    gaps = [(later - earlier).days for earlier, later in pairwise(issued)]
    lasts = max(STALE, 2 * max(gaps, default=0))
    ended = issued[-1].date()
    if (first - ended).days > lasts:
        raise GuidanceError(
            f"{where} ends on {ended}, {(first - ended).days} days before the first tradable bar of {first}; give a "
            "table that extends to these bars"
        )
    if ended < market.dates[0].date():
        fault = f"all bars from {market.dates[0].date()} to {last} see the same row, the last one"
    elif (last - ended).days > lasts:
        fault = f"the bars go on for {(last - ended).days} days, to {last}, and all of these see the last row"
    else:
        return
    warnings.warn(f"{where} ends on {ended}, but {fault}; give a table for these bars", DataWarning, stacklevel=2)
