"""Intervals over the bars: what other stretches of the same market could have brought to the same runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.stats import Intervals, block_length, bootstrap_difference, bootstrap_intervals

__all__ = ["bar_intervals"]

_RESAMPLES = 2000


def bar_intervals(
    returns: Mapping[str, NDArray[np.float64]], *, first: str | None, periods: float, benchmark: str | None = None
) -> pd.DataFrame:
    """Return 95 % intervals of every arm, of the arm `first` minus every other one, and of every arm minus `benchmark`.

    `returns` are those of each arm on the same bars, shape (bars, seeds). Columns arm, minus (None in an arm's own
    row), sr, sr_low, sr_high, mdd, mdd_low, mdd_high and block, the mean length of the bootstrap's blocks in bars.
    All rows draw the same bars: 2,000 resamples by the stationary bootstrap (see `llmguide.stats.bootstrap`), and each
    takes the mean over all seeds.
    """
    block = block_length(np.hstack(list(returns.values())))
    found: dict[tuple[str, str | None], Intervals] = {}
    for arm, own in returns.items():
        found[arm, None] = bootstrap_intervals(own, periods=periods, resamples=_RESAMPLES, block=block)
    differences = [(first, other) for other in returns if first] + [(arm, benchmark) for arm in returns]
    for arm, other in dict.fromkeys(differences):
        if arm in returns and other in returns and arm != other:
            found[str(arm), other] = bootstrap_difference(
                returns[str(arm)], returns[str(other)], periods=periods, resamples=_RESAMPLES, block=block
            )
    rows = [
        {
            "arm": arm,
            "sr": sharpe.estimate,
            "sr_low": sharpe.low,
            "sr_high": sharpe.high,
            "mdd": drawdown.estimate,
            "mdd_low": drawdown.low,
            "mdd_high": drawdown.high,
            "block": block,
        }
        for (arm, _), (sharpe, drawdown, _) in found.items()
    ]
    table = pd.DataFrame(rows)
    # Of objects: pandas would take None for NaN in a column of words.
    table.insert(1, "minus", pd.Series([other for _, other in found], dtype=object))
    return table
