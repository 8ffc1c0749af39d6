"""What became of each month: the return of the bars from one issue of guidance to the next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from llmguide.experiments.markets import Market
from llmguide.guidance.schedule import close_prices

__all__ = ["Outcome", "outcomes"]


class Outcome(NamedTuple):
    """How the price went while one month's guidance was the newest: known only at `until`.

    `first` is the first bar that sees the guidance, at whose close it is followed; `until` the first bar of the next
    one, or the last bar there is. Both are NaT, and the return NaN, where no bar follows.
    """

    part: str  # "train" or "test", as the first bar that sees the guidance is; "later" where there is none yet
    first: pd.Timestamp
    until: pd.Timestamp
    bars: int
    realised: float  # close at `until` / close at `first` - 1


def outcomes(market: Market, issued: Iterable[datetime]) -> dict[datetime, Outcome]:
    """Return the outcome of every issue of guidance for an instrument, by the time of the issue.

    A bar of calendar date d sees what was issued by midnight of d, as in `llmguide.Guidance`.
    """
    bars = market.bars
    index, close = pd.DatetimeIndex(bars.index), close_prices(bars)
    stamps = sorted(set(issued))
    days = index.normalize().to_numpy().astype("datetime64[us]")
    first = np.searchsorted(days, np.array(stamps, dtype="datetime64[us]"), side="left")
    found = {}
    for at, (stamp, start) in enumerate(zip(stamps, first, strict=True)):
        end = min(int(first[at + 1]), len(close) - 1) if at + 1 < len(stamps) else len(close) - 1
        part = "train" if start < len(market.train) else "test" if start < len(close) else "later"
        if start < end:
            realised = float(close[end] / close[start] - 1.0)
            found[stamp] = Outcome(part, index[start], index[end], end - int(start), realised)
        else:
            found[stamp] = Outcome(part, pd.NaT, pd.NaT, 0, float("nan"))  # type: ignore[arg-type]  # NaT is no Timestamp
    return found
