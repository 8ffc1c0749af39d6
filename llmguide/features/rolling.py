"""What a window of the last values says: slope, z-score, returns, volatility, average price.

Every function takes whole series, shape (n,), oldest first, and returns as many values; value t uses t and what is
before it. Each window is computed by itself, not from the one before, so the same window always gives the same bits.
NaN stands where the window is not full or holds a NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["WEEK", "YEAR", "Values", "historical_volatility", "slope", "vwap", "weekly_returns", "zscore"]

Values = NDArray[np.float64]

YEAR = 252
"""Trading days in a year."""

WEEK = 5  # bars

# Spread below this share of the scale is rounding.
_ROUNDING = 1e-12


def slope(values: Values, *, period: int = 20) -> Values:
    """Return the slope of the least-squares line through the last `period` values, per bar."""
    x = np.arange(period) - (period - 1) / 2
    weights = x / (x @ x)  # (period,)
    windows = _windows(values, period)
    return _sums((windows - windows[:, -1:]) * weights, len(values))


def zscore(values: Values, *, period: int = 20, scale: Values | None = None, weights: Values | None = None) -> Values:
    """Return how many standard deviations (of the population, as TA-Lib's) a value is above the mean of its window.

    With `weights`, (n,), such as volumes, mean and standard deviation are weighted. NaN where these are 0, and where
    the window has no spread beyond rounding, measured by `scale`, (n,): by default the largest of the window.
    """
    windows = _windows(values, period)
    differences = windows - windows[:, -1:]  # (n - period + 1, period); exactly 0 for equal values
    if weights is None:
        mean = differences.sum(axis=1) / period
        variance = ((differences - mean[:, None]) ** 2).sum(axis=1) / period
    else:
        given = np.ascontiguousarray(_windows(weights, period))
        totals = given.sum(axis=1)
        totals[totals <= 0] = np.nan
        mean = (given * differences).sum(axis=1) / totals
        variance = (given * (differences - mean[:, None]) ** 2).sum(axis=1) / totals
    deviation = np.sqrt(variance)
    size = np.abs(windows).max(axis=1, initial=0.0) if scale is None else np.abs(scale[period - 1 :])
    known = deviation > _ROUNDING * size
    scores = np.full(len(values), np.nan)
    scores[period - 1 :][known] = -mean[known] / deviation[known]
    return scores


def weekly_returns(close: Values, *, weeks: int = 4) -> Values:
    """Return the returns of the last `weeks` spans of 5 bars, the newest first, shape (n, weeks)."""
    returns = np.full((len(close), weeks), np.nan)
    for week in range(weeks):
        first = WEEK * (week + 1)
        later = close[WEEK : max(0, len(close) - WEEK * week)]
        returns[first:, week] = later / close[: max(0, len(close) - first)] - 1.0
    return returns


def historical_volatility(close: Values, *, period: int = 20, periods: float = YEAR) -> Values:
    """Return the standard deviation (n - 1) of the last `period` returns, annualised: a fraction a year."""
    returns = np.full(len(close), np.nan)
    returns[1:] = close[1:] / close[:-1] - 1.0
    windows = _windows(returns, period)
    differences = windows - windows[:, -1:]
    deviations = differences - differences.sum(axis=1, keepdims=True) / period
    variances: Values = _sums(deviations**2, len(close)) / (period - 1)
    return np.sqrt(periods * variances)


def vwap(close: Values, volume: Values, *, period: int = 20) -> Values:
    """Return the mean of the last `period` closes, weighted by volume; NaN where nothing was traded.

    Closes, not typical prices: in many files closes are adjusted while highs and lows are not, and an average of the
    two is the price of nothing.
    """
    amounts = _sums(_windows(close * volume, period), len(close))
    volumes = _sums(_windows(volume, period), len(close))
    means: Values = np.divide(amounts, volumes, out=np.full(len(close), np.nan), where=volumes > 0)
    return means


def _windows(values: Values, period: int) -> Values:
    """Return a view of the full windows, shape (max(0, n - period + 1), period)."""
    if len(values) < period:
        return np.empty((0, period))
    return np.lib.stride_tricks.sliding_window_view(values, period)


def _sums(windows: Values, length: int) -> Values:
    """Return the sum of each window, shape (length,), after NaN where no window is full."""
    sums = np.full(length, np.nan)
    sums[length - len(windows) :] = np.ascontiguousarray(windows).sum(axis=1)
    return sums
