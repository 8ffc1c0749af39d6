"""A share of months with its intervals, as the audits of a model report it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.stats import clustered_interval, wilson_interval

__all__ = ["Share", "calendar_months", "judge_share"]


class Share(NamedTuple):
    """How many months are a hit, and how sure that is."""

    n: int
    hits: int
    share: float
    low: float  # 95 %, Wilson
    high: float
    cluster_low: float  # 95 %, bootstrap over calendar months
    cluster_high: float
    left_out: int  # months of which it is not known


def judge_share(hit: pd.Series[Any], issued_at: pd.Series[Any], *, seed: int) -> Share:
    """Return the share of months in which `hit` is 1; missing ones are left out. Both have one row a month."""
    kept = hit.dropna().astype("int64")
    n, hits = len(kept), int(kept.sum())
    around = clustered_interval(kept.to_numpy(), calendar_months(issued_at.loc[kept.index]), seed=seed)
    return Share(n, hits, hits / n if n else math.nan, *wilson_interval(hits, n), *around, len(hit) - n)


def calendar_months(issued_at: pd.Series[Any]) -> NDArray[np.str_]:
    """Return the clusters of the bootstrap: what the instruments of one calendar month do, they do together."""
    return np.asarray(issued_at.dt.strftime("%Y-%m"), dtype=np.str_)
