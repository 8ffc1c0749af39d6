"""Bars with their returns' signs flipped: what rose falls by as much, in log-prices."""

from __future__ import annotations

import pandas as pd

from llmguide.guidance.schedule import close_prices

__all__ = ["mirrored"]


def mirrored(known: pd.DataFrame) -> pd.DataFrame:
    """Return the bars reflected at their last close C: every price p becomes C^2 / p, and highs become lows.

    Each log-return is negated, within bars and between them, and the last close stays as it is; volumes stay too. Only
    the bars given are looked at. Raises DataError unless all closes are finite and positive.
    """
    level = float(close_prices(known)[-1])
    flipped = known.copy()
    for name, source in (("open", "open"), ("high", "low"), ("low", "high"), ("close", "close")):
        flipped[name] = (level / known[source]) * level  # not level**2: prices of 1e200 stay finite
    return flipped
