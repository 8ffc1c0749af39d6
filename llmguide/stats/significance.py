"""Is a difference between arms more than luck? The tests of significance of the two papers.

The hybrid paper (arXiv 2508.02366) compares arms by two-sided t tests over 25 runs; a replication is compared with a
published figure by a one-sample t test. Here arms train with the same seeds, so their runs are paired. Wilcoxon's test
stands beside the t test because it asks for no normal distribution: one run far off cannot make or break it. Holm's
correction is for many tests of one question, such as one per instrument.

A statistic that the data do not determine is NaN, and so is its p: with fewer than two runs, without any spread, or
where a run's measure is itself NaN. Infinite measures are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError

__all__ = ["PairedTests", "TestResult", "holm", "one_sample_t", "paired_t", "paired_tests", "wilcoxon"]

# Equal differences leave a standard deviation of a few roundings, not of zero, and a t of 1e15.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
_MOST_EXACT = 50  # ranks: 2^50 ways are counted without rounding


@dataclass(frozen=True)
class TestResult:
    """Outcome of a two-sided test: the statistic, its p, the number of runs (or pairs) n and the mean difference.

    The statistic is Student's t or Wilcoxon's W, the smaller of the two sums of ranks. A positive difference says that
    the first sample is greater than the second one, or than the published figure.
    """

    __test__: ClassVar[bool] = False  # its name would make pytest collect it

    statistic: float
    p: float
    n: int
    mean_difference: float


class PairedTests(NamedTuple):
    """Both tests of one pair of samples, as rows of tables have them."""

    mean_difference: float  # mean(a - b)
    t: float
    p: float  # of the t test
    n: int  # pairs
    p_wilcoxon: float


def paired_tests(a: ArrayLike, b: ArrayLike) -> PairedTests:
    """Return `paired_t` and `wilcoxon` of the same samples."""
    student = paired_t(a, b)
    return PairedTests(student.mean_difference, student.statistic, student.p, student.n, wilcoxon(a, b).p)


def paired_t(a: ArrayLike, b: ArrayLike) -> TestResult:
    """Two-sided paired t test of mean(a - b) = 0.

    `a` and `b` hold one measure per run, shape (runs,), the same seed at the same place. With d = a - b,
    t = mean(d) / (std(d) / sqrt(n)), ddof 1 and n - 1 degrees of freedom. Raises DataError where the samples differ in
    length.
    """
    return _t_of_mean(_differences(a, b))


def wilcoxon(a: ArrayLike, b: ArrayLike) -> TestResult:
    """Two-sided signed-rank test that a - b is as often above zero as below, far or near (Wilcoxon 1945).

    `a` and `b` as for `paired_t`. Pairs without a difference are left out of the ranks, differences of equal size share
    the mean of theirs, `n` counts all pairs. p is exact for up to 50 ranks, of all ways to sign them, ties or not;
    beyond, by the normal approximation. It cannot be small where pairs are few: of five that all point the same way it
    is 2 / 2^5.
    """
    d = _differences(a, b)
    n = int(d.size)
    mean = float(d.mean()) if n else float("nan")
    some = d[~(np.abs(d) <= _ROUNDING * max(1.0, float(np.abs(d).max(initial=0.0))))]
    if n < 2 or np.isnan(d).any() or not some.size:
        return TestResult(float("nan"), float("nan"), n, mean)
    _, place, ties = np.unique(np.abs(some), return_inverse=True, return_counts=True)
    twice = (2 * np.cumsum(ties) - ties + 1)[place]  # ranks times two are whole, ties or not
    below = int(twice[some < 0].sum())
    least = min(below, int(twice.sum()) - below)
    p = _p_exact(twice, least) if some.size <= _MOST_EXACT else _p_normal(some.size, ties, least / 2)
    return TestResult(least / 2, p, n, mean)


def _p_exact(twice: NDArray[np.int64], least: int) -> float:
    """Twice the share of all ways to sign the ranks in which those of one sign sum up to `least` or less."""
    ways = np.zeros(int(twice.sum()) + 1)
    ways[0] = 1.0
    for rank in twice:
        ways[rank:] += ways[:-rank].copy()
    return min(1.0, 2.0 * float(ways[: least + 1].sum()) / 2.0 ** len(twice))


def _p_normal(n: int, ties: NDArray[np.int64], least: float) -> float:
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((ties.astype(np.float64) ** 3 - ties).sum()) / 48
    return math.erfc((n * (n + 1) / 4 - least) / math.sqrt(2 * variance))


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return the p of a family of tests, shape (tests,), corrected so that a false alarm in any of them is rare.

    Of m tests, the k-th smallest p is multiplied by m - k + 1, is at least as large as the one before and at most 1.
    Where those below 0.05 are called significant, the chance that one or more is so by luck is at most 5 %, however the
    tests depend on each other (Holm 1979). A NaN stays NaN and is not counted. Raises DataError for a p outside 0..1.
    """
    raw = np.asarray(p, dtype=np.float64)
    if raw.ndim != 1:
        raise DataError(f"expected one p per test, got {raw.ndim} dimensions of shape {raw.shape}")
    wrong = (raw < 0) | (raw > 1)
    if wrong.any():
        raise DataError(f"expected every p in 0..1, got {raw[wrong][0]} for test {wrong.argmax()}")
    corrected = np.full(raw.shape, np.nan)
    order = np.argsort(raw)[: int((~np.isnan(raw)).sum())]  # NaN comes last
    factors = np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * factors), 1.0)
    return corrected


def one_sample_t(a: ArrayLike, popmean: float) -> TestResult:
    """Two-sided one-sample t test of mean(a) = popmean, a published figure without a spread of its own."""
    if not np.isfinite(popmean):
        raise DataError(f"expected a finite figure to compare with, got {popmean}")
    return _t_of_mean(_sample(a, "a") - popmean)


def _t_of_mean(d: NDArray[np.float64]) -> TestResult:
    """t test of mean(d) = 0."""
    n = int(d.size)
    mean = float(d.mean()) if n else float("nan")
    if n < 2 or not float(d.std(ddof=1)) > _ROUNDING * max(1.0, float(np.abs(d).max())):
        return TestResult(float("nan"), float("nan"), n, mean)
    from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types; here since its import takes a second

    outcome: Any = stats.ttest_1samp(d, 0.0)
    return TestResult(float(outcome.statistic), float(outcome.pvalue), n, mean)


def _differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    first, second = _sample(a, "a"), _sample(b, "b")
    if first.shape != second.shape:
        raise DataError(f"expected the same runs in both arms, got {first.size} and {second.size}; pair them by seed")
    return first - second


def _sample(numbers: ArrayLike, name: str) -> NDArray[np.float64]:
    """`numbers` as a one-dimensional float array; NaN is kept, infinity refused."""
    x = np.asarray(numbers, dtype=np.float64)
    if x.ndim != 1:
        raise DataError(f"expected {name} as one measure per run, got {x.ndim} dimensions of shape {x.shape}")
    if np.isinf(x).any():
        raise DataError(f"expected finite measures in {name}, got {x[np.isinf(x)][0]} for run {np.isinf(x).argmax()}")
    return x
