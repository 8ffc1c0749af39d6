"""Trend following and mean reversion by two moving averages: the benchmark's classical baselines.

At bar t the mean of the last `short` closes is compared with that of the last `long` ones, both up to and including
t-1. *Trend* is long where the short mean is not below the long one, *reversion* where it is not above it: on a tie both
are long, as in the authors' code. What is decided is carried out at the close of t by `llmguide.trading.account`.

Means are compared as distances from the newest close, added up from it backwards. So flat prices are an exact tie
whatever the price (the mean of three times 0.1 is not 0.1 in floating point), and a decision depends on its own window
only: not, as with running sums, on where the series begins.

Source: arXiv 2004.06627, section 5.2, and its authors' code.
"""

from __future__ import annotations

import operator
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.compiling import njit
from llmguide.errors import DataError, LlmguideError, did_you_mean
from llmguide.periods import periods_of
from llmguide.trading.account import FLAT, LONG, SHORT, step, value
from llmguide.trading.simulate import check_account, closes
from llmguide.trading.sizing import BAND, check_sizing, limit_weights, rebalance

__all__ = [
    "LONGEST",
    "Rule",
    "Windows",
    "check_windows",
    "choose_windows",
    "decide",
    "decisions",
    "is_trend",
    "sharpe_grid",
]

LONGEST = 29
"""Longest window of the authors' search: their state holds 30 closes."""

Rule = Literal["trend", "reversion"]

# As in llmguide.metrics: a spread of returns that is no more than their rounding counts as none.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


class Windows(NamedTuple):
    """The pair of windows that did best, and how well it did."""

    short: int  # bars
    long: int  # bars
    sharpe: float  # annual, on the bars on which it was chosen


def choose_windows(
    bars: pd.DataFrame,
    rule: Rule = "trend",
    *,
    cash: float = 100_000.0,
    cost: float = 0.001,
    start: int = 30,
    longest: int = LONGEST,
    long_only: bool = False,
    max_leverage: float = 1.0,
    band: float = BAND,
) -> Windows:
    """Return the pair of windows with the highest Sharpe ratio on `bars`: give it training bars only.

    Pairs without a Sharpe ratio never win; of equal ones the first wins, in the order (1, 2), (1, 3), ..., (2, 3), as
    in the authors' search. Arguments are those of `sharpe_grid`. Raises DataError where no pair has a Sharpe ratio.
    """
    grid = sharpe_grid(
        bars,
        rule,
        cash=cash,
        cost=cost,
        start=start,
        longest=longest,
        long_only=long_only,
        max_leverage=max_leverage,
        band=band,
    )
    if grid.isna().all(axis=None):
        raise DataError("no pair of windows has a Sharpe ratio, because the account's value never changes; check close")
    sharpe = grid.to_numpy()
    row, column = divmod(int(np.nanargmax(sharpe)), len(sharpe))
    return Windows(int(grid.index[row]), int(grid.columns[column]), float(sharpe[row, column]))


def sharpe_grid(
    bars: pd.DataFrame,
    rule: Rule = "trend",
    *,
    cash: float = 100_000.0,
    cost: float = 0.001,
    start: int = 30,
    longest: int = LONGEST,
    long_only: bool = False,
    max_leverage: float = 1.0,
    band: float = BAND,
) -> pd.DataFrame:
    """Return the Sharpe ratio of every pair of windows up to `longest` bars, in one pass over the bars.

    Args:
        bars: a frame with a column ``close``, raw as `llmguide.read_bars` returns it.
        rule: "trend" or "reversion".
        cash: capital at the beginning.
        cost: fraction of each traded value.
        start: idle bars at the beginning, as in `llmguide.simulate`; at least `longest`.
        longest: the longest window, in bars; at least 2.
        long_only, max_leverage, band: of the account that is to be traded, as in `llmguide.simulate`.

    Returns:
        Rows ``short``, columns ``long``; annual by the bars' dates (see `llmguide.periods`), the idle bars included.
        NaN where short >= long, and where the value never changes.

    Raises:
        DataError: closes, cash, cost, start, limit or band that cannot be used; LlmguideError: an unknown rule, or an
            impossible `longest`.
    """
    trend = is_trend(rule)
    prices = closes(bars)
    check_account(cash=cash, cost=cost, start=start, bars=len(prices))
    check_sizing(max_leverage=max_leverage, band=band)
    if not isinstance(longest, int | np.integer) or longest < 2:
        raise LlmguideError(f"longest must be a whole number of bars, at least 2, got {longest!r}")
    if longest > start:
        raise LlmguideError(
            f"a window of {longest} bars does not fit into the {start} idle ones before the first decision; "
            f"pass start={longest}, or longest={start}"
        )
    weights = limit_weights([-1.0, 1.0], long_only=long_only, max_leverage=max_leverage)  # of short and of long
    mean, squares = _moments(
        prices, trend, float(cash), float(cost), int(start), int(longest), weights, max_leverage == 1.0, float(band)
    )
    spread = np.sqrt(squares / (len(prices) - 1))
    spread[spread <= _ROUNDING] = np.nan
    grid = np.full((longest - 1, longest - 1), np.nan)
    grid[np.triu_indices(longest - 1)] = np.sqrt(periods_of(bars)) * mean / spread
    return pd.DataFrame(
        grid, index=pd.RangeIndex(1, longest, name="short"), columns=pd.RangeIndex(2, longest + 1, name="long")
    )


def decisions(bars: pd.DataFrame, short: int, long: int, *, rule: Rule = "trend", start: int = 30) -> NDArray[np.int8]:
    """Return the decision of one pair of windows for every bar from `start` on, as `llmguide.simulate` takes them.

    Shape ``(len(bars) - start,)``, 1 long or 0 short; the one for bar t uses closes up to and including t-1. Raises as
    `sharpe_grid` does.
    """
    trend = is_trend(rule)
    prices = closes(bars)
    check_windows(short, long)
    if not long <= start < len(prices):
        raise LlmguideError(
            f"start must lie between long, {long}, and {len(prices) - 1} for {len(prices)} bars, got {start}"
        )
    return np.array(
        [decide(prices[t - long : t], short, long, trend) for t in range(start, len(prices))], dtype=np.int8
    )


def check_windows(short: int, long: int) -> None:
    """Refuse windows other than whole numbers of bars with 1 <= short < long."""
    try:
        possible = 1 <= operator.index(short) < operator.index(long)
    except TypeError:
        possible = False
    if not possible:
        raise LlmguideError(f"windows must be whole numbers of bars with 1 <= short < long, got {short!r} and {long!r}")


@njit(cache=True)
def decide(recent: NDArray[np.float64], short: int, long: int, trend: bool) -> int:
    """Return 1 (long) or 0 (short) from recent closes, newest last, at least `long` of them."""
    means = np.empty(long + 1)
    write_means(recent, len(recent), means)
    return choose(means[short], means[long], trend)


@njit(cache=True)
def write_means(prices: NDArray[np.float64], t: int, means: NDArray[np.float64]) -> None:
    """Write the mean of the k closes before bar t, less the newest of them, to ``means[k]`` for k = 1, 2, ..."""
    newest, total = prices[t - 1], 0.0
    for k in range(1, len(means)):
        total += prices[t - k] - newest
        means[k] = total / k


@njit(cache=True)
def choose(short_mean: float, long_mean: float, trend: bool) -> int:
    """Return the decision that a rule takes on two means."""
    if trend:
        return LONG if short_mean >= long_mean else SHORT
    return LONG if short_mean <= long_mean else SHORT


@njit(cache=True)
def _moments(
    prices: NDArray[np.float64],
    trend: bool,
    cash: float,
    cost: float,
    start: int,
    longest: int,
    weights: NDArray[np.float64],
    all_in: bool,
    band: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of every pair's returns, and the sum of their squared deviations from it (Welford's updates).

    Shape ``(pairs,)`` each, in the order of `choose_windows`. All pairs walk through the bars side by side, so that the
    means of a bar are computed once. `weights` has what short and what long stand for; all in, a weight of 0 is flat.
    """
    pairs = longest * (longest - 1) // 2
    side, shares, money, before = np.zeros(pairs), np.zeros(pairs), np.full(pairs, cash), np.full(pairs, cash)
    mean, squares = np.zeros(pairs), np.zeros(pairs)
    means = np.empty(longest + 1)
    for t in range(start, len(prices)):
        write_means(prices, t, means)
        part = 1.0 / (t + 1)  # the idle bars are returns of zero
        pair = 0
        for short in range(1, longest):
            for long in range(short + 1, longest + 1):
                decision = choose(means[short], means[long], trend)
                weight = weights[decision]
                if all_in:
                    done = decision if weight != 0.0 else FLAT
                    side[pair], shares[pair], money[pair], _ = step(
                        side[pair], shares[pair], money[pair], done, prices[t], prices[t - 1], cost
                    )
                else:
                    side[pair], shares[pair], money[pair] = rebalance(
                        side[pair], shares[pair], money[pair], weight, prices[t], cost, band
                    )
                after = value(side[pair], shares[pair], money[pair], prices[t])
                change = (after - before[pair]) / before[pair] if before[pair] != 0.0 else 0.0
                before[pair] = after
                distance = change - mean[pair]
                mean[pair] += part * distance
                squares[pair] += distance * (change - mean[pair])
                pair += 1
    return mean, squares


def is_trend(rule: str) -> bool:
    """Return whether a rule is "trend"; LlmguideError unless it is that or "reversion"."""
    known = get_args(Rule)
    if rule not in known:
        raise LlmguideError(f"rule must be 'trend' or 'reversion', got {rule!r}{did_you_mean(rule, known)}")
    return rule == "trend"
