"""What runs once per bar: experts' results, their weights, the position. One place for all bars at once and for one.

Shapes: one instrument's series ``(bars,)``; sides, results, records and weights ``(bars, experts)``, a side in [-1, 1]
or NaN for no opinion; priors, sums and counts ``(experts,)``. Sides come as a table and a row of it, since a slice for
each bar would take longer than the arithmetic.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from llmguide.compiling import njit

__all__ = ["book", "deviation", "deviations", "follow", "follow_draws", "record", "result", "weigh"]

# As in llmguide.metrics: what is no more than the rounding of numbers about 1 counts as none.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@njit(cache=True)
def deviation(returns: NDArray[np.float64]) -> float:
    """Return the standard deviation (ddof 1) of returns; NaN where they differ by no more than rounding."""
    count, total, largest, squares = len(returns), 0.0, 1.0, 0.0
    for change in returns:
        total += change
        largest = max(largest, abs(change))
    mean = total / count
    for change in returns:
        squares += (change - mean) * (change - mean)
    spread = math.sqrt(squares / (count - 1))
    return spread if spread > _ROUNDING * largest else math.nan


@njit(cache=True)
def deviations(returns: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the standard deviation of the `window` returns before each bar, NaN where there are not as many.

    ``returns[0]`` is none: a bar before the first one would be needed for it. So bar t has one from window + 1 on, made
    of the returns of bars t - window .. t - 1.
    """
    result = np.full(len(returns), math.nan)
    for t in range(window + 1, len(returns)):
        result[t] = deviation(returns[t - window : t])
    return result


@njit(cache=True, error_model="numpy", forceinline=True)
def result(before: float, after: float, change: float, spread: float, cost: float) -> float:
    """Return what an expert earned on a bar, after cost, in standard deviations; NaN where there is nothing to book.

    Args:
        before: the side with which it came into the bar.
        after: the side that it took at its close.
        change: the bar's return.
        spread: standard deviation of the returns before the bar, NaN where there is none.
        cost: fraction of each traded value.

    Without an opinion an expert holds nothing and earns nothing; taking a side again costs what it costs.
    """
    came = 0.0 if math.isnan(before) else before
    left = 0.0 if math.isnan(after) else after
    if math.isnan(before) and left == 0.0:
        return math.nan
    return (came * change - cost * abs(left - came)) / spread


@njit(cache=True, error_model="numpy", forceinline=True)
def record(total: float, count: float, mean: float, strength: float) -> float:
    """Return the mean of `count` results, which add up to `total`, and a prior."""
    return (strength * mean + total) / (strength + count)


@njit(cache=True, error_model="numpy", forceinline=True)
def book(
    sides: NDArray[np.float64],
    t: int,
    change: float,
    spread: float,
    cost: float,
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> None:
    """Book the bar of row `t` of `sides`, on which experts came with the sides of the row before.

    `sums` of results and `counts` of bars are changed. A bar counts where an expert came into it with an opinion. Where
    `spread` is NaN nothing is booked.
    """
    if math.isnan(spread):
        return
    for expert in range(len(sums)):
        before = sides[t - 1, expert]
        earned = result(before, sides[t, expert], change, spread, cost)
        if not math.isnan(earned):
            sums[expert] += earned
            counts[expert] += not math.isnan(before)


@njit(cache=True, error_model="numpy", forceinline=True)
def weigh(
    sides: NDArray[np.float64],
    t: int,
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    means: NDArray[np.float64],
    strengths: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[float, float]:
    """Write the weights for the sides of row `t`, and return the position and what the weights add up to.

    `weights`, shape ``(experts,)``, are the positive parts of the records of those with an opinion, not yet shares.
    `means` and `strengths` are mean and count of each prior.
    """
    total, position = 0.0, 0.0
    for expert in range(len(sums)):
        side = sides[t, expert]
        trust = record(sums[expert], counts[expert], means[expert], strengths[expert])
        if math.isnan(side) or trust <= _ROUNDING:
            weights[expert] = 0.0
        else:
            weights[expert] = trust
            total += trust
            position += trust * side
    if abs(position) <= _ROUNDING * total:  # experts that cancel out leave no sign to act on
        return 0.0, total
    return position / total, total


@njit(cache=True)
def follow(
    changes: NDArray[np.float64],
    spreads: NDArray[np.float64],
    sides: NDArray[np.float64],
    means: NDArray[np.float64],
    strengths: NDArray[np.float64],
    cost: float,
    results: NDArray[np.float64],
    records: NDArray[np.float64],
    weights: NDArray[np.float64],
    positions: NDArray[np.float64],
) -> None:
    """Follow experts through all bars, and write results, records, weights as shares, and positions.

    The weights at bar t stand on the results up to and including bar t-1, the last of which ends with the side taken
    at the close of t-1. So everything but the result of t is known at that close; the position at t is what to hold
    from the close of t on.
    """
    bars, experts = sides.shape
    sums, counts, trust = np.zeros(experts), np.zeros(experts), np.empty(experts)
    for t in range(bars):
        positions[t], total = weigh(sides, t, sums, counts, means, strengths, trust)
        for expert in range(experts):
            records[t, expert] = record(sums[expert], counts[expert], means[expert], strengths[expert])
            weights[t, expert] = trust[expert] / total if total > 0.0 else 0.0
            results[t, expert] = math.nan
            if not math.isnan(spreads[t]):
                results[t, expert] = result(sides[t - 1, expert], sides[t, expert], changes[t], spreads[t], cost)
        book(sides, t, changes[t], spreads[t], cost, sums, counts)


@njit(cache=True, error_model="numpy", parallel=True)
def follow_draws(
    changes: NDArray[np.float64],
    spreads: NDArray[np.float64],
    sides: NDArray[np.float64],
    means: NDArray[np.float64],
    strengths: NDArray[np.float64],
    cost: float,
    positions: NDArray[np.float64],
) -> None:
    """Write the positions of many draws of the same experts, shape ``(draws, bars)``; nothing else is kept.

    `sides` has shape ``(draws, bars, experts)``; the rest is as in `follow`.
    """
    for draw in prange(len(sides)):
        _, bars, experts = sides.shape
        sums, counts, trust = np.zeros(experts), np.zeros(experts), np.empty(experts)
        of_draw = sides[draw]
        for t in range(bars):
            positions[draw, t], _ = weigh(of_draw, t, sums, counts, means, strengths, trust)
            book(of_draw, t, changes[t], spreads[t], cost, sums, counts)
