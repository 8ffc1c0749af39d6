"""What runs once per bar and combination of a rule whose positions are fractions of the account.

Weights are float64, one for each bar from the first tradable one on, in [-1, 1]. The account is that of
`llmguide.trading.sizing.rebalance`, a mixture's positions are those of `llmguide.mixture.kernels`.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from llmguide.compiling import njit
from llmguide.mixture.kernels import book, weigh
from llmguide.sweeps.kernels import write_measures
from llmguide.trading.account import value
from llmguide.trading.sizing import rebalance

__all__ = ["measure_weights", "mixture_weights", "values_of_weights"]

Array = NDArray[np.float64]


@njit(cache=True, parallel=True)
def measure_weights(
    prices: Array,
    wanted: Array,
    cash: float,
    costs: Array,
    start: int,
    delays: NDArray[np.int64],
    bands: Array,
    years: float,
    measures: Array,
) -> None:
    """Follow many rows of target weights and write what each account earned: `llmguide.sweeps.kernels.measure`.

    `wanted` has shape ``(rows, bars - start)``, `bands` ``(rows,)`` (see `rebalance`); the rest is as there.
    """
    for row in prange(len(wanted)):
        values = np.empty(len(prices))
        trades, exposed, traded, depth = _follow(
            prices, wanted[row], cash, costs[row], start, delays[row], bands[row], values
        )
        write_measures(values, trades, exposed, traded, depth, years, measures[row])


@njit(cache=True, parallel=True)
def values_of_weights(
    prices: Array,
    wanted: Array,
    cash: float,
    costs: Array,
    start: int,
    delays: NDArray[np.int64],
    bands: Array,
    values: Array,
) -> None:
    """Follow many rows of target weights and write the value of each account at every bar, shape ``(rows, bars)``."""
    for row in prange(len(wanted)):
        _follow(prices, wanted[row], cash, costs[row], start, delays[row], bands[row], values[row])


@njit(cache=True, error_model="numpy", forceinline=True)
def _follow(
    prices: Array, wanted: Array, cash: float, cost: float, start: int, delay: int, band: float, values: Array
) -> tuple[int, int, float, float]:
    """Follow one account: write its value at every bar, and return what `write_measures` takes beside it."""
    idle = start + delay
    side, shares, money, held, peak, depth = 0.0, 0.0, cash, 0.0, cash, 0.0
    trades, exposed, traded = 0, 0, 0.0
    values[:idle] = cash
    for t in range(idle, len(prices)):
        price, old_side, old_held = prices[t], side, held
        side, shares, money = rebalance(side, shares, money, wanted[t - idle], price, cost, band)
        held = side * shares
        traded += abs(held - old_held) * price
        trades += side != old_side and shares != 0.0
        exposed += held != 0.0
        values[t] = worth = value(side, shares, money, price)
        peak = max(peak, worth)
        if peak - worth > depth * peak:
            depth = (peak - worth) / peak
    return trades, exposed, traded, depth


@njit(cache=True, error_model="numpy", parallel=True)
def mixture_weights(
    changes: Array,
    spreads: Array,
    sides: Array,
    means: Array,
    strengths: Array,
    costs: Array,
    all_in: NDArray[np.bool_],
    lowest: Array,
    highest: Array,
    weights: Array,
) -> None:
    """Write the positions of one set of experts under many priors and costs, within limits.

    Args:
        changes, spreads, sides: as in `llmguide.mixture.kernels.follow`, from the first bar of the history on.
        means, strengths: priors of each row, shape ``(rows, experts)``.
        costs: of each row, shape ``(rows,)``.
        all_in: whether a row takes the position's sign, shape ``(rows,)``.
        lowest, highest: what a row's weight is cut to, shape ``(rows,)``.
        weights: written, shape ``(rows, bars)``: those of the last bars, as many as there is room for.
    """
    first = len(sides) - weights.shape[1]
    experts = sides.shape[1]
    for row in prange(len(weights)):
        sums, counts, trust = np.zeros(experts), np.zeros(experts), np.empty(experts)
        for t in range(len(sides)):
            position, _ = weigh(sides, t, sums, counts, means[row], strengths[row], trust)
            if t >= first:
                if all_in[row]:
                    position = np.sign(position)
                weights[row, t - first] = min(max(position, lowest[row]), highest[row])
            book(sides, t, changes[t], spreads[t], costs[row], sums, counts)
