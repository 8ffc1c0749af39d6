"""How far Sharpe ratio and drawdown could have come out otherwise: intervals by the stationary block bootstrap.

Other histories are made by drawing blocks of consecutive bars from the one that happened, of random length, each from a
random bar on, the first bar following the last (Politis & Romano 1994). So a history keeps what bars have to do with
their neighbours, such as calm and stormy times. Two series that are compared are drawn the same bars, so what the
market does to both of them cancels.

Intervals are percentiles of the resampled measures. They stay within what a measure can be (a drawdown is never below
0), need no estimate of the spread of each resample, and are those of the resamples whatever the measure's scale. For
the Sharpe ratio they are close to symmetric ones. For the drawdown, which depends on the order of the bars, they say
what the same bars lead to in other orders: the drawdown that happened may lie near an end of the interval, or outside.

Intervals are about bars, not about training: they take the decisions on each bar as given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.compiling import njit
from llmguide.errors import DataError
from llmguide.periods import check_periods

__all__ = [
    "Interval",
    "Intervals",
    "block_length",
    "bootstrap_difference",
    "bootstrap_intervals",
    "draw_bars",
    "optimal_block",
]

# As in llmguide.metrics: a spread of returns that is no more than their rounding counts as none.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
_FEWEST_BARS = 10  # of fewer, autocorrelations say nothing


@dataclass(frozen=True)
class Interval:
    """A measure with the bounds between which a share `level` of its resamples lies.

    Attributes:
        estimate: the measure on the data themselves.
        low: lower bound; NaN where no resample, or not even the measure itself, is defined.
        high: upper bound.
        level: share of the resamples between the bounds.
        resamples: number of resamples in which the measure is defined; the bounds are taken from these.
    """

    estimate: float
    low: float
    high: float
    level: float
    resamples: int


class Intervals(NamedTuple):
    """The result of a bootstrap: intervals of both measures, or of their differences.

    Attributes:
        sharpe: of the annual Sharpe ratio.
        drawdown: of the maximum drawdown, a positive fraction of the peak.
        block: mean length of the blocks, in bars.
    """

    sharpe: Interval
    drawdown: Interval
    block: float


def bootstrap_intervals(
    returns: ArrayLike,
    *,
    periods: float = 252,
    level: float = 0.95,
    resamples: int = 10_000,
    block: float | None = None,
    seed: int = 0,
) -> Intervals:
    """Return intervals of the Sharpe ratio and the maximum drawdown by the stationary bootstrap.

    Args:
        returns: simple returns per bar as fractions, shape ``(bars,)`` or ``(bars, runs)``, oldest first, idle bars
            included. With several runs, each resample draws the same bars for all and takes the mean of their measures,
            runs without a Sharpe ratio left out; it is not the measure of the mean return, which is a different
            account.
        periods: bars per year.
        level: share of the resamples between the bounds.
        resamples: number of resamples.
        block: mean length of the blocks in bars, or None for `block_length`.
        seed: seed of the resampling; the same seed gives the same intervals.

    The measures are those of `llmguide.sharpe_ratio`, and of `llmguide.max_drawdown` on the values that grow from 1 by
    these returns; a value that falls to zero or below stays there. Raises DataError for returns that are not finite,
    and impossible settings.
    """
    matrix = _matrix(returns, "returns")
    options = _Options(periods, level, resamples, block, seed)
    sharpe, drawdown, length = _resample(matrix, options)
    return Intervals(_interval(_over_runs(sharpe), level), _interval(_over_runs(drawdown), level), length)


def bootstrap_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    periods: float = 252,
    level: float = 0.95,
    resamples: int = 10_000,
    block: float | None = None,
    seed: int = 0,
) -> Intervals:
    """Return intervals of the differences in Sharpe ratio and maximum drawdown, `a` less `b`, on the same bars.

    An interval that leaves out 0 says that the difference is more than chance over this stretch of bars.

    Args:
        a: simple returns per bar as fractions, shape ``(bars,)`` or ``(bars, runs)``.
        b: the same of the other account; the numbers of runs may differ.
        periods: bars per year.
        level: share of the resamples between the bounds.
        resamples: number of resamples.
        block: mean length of the blocks in bars, or None for `block_length`.
        seed: seed of the resampling.

    Raises DataError where the numbers of bars differ, and as `bootstrap_intervals` does.
    """
    first, second = _matrix(a, "a"), _matrix(b, "b")
    if first.shape[0] != second.shape[0]:
        raise DataError(f"expected returns on the same bars, got {first.shape[0]} and {second.shape[0]} bars")
    options = _Options(periods, level, resamples, block, seed)
    sharpe, drawdown, length = _resample(np.hstack([first, second]), options)
    runs = first.shape[1]
    of_sharpe, of_drawdown = (_over_runs(x[:, :runs]) - _over_runs(x[:, runs:]) for x in (sharpe, drawdown))
    return Intervals(_interval(of_sharpe, level), _interval(of_drawdown, level), length)


def block_length(returns: ArrayLike) -> float:
    """Return the mean length of blocks for a bootstrap of Sharpe ratios, in bars, at least 1.

    It is the longest of `optimal_block` over every run's returns and their squares: a Sharpe ratio is made of the means
    of both, and volatility clusters show in the squares.

    Args:
        returns: simple returns per bar, shape ``(bars,)`` or ``(bars, runs)``.

    Raises DataError for returns of another shape, or not finite.
    """
    matrix = _matrix(returns, "returns")
    return max(optimal_block(column**power) for column in matrix.T for power in (1, 2))


def optimal_block(series: ArrayLike) -> float:
    """Return the mean block length that best estimates the variance of a series' mean, in bars, at least 1.

    b = (2 G^2 / D)^(1/3) n^(1/3), with G = sum over lags k of w(k/M) abs(k) R(k) and D = 2 (sum of w(k/M) R(k))^2. R
    are autocovariances, w is 1 up to 1/2 and falls to 0 at 1, and M is twice the smallest lag from which on five
    autocorrelations lie within 2 sqrt(log10(n) / n). The result is at most min(3 sqrt(n), n / 3), and 1 for fewer than
    ten bars or without any spread.

    Args:
        series: shape ``(bars,)``.

    Raises DataError for a series of another shape, or not finite.

    Source: Politis and White (2004), section 3.2, with D as corrected by Patton, Politis and White (2009).
    """
    x = _matrix(series, "series")[:, 0]
    n = x.size
    deviation = x - x.mean() if n else x
    if n < _FEWEST_BARS or not deviation.std() > _ROUNDING * max(1.0, float(np.abs(x).max())):
        return 1.0
    quiet = max(5, int(np.log10(n)))
    furthest = int(np.ceil(np.sqrt(n))) + quiet
    covariance = np.array([deviation[lag:] @ deviation[: n - lag] for lag in range(furthest + 1)]) / n
    small = np.abs(covariance) < 2 * np.sqrt(np.log10(n) / n) * covariance[0]
    first = next((lag for lag in range(1, furthest - quiet + 1) if small[lag : lag + quiet].all()), furthest)
    bandwidth = min(2 * first, furthest)
    lags = np.arange(1, bandwidth + 1)
    weighted = 2 * np.minimum(1.0, 2 * (1 - lags / bandwidth)) * covariance[1 : bandwidth + 1]
    g, at_zero = float(weighted @ lags), float(covariance[0] + weighted.sum())
    longest = float(np.ceil(min(3 * np.sqrt(n), n / 3)))
    if at_zero == 0:
        return longest
    return float(np.clip((g / at_zero) ** 2 * n, 1.0, longest**3) ** (1 / 3))


@njit(cache=True, nogil=True)
def draw_bars(random: np.random.Generator, block: float, at: NDArray[np.int64]) -> None:
    """Fill `at`, shape (bars,), with the positions of the bars of one resample."""
    bars = at.size
    bar = 0
    for filled in range(bars):
        # A block goes on with probability 1 - 1 / block: its length is geometric, with mean `block`.
        if filled > 0 and random.random() * block >= 1.0:
            bar = bar + 1 if bar + 1 < bars else 0
        else:
            bar = min(bars - 1, int(random.random() * bars))  # the product may round up
        at[filled] = bar


@njit(cache=True, nogil=True)
def _measure(returns: NDArray[np.float64], at: NDArray[np.int64], inverse: NDArray[np.float64]) -> tuple[float, float]:
    """Sharpe ratio per bar and maximum drawdown of the returns at these positions; `inverse` holds 1 / (1, 2, ...)."""
    mean, squares, largest = 0.0, 0.0, 1.0
    value, peak, deepest = 1.0, 1.0, 0.0
    for k in range(at.size):
        r = returns[at[k]]
        # Welford's update: without any spread `squares` is exactly zero.
        delta = r - mean
        mean += delta * inverse[k]
        squares += delta * (r - mean)
        largest = max(largest, abs(r))
        if value > 0.0:
            value *= 1.0 + r
            peak = max(peak, value)
            deepest = max(deepest, (peak - value) / peak)
    spread = np.sqrt(squares / (at.size - 1)) if at.size > 1 else 0.0
    return (mean / spread if spread > _ROUNDING * largest else np.nan), (deepest if at.size else np.nan)


@njit(cache=True, nogil=True)
def _measure_resamples(
    returns: NDArray[np.float64],
    random: np.random.Generator,
    block: float,
    inverse: NDArray[np.float64],
    sharpe: NDArray[np.float64],
    drawdown: NDArray[np.float64],
) -> None:
    """Fill `sharpe` and `drawdown`, shape (1 + resamples, runs), from `returns`, shape (runs, bars).

    Row 0 is of the bars as they were.
    """
    at = np.arange(returns.shape[1])
    for row in range(len(sharpe)):
        if row > 0:
            draw_bars(random, block, at)
        for run in range(len(returns)):
            sharpe[row, run], drawdown[row, run] = _measure(returns[run], at, inverse)


@dataclass(frozen=True)
class _Options:
    periods: float
    level: float
    resamples: int
    block: float | None
    seed: int

    def __post_init__(self) -> None:
        check_periods(self.periods)
        if not 0 < self.level < 1:
            raise DataError(f"expected a level between 0 and 1, such as 0.95, got {self.level}")
        if self.resamples < 1:
            raise DataError(f"expected at least one resample, got {self.resamples}")
        if self.block is not None and not 1 <= self.block < np.inf:
            raise DataError(f"expected blocks of at least one bar, got {self.block}; None chooses their length")


def _resample(matrix: NDArray[np.float64], options: _Options) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Annual Sharpe ratios and drawdowns, shape (1 + resamples, runs), those that happened in row 0; and the block."""
    block = block_length(matrix) if options.block is None else float(options.block)
    bars, runs = matrix.shape
    sharpe, drawdown = np.empty((2, 1 + options.resamples, runs))
    random = np.random.default_rng(options.seed)
    _measure_resamples(
        np.ascontiguousarray(matrix.T), random, block, 1.0 / np.arange(1, bars + 1), sharpe, drawdown
    )  # fmt: skip
    return np.sqrt(options.periods) * sharpe, drawdown, block


def _over_runs(measures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over runs, (1 + resamples, runs) to (1 + resamples,), undefined ones left out; NaN where all are."""
    defined = ~np.isnan(measures)
    count = defined.sum(axis=1)
    return np.where(count > 0, np.where(defined, measures, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _interval(measures: NDArray[np.float64], level: float) -> Interval:
    """Percentiles of all rows but the first, which is the estimate."""
    estimate, drawn = float(measures[0]), measures[1:]
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(estimate) or not drawn.size:
        return Interval(estimate, float("nan"), float("nan"), level, int(drawn.size))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, int(drawn.size))


def _matrix(returns: ArrayLike, name: str) -> NDArray[np.float64]:
    """`returns` as finite floats of shape (bars, runs)."""
    x = np.asarray(returns, dtype=np.float64)
    if x.ndim not in (1, 2) or (x.ndim == 2 and not x.shape[1]):
        raise DataError(f"expected {name} of shape (bars,) or (bars, runs), got shape {x.shape}")
    if not np.isfinite(x).all():
        bad = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"expected finite {name}, got {x[tuple(bad)]} at bar {bad[0]}; drop or fill them")
    return x if x.ndim == 2 else x[:, None]
