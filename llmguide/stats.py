"""Is a difference between arms more than luck? The tests of significance of the two papers.

The hybrid paper (arXiv 2508.02366) compares arms by two-sided t tests over 25 runs; a replication is compared with a
published figure by a one-sample t test. Here arms train with the same seeds, so their runs are paired.

A statistic that the data do not determine is NaN, and so is its p: with fewer than two runs, without any spread, or
where a run's measure is itself NaN. Infinite measures are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError

__all__ = ["TestResult", "one_sample_t", "paired_t"]


@dataclass(frozen=True)
class TestResult:
    """Outcome of a two-sided test: the statistic t, its p, the number of runs (or pairs) n and the mean difference.

    A positive difference says that the first sample is greater than the second one, or than the published figure.
    """

    __test__: ClassVar[bool] = False  # its name would make pytest collect it

    statistic: float
    p: float
    n: int
    mean_difference: float


def paired_t(a: ArrayLike, b: ArrayLike) -> TestResult:
    """Two-sided paired t test of mean(a - b) = 0.

    `a` and `b` hold one measure per run, shape (runs,), the same seed at the same place. With d = a - b,
    t = mean(d) / (std(d) / sqrt(n)), ddof 1 and n - 1 degrees of freedom. Raises DataError where the samples differ in
    length.
    """
    first, second = _sample(a, "a"), _sample(b, "b")
    if first.shape != second.shape:
        raise DataError(f"expected the same runs in both arms, got {first.size} and {second.size}; pair them by seed")
    return _t_of_mean(first - second)


def one_sample_t(a: ArrayLike, popmean: float) -> TestResult:
    """Two-sided one-sample t test of mean(a) = popmean, a published figure without a spread of its own."""
    if not np.isfinite(popmean):
        raise DataError(f"expected a finite figure to compare with, got {popmean}")
    return _t_of_mean(_sample(a, "a") - popmean)


def _t_of_mean(d: NDArray[np.float64]) -> TestResult:
    """t test of mean(d) = 0."""
    n = int(d.size)
    mean = float(d.mean()) if n else float("nan")
    # Equal differences leave a standard deviation of a few roundings, not of zero, and a t of 1e15.
    if n < 2 or not float(d.std(ddof=1)) > 8 * np.finfo(np.float64).eps * max(1.0, float(np.abs(d).max())):
        return TestResult(float("nan"), float("nan"), n, mean)
    from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types; here since its import takes a second

    outcome: Any = stats.ttest_1samp(d, 0.0)
    return TestResult(float(outcome.statistic), float(outcome.pvalue), n, mean)


def _sample(numbers: ArrayLike, name: str) -> NDArray[np.float64]:
    """`numbers` as a one-dimensional float array; NaN is kept, infinity refused."""
    x = np.asarray(numbers, dtype=np.float64)
    if x.ndim != 1:
        raise DataError(f"expected {name} as one measure per run, got {x.ndim} dimensions of shape {x.shape}")
    if np.isinf(x).any():
        raise DataError(f"expected finite measures in {name}, got {x[np.isinf(x)][0]} for run {np.isinf(x).argmax()}")
    return x
