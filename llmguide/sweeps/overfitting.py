"""The probability of backtest overfitting of a whole sweep: `llmguide.stats.pbo` for as many combinations as there are.

The returns of all combinations are never held at once. What the probability needs of a combination is the sum of its
returns, and of their squares, over each block of bars; `block_sums` makes them while it passes over the bars once.
`probability` then compares all combinations on every half of the blocks, a few of them at a time: 100,000 combinations
in 16 blocks are 25 MB and 12,870 halves. It is what `llmguide.stats.pbo_of_sums` computes, its slow twin.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from llmguide.compiling import njit
from llmguide.sweeps.engines import CHUNK, chunks
from llmguide.sweeps.grid import Grid
from llmguide.sweeps.market import Market
from llmguide.sweeps.rules import Rule

__all__ = ["MOST_BLOCKS", "block_sums", "probability"]

MOST_BLOCKS = 20
"""As in `llmguide.stats.pbo`: 184,756 ways to halve them."""
_AT_ONCE = 32  # combinations: their tables of half the blocks stay in the processor's cache
# As in llmguide.stats: sums of squares lose a few digits where returns hardly vary.
_ROUNDING = 64 * float(np.finfo(np.float64).eps)

Column = NDArray[np.float64]


def block_sums(rule: Rule, market: Market, grid: Grid, cash: float, blocks: int) -> tuple[Column, Column, Column]:
    """Return the bars of each block, shape ``(blocks,)``, and the sums of returns and squares of every combination.

    The bars from the first tradable one on are cut into blocks; where they do not divide, the first have one bar more.
    The sums have shape ``(blocks, combinations)``.
    """
    decide, follow, tradable = rule.prepare(market, grid), rule.follow, market.tradable
    bars = np.full(blocks, tradable // blocks) + (np.arange(blocks) < tradable % blocks)
    ends = market.start + np.cumsum(bars)
    sums, squares = np.empty((2, blocks, len(grid)))
    for part, wanted in chunks(market, decide, follow, grid, most=max(1, CHUNK // (8 * len(market.prices)))):
        values = follow.values(market, wanted, grid, part, cash)
        _sum_blocks(values, cash, market.start, ends, sums[:, part], squares[:, part])
    return bars.astype(np.float64), sums, squares


def probability(bars: Column, sums: Column, squares: Column) -> tuple[float, int]:
    """Return the probability of backtest overfitting, and how many combinations it compares.

    NaN for fewer than two combinations with a Sharpe ratio, and where all of them did the same.
    """
    blocks, n = len(bars), bars.sum()
    mean, square = sums.sum(axis=0) / n, squares.sum(axis=0) / n
    defined = square - mean * mean > _ROUNDING * square
    if not defined.all():
        sums, squares = np.ascontiguousarray(sums[:, defined]), np.ascontiguousarray(squares[:, defined])
    settings = sums.shape[1]
    if settings < 2 or not (np.ptp(sums, axis=1).any() or np.ptp(squares, axis=1).any()):
        return math.nan, settings
    low, high, lengths = _halves(bars)
    chosen = np.full(len(low), -1, dtype=np.int64)
    _choose(sums, squares, blocks // 2, low, high, lengths, chosen)
    chosen = chosen[::-1]  # the halves are in the order of their numbers: the opposite of the first is the last
    levels = np.zeros(len(low))
    _levels(sums, squares, blocks // 2, low, high, lengths, chosen, np.argsort(chosen), levels)
    below, equal = np.zeros((2, len(low)), dtype=np.int64)
    _rank(sums, squares, blocks // 2, low, high, lengths, levels, below, equal)
    rank = below + (equal + 1) / 2
    known = chosen >= 0
    return float((rank[known] <= (settings + 1) / 2).mean()) if known.any() else math.nan, settings


def _halves(bars: Column) -> tuple[NDArray[np.int64], NDArray[np.int64], Column]:
    """Return every half of the blocks, as the numbers whose bits are its first and its last blocks, and its bars."""
    blocks = len(bars)
    first = blocks // 2
    numbers = np.arange(2**blocks, dtype=np.int64)
    count = np.zeros(len(numbers), dtype=np.int64)
    for block in range(blocks):
        count += (numbers >> block) & 1
    numbers = numbers[count == blocks // 2]
    lengths = sum(((numbers >> block) & 1) * bars[block] for block in range(blocks))
    return numbers & (2**first - 1), numbers >> first, np.asarray(lengths, dtype=np.float64)


@njit(cache=True)
def _sum_blocks(
    values: Column, cash: float, start: int, ends: NDArray[np.int64], sums: Column, squares: Column
) -> None:
    """Write the sums of each row's returns and squares over each block, which ends before the bar in `ends`."""
    for row in range(len(values)):
        before, t = cash, start
        for block in range(len(ends)):
            total, square = 0.0, 0.0
            while t < ends[block]:
                worth = values[row, t]
                change = (worth - before) / before if before != 0.0 else 0.0
                total += change
                square += change * change
                before = worth
                t += 1
            sums[block, row], squares[block, row] = total, square


@njit(cache=True)
def _tables(values: Column, first: int, left: int, count: int, low: Column, high: Column) -> None:
    """Write the sums of every subset of the first blocks, and of the others, for some settings from `left` on.

    Shapes: low ``(2**first, settings)``, high ``(2**(blocks - first), settings)``. All are added up, none is a
    difference: that would leave roundings where a setting is idle.
    """
    for table, offset, blocks in ((low, 0, first), (high, first, len(values) - first)):
        table[0] = 0.0
        for block in range(blocks):
            for subset in range(1 << block):
                for k in range(count):
                    table[subset + (1 << block), k] = table[subset, k] + values[offset + block, left + k]


@njit(cache=True, error_model="numpy", inline="always")
def _ratio(total: float, square: float, n: float) -> float:
    """Return a Sharpe ratio up to a factor that all settings share; NaN without any spread."""
    mean, square = total / n, square / n
    variance = square - mean * mean
    return mean / math.sqrt(variance) if variance > _ROUNDING * square else math.nan


@njit(cache=True, error_model="numpy")
def _choose(
    sums: Column,
    squares: Column,
    first: int,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    lengths: Column,
    chosen: NDArray[np.int64],
) -> None:
    """Write which setting has the highest ratio on every half, shape ``(halves,)``, the first of equal ones.

    An idle one never has; -1 stays where all are.
    """
    low_sums, low_squares = np.empty((2, 1 << first, _AT_ONCE))
    high_sums, high_squares = np.empty((2, 1 << (len(sums) - first), _AT_ONCE))
    best, ratios = np.full(len(low), -math.inf), np.empty(_AT_ONCE)
    for left in range(0, sums.shape[1], _AT_ONCE):
        count = min(_AT_ONCE, sums.shape[1] - left)
        _tables(sums, first, left, count, low_sums, high_sums)
        _tables(squares, first, left, count, low_squares, high_squares)
        for half in range(len(low)):
            a, b, n, highest, higher = low[half], high[half], lengths[half], best[half], 0
            for k in range(count):
                ratios[k] = _ratio(low_sums[a, k] + high_sums[b, k], low_squares[a, k] + high_squares[b, k], n)
                higher += ratios[k] > highest
            if higher:
                for k in range(count):
                    if ratios[k] > best[half]:
                        best[half], chosen[half] = ratios[k], left + k


@njit(cache=True, error_model="numpy")
def _levels(
    sums: Column,
    squares: Column,
    first: int,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    lengths: Column,
    chosen: NDArray[np.int64],
    order: NDArray[np.int64],
    levels: Column,
) -> None:
    """Write the ratio of one setting on every half, shape ``(halves,)``; 0 where it is idle.

    `order` has the halves with the same setting one after another, so that its sums are made once.
    """
    low_sum, low_square = np.empty((2, 1 << first, 1))
    high_sum, high_square = np.empty((2, 1 << (len(sums) - first), 1))
    setting = -1
    for half in order:
        if chosen[half] < 0:
            continue
        if chosen[half] != setting:
            setting = chosen[half]
            _tables(sums, first, setting, 1, low_sum, high_sum)
            _tables(squares, first, setting, 1, low_square, high_square)
        a, b = low[half], high[half]
        ratio = _ratio(low_sum[a, 0] + high_sum[b, 0], low_square[a, 0] + high_square[b, 0], lengths[half])
        levels[half] = 0.0 if math.isnan(ratio) else ratio


@njit(cache=True, error_model="numpy")
def _rank(
    sums: Column,
    squares: Column,
    first: int,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    lengths: Column,
    levels: Column,
    below: NDArray[np.int64],
    equal: NDArray[np.int64],
) -> None:
    """Count the settings whose ratio on a half is below its level, or equal; an idle one counts as 0."""
    low_sums, low_squares = np.empty((2, 1 << first, _AT_ONCE))
    high_sums, high_squares = np.empty((2, 1 << (len(sums) - first), _AT_ONCE))
    for left in range(0, sums.shape[1], _AT_ONCE):
        count = min(_AT_ONCE, sums.shape[1] - left)
        _tables(sums, first, left, count, low_sums, high_sums)
        _tables(squares, first, left, count, low_squares, high_squares)
        for half in range(len(low)):
            a, b, n, level = low[half], high[half], lengths[half], levels[half]
            less, same = 0, 0
            for k in range(count):
                ratio = _ratio(low_sums[a, k] + high_sums[b, k], low_squares[a, k] + high_squares[b, k], n)
                ratio = 0.0 if math.isnan(ratio) else ratio
                less += ratio < level
                same += ratio == level
            below[half] += less
            equal[half] += same
