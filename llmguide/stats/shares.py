"""How sure a share of hits is: Wilson's interval, and a bootstrap over clusters of trials that are not independent."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError

__all__ = ["clustered_interval", "clustered_sums", "percentile_interval", "wilson_interval"]

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_RESAMPLES = 2000


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the share hits / n by Wilson's score; NaN for n = 0.

    Args:
        hits: number of successes.
        n: number of trials, taken as independent.

    Raises DataError unless 0 <= hits <= n.

    Source: Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    if not 0 <= hits <= n:
        raise DataError(f"expected 0 <= hits <= n, got {hits} hits of {n}")
    if n == 0:
        return math.nan, math.nan
    share = hits / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    reach = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def clustered_interval(
    values: ArrayLike, clusters: ArrayLike, *, seed: int = 0, resamples: int = _RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of `values` when whole clusters are resampled.

    Args:
        values: shape ``(n,)``, such as hits of 0 or 1.
        clusters: shape ``(n,)``, labels; trials with one label are drawn together, such as the instruments of one
            month.
        seed: seed of the resampling.
        resamples: number of draws.

    NaN where there are fewer than two clusters. Raises DataError for shapes that differ.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise DataError(f"expected values of shape (n,), got shape {column.shape}")
    drawn = clustered_sums(np.stack([column, np.ones_like(column)], axis=1), clusters, seed=seed, resamples=resamples)
    return percentile_interval(drawn[:, 0] / drawn[:, 1])


def clustered_sums(
    values: ArrayLike, clusters: ArrayLike, *, seed: int = 0, resamples: int = _RESAMPLES
) -> NDArray[np.float64]:
    """Return the sums of `values`, shape (n, k), in each draw of whole clusters with replacement.

    Shape (resamples, k); (0, k) where there are fewer than two clusters. Raises DataError for shapes that differ.
    """
    rows, labels = np.asarray(values, dtype=np.float64), np.asarray(clusters)
    if labels.shape != rows.shape[:1]:
        raise DataError(f"expected one cluster for each value, got shapes {rows.shape[:1]} and {labels.shape}")
    _, at = np.unique(labels, return_inverse=True)
    count = int(at.max()) + 1 if len(at) else 0
    if count < 2:
        return np.empty((0, rows.shape[1]))
    sums = np.stack([np.bincount(at, column, count) for column in rows.T], axis=1)  # (clusters, k)
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))  # (resamples, clusters)
    found: NDArray[np.float64] = sums[drawn].sum(axis=1)
    return found


def percentile_interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Return the middle 95 % of draws of shape (resamples,); NaN where there are none. Undefined draws are left out."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
