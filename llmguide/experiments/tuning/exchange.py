"""Could the months of two prompts as well have been each other's? An exact test of the difference of their accounts.

The bootstrap resamples bars and takes the answers as given. With some 25 answers of each prompt in two years that is
too sure: of two prompts whose answers are chance, one looks better in more than 5 of 100 cases. Here the bars are taken
as given, and the answers are exchanged: month by month, of all instruments at once, a coin decides whose answer is
whose. If the prompts are as good as each other, the difference that happened is one of the many that come of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.guidance import Guidance
from llmguide.metrics import sharpe_ratio
from llmguide.periods import periods_of
from llmguide.trading import account
from llmguide.trading.simulate import closes, returns_of

__all__ = ["EXCHANGES", "Pair", "exchange_test"]

EXCHANGES = 499
"""Random exchanges: the smallest p is 1 in 500."""


class Pair(NamedTuple):
    """Two tables of guidance for the same bars of one instrument, followed from bar `first` on."""

    one: Guidance
    other: Guidance
    bars: pd.DataFrame
    first: int


def exchange_test(pairs: Sequence[Pair], *, cash: float, cost: float, seed: int, exchanges: int = EXCHANGES) -> float:
    """Return the two-sided p of the difference of mean Sharpe ratios over instruments.

    The share of exchanges, what happened counted as one of them, whose difference is at least as far from 0. 1 where
    no answer differs. An account that never trades counts as 0.
    """
    seen = [_seen(pair) for pair in pairs]
    months = sorted({stamp for one in seen for stamp in one.issued})
    generator = np.random.default_rng(seed)

    def difference(swapped: NDArray[np.bool_]) -> float:
        swaps = dict(zip(months, swapped, strict=True))
        return float(np.mean([_difference(one, swaps, cash, cost) for one in seen]))

    happened = abs(difference(np.zeros(len(months), dtype=np.bool_)))
    drawn = [abs(difference(generator.random(len(months)) < 0.5)) for _ in range(exchanges)]
    return float((1 + sum(value >= happened - 1e-12 for value in drawn)) / (1 + exchanges))


class _Seen(NamedTuple):
    """Closes from the bar before the first one on; per traded bar both directions (NaN: none) and their issue."""

    closes: NDArray[np.float64]
    periods: float
    one: NDArray[np.float64]
    other: NDArray[np.float64]
    issue: NDArray[np.intp]  # position in `issued`; -1 before the first
    issued: tuple[pd.Timestamp, ...]


def _seen(pair: Pair) -> _Seen:
    bars = pair.bars.iloc[pair.first - 1 :]
    index = pd.DatetimeIndex(bars.index)
    one, other = (table.align(index)["direction"].to_numpy(np.float64)[1:] for table in (pair.one, pair.other))
    issued = tuple(pd.Timestamp(row.issued_at) for row in pair.one.rows)
    issue = np.searchsorted(pd.DatetimeIndex(issued), index.normalize()[1:], side="right") - 1
    return _Seen(closes(bars), periods_of(bars), one, other, issue, issued)


def _difference(seen: _Seen, swaps: dict[pd.Timestamp, np.bool_], cash: float, cost: float) -> float:
    by_issue = np.array([*(bool(swaps[stamp]) for stamp in seen.issued), False])  # the last one: before the first issue
    swapped = by_issue[seen.issue]
    first = np.where(swapped, seen.other, seen.one)
    second = np.where(swapped, seen.one, seen.other)
    return _sharpe(seen, first, cash, cost) - _sharpe(seen, second, cash, cost)


def _sharpe(seen: _Seen, direction: NDArray[np.float64], cash: float, cost: float) -> float:
    """Return the Sharpe ratio of `llmguide.experiments.tuning.account.follow`, without its frames."""
    said = ~np.isnan(direction)
    last = np.maximum.accumulate(np.where(said, np.arange(len(direction)), -1))
    held = np.where(last < 0, float(account.FLAT), direction[last]).astype(np.int8)
    side, shares, money, _ = account.trajectory(seen.closes, held, cash, cost, 1)
    returns = returns_of(money + side * shares * seen.closes)[1:]
    found = sharpe_ratio(returns, periods=seen.periods)
    return 0.0 if found != found else found
