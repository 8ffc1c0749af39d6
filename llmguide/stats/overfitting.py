"""Was the best setting of a search good, or fitted to chance? Combinatorially symmetric cross-validation.

The bars are cut into blocks. Half of the blocks choose the setting with the highest Sharpe ratio, the other half judge
it: what is its rank there among all settings? Every choice of half the blocks has its turn. The probability of backtest
overfitting is the share of these in which the chosen one is not above the median (Bailey, Borwein, Lopez de Prado & Zhu
2017, section 2). For settings without any skill it is about one half; near 0, what was best stays among the best.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.compiling import njit
from llmguide.errors import DataError
from llmguide.periods import check_periods

__all__ = ["Overfitting", "pbo", "pbo_of_sums"]

_MOST_BLOCKS = 20  # 184,756 ways to halve them
# Sums of squares lose a few digits where returns hardly vary.
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Overfitting:
    """The result over all ways to split the blocks in halves; arrays have shape ``(ways,)``.

    Attributes:
        probability: share of ways in which the setting chosen in sample is at or below the median out of sample.
        logits: ln(w / (1 - w)), with w the out-of-sample rank of the chosen setting over settings + 1; above 0 is above
            the median.
        in_sample: annual Sharpe ratio of the chosen setting on the half that chose it.
        out_of_sample: the same on the other half; NaN where it did nothing there.
        settings: number of settings compared; those without a Sharpe ratio on all bars are left out.
    """

    probability: float
    logits: NDArray[np.float64]
    in_sample: NDArray[np.float64]
    out_of_sample: NDArray[np.float64]
    settings: int

    @property
    def degradation(self) -> float:
        """Slope of the out-of-sample Sharpe ratio on the in-sample one, by least squares over all ways.

        1 if what was gained in sample were kept; below 0 if choosing better in sample makes it worse. The two halves
        share the same bars between them, so that it lies below 0 for settings without skill.
        """
        x, y = (side[~np.isnan(self.out_of_sample)] for side in (self.in_sample, self.out_of_sample))
        if x.size < 2 or not np.ptp(x) > 0:
            return float("nan")
        deviation = x - x.mean()
        return float(deviation @ y / (deviation @ deviation))

    @property
    def loss(self) -> float:
        """Share of ways in which the chosen setting's out-of-sample Sharpe ratio is below 0."""
        defined = self.out_of_sample[~np.isnan(self.out_of_sample)]
        return float((defined < 0).mean()) if defined.size else float("nan")


def pbo(returns: ArrayLike, *, blocks: int = 16, periods: float = 252) -> Overfitting:
    """Return the probability of backtest overfitting of a search (combinatorially symmetric cross-validation).

    Args:
        returns: simple returns per bar of every setting as fractions, shape ``(bars, settings)``, oldest bar first.
        blocks: an even number of blocks of bars; every half of them is compared with the other half: 16 make 12,870
            ways. Where they do not divide the bars, the first blocks have one bar more.
        periods: bars per year.

    Returns:
        An `Overfitting`; its probability is NaN for fewer than two settings, and where all of them did the same.

    A setting that does nothing on a half is never chosen there, and ranks with a Sharpe ratio of 0 if it was chosen on
    the other half. Equal Sharpe ratios share the mean of their ranks. Raises DataError for returns of another shape or
    not finite, for another number of blocks, and for too few bars: every block needs two.

    Source: Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting, section 2.
    """
    r = np.asarray(returns, dtype=np.float64)
    if r.ndim != 2:
        raise DataError(f"expected returns of shape (bars, settings), got shape {r.shape}")
    if not np.isfinite(r).all():
        at = np.argwhere(~np.isfinite(r))[0]
        raise DataError(f"expected finite returns, got {r[tuple(at)]} at bar {at[0]} of setting {at[1]}")
    _check_blocks(blocks)
    if len(r) < 2 * blocks:
        raise DataError(f"expected at least {2 * blocks} bars for {blocks} blocks, got {len(r)}; ask for fewer blocks")
    starts = len(r) // blocks * np.arange(blocks) + np.minimum(np.arange(blocks), len(r) % blocks)
    counts = np.diff(starts, append=len(r))
    return pbo_of_sums(counts, np.add.reduceat(r, starts), np.add.reduceat(r**2, starts), periods=periods)


def pbo_of_sums(bars: ArrayLike, sums: ArrayLike, squares: ArrayLike, *, periods: float = 252) -> Overfitting:
    """Return `pbo` from sums over blocks, for searches too large to hold all returns in memory.

    Args:
        bars: number of bars of each block, shape ``(blocks,)``.
        sums: sum of the returns in each block, shape ``(blocks, settings)``.
        squares: sum of the squared returns in each block, shape ``(blocks, settings)``.
        periods: bars per year.

    Raises DataError for other shapes, and for an odd number of blocks or too many of them.
    """
    n, total, square = (np.asarray(x, dtype=np.float64) for x in (bars, sums, squares))
    _check_blocks(n.size)
    if total.ndim != 2 or total.shape != square.shape or total.shape[0] != n.size or n.ndim != 1:
        shapes = f"{n.shape}, {total.shape} and {square.shape}"
        raise DataError(f"expected shapes (blocks,), (blocks, settings) and (blocks, settings), got {shapes}")
    check_periods(periods)
    whole = np.empty(total.shape[1])
    _sharpes(float(n.sum()), total.sum(axis=0), square.sum(axis=0), whole)
    defined = ~np.isnan(whole)
    total, square = total[:, defined], square[:, defined]
    settings = total.shape[1]
    alike = settings > 0 and not (np.ptp(total, axis=1).any() or np.ptp(square, axis=1).any())
    if settings < 2 or alike:
        return Overfitting(float("nan"), np.empty(0), np.empty(0), np.empty(0), settings)
    # One of each way and its opposite: the first block is always in it.
    halves = np.array([(0, *rest) for rest in combinations(range(1, n.size), n.size // 2 - 1)])
    chosen = np.zeros((len(halves), n.size), dtype=np.bool_)
    np.put_along_axis(chosen, halves, True, axis=1)
    found = np.full((len(halves), 2, 3), np.nan)
    _judge_ways(chosen, n, np.ascontiguousarray(total), np.ascontiguousarray(square), found)
    logits, inside, outside = np.ascontiguousarray(found.reshape(-1, 3).T)
    known = ~np.isnan(logits)
    probability = float((logits[known] <= 0).mean()) if known.any() else float("nan")
    annual = np.sqrt(periods)
    return Overfitting(probability, logits, annual * inside, annual * outside, settings)


@njit(cache=True, nogil=True, error_model="numpy")
def _judge_ways(
    chosen: NDArray[np.bool_],
    bars: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    """Fill `found`, shape (ways, 2, 3), from the halves in `chosen`, shape (ways, blocks); 1 is a way's opposite."""
    blocks, settings = sums.shape
    total, square, sharpe = np.empty((2, settings)), np.empty((2, settings)), np.empty((2, settings))
    n = np.empty(2)
    for way in range(len(chosen)):
        # Both halves are added up: a difference from the whole would leave roundings where a setting is idle.
        total[:], square[:], n[:] = 0.0, 0.0, 0.0
        for block in range(blocks):
            half = 0 if chosen[way, block] else 1
            n[half] += bars[block]
            total[half] += sums[block]
            square[half] += squares[block]
        for half in range(2):
            _sharpes(n[half], total[half], square[half], sharpe[half])
        for half in range(2):
            _judge(sharpe[half], sharpe[1 - half], found[way, half])


@njit(cache=True, nogil=True, error_model="numpy")
def _sharpes(n: float, sums: NDArray[np.float64], squares: NDArray[np.float64], sharpe: NDArray[np.float64]) -> None:
    """Fill `sharpe` per bar, ddof 1, from the sums over n bars of every setting; NaN without any spread."""
    for setting in range(sums.size):
        mean, square = sums[setting] / n, squares[setting] / n
        variance = square - mean * mean
        ratio = mean / np.sqrt(variance * n / (n - 1))
        sharpe[setting] = ratio if variance > _ROUNDING * square else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _judge(inside: NDArray[np.float64], outside: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    """Fill `found` with logit and both Sharpe ratios of what the first half chooses; NaN stays if it chooses none."""
    best = -1
    for setting in range(inside.size):
        if not np.isnan(inside[setting]) and (best < 0 or inside[setting] > inside[best]):
            best = setting
    if best < 0:
        return
    level = 0.0 if np.isnan(outside[best]) else outside[best]
    below, equal = 0, 0
    for setting in range(outside.size):
        ranked = 0.0 if np.isnan(outside[setting]) else outside[setting]
        below += ranked < level
        equal += ranked == level
    rank = below + (equal + 1) / 2
    found[0] = np.log(rank / (outside.size + 1 - rank))
    found[1], found[2] = inside[best], outside[best]


def _check_blocks(blocks: int) -> None:
    if blocks < 2 or blocks % 2 or blocks > _MOST_BLOCKS:
        raise DataError(f"expected an even number of blocks from 2 to {_MOST_BLOCKS}, got {blocks}")
