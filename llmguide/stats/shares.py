"""How sure a share of hits is: Wilson's interval, and a bootstrap over clusters of hits that are not independent."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from llmguide.errors import DataError

__all__ = ["clustered_interval", "wilson_interval"]

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_RESAMPLES = 2000


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the share hits / n by Wilson's score; NaN for n = 0.

    It takes the n trials as independent. Raises DataError unless 0 <= hits <= n.

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
    hits: ArrayLike, clusters: ArrayLike, *, seed: int = 0, resamples: int = _RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of `hits` when whole clusters are drawn with replacement.

    Args:
        hits: shape (n,), 0 or 1 each.
        clusters: shape (n,), labels; trials of one label are drawn together, such as instruments of one month.
        seed: of the draws.
        resamples: how many.

    NaN where there are fewer than two clusters. Raises DataError for shapes that differ.
    """
    values, labels = np.asarray(hits, dtype=np.float64), np.asarray(clusters)
    if values.ndim != 1 or values.shape != labels.shape:
        raise DataError(f"expected one cluster for each hit, got shapes {values.shape} and {labels.shape}")
    _, at = np.unique(labels, return_inverse=True)
    count = int(at.max()) + 1 if len(at) else 0
    if count < 2:
        return math.nan, math.nan
    sums, sizes = np.bincount(at, values, count), np.bincount(at, minlength=count)  # (clusters,)
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))  # (resamples, clusters)
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)  # (resamples,)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
