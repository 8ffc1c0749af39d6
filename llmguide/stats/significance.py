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
    """The outcome of a two-sided test.

    Attributes:
        statistic: Student's t, or Wilcoxon's W, the smaller of the two sums of ranks.
        p: two-sided p value.
        n: number of runs, or pairs of runs.
        mean_difference: above 0 where the first sample is greater than the second one, or than the published figure.
    """

    __test__: ClassVar[bool] = False  # its name would make pytest collect it

    statistic: float
    p: float
    n: int
    mean_difference: float


class PairedTests(NamedTuple):
    """Both tests of one pair of samples, as one row of a table.

    Attributes:
        mean_difference: mean(a - b).
        t: statistic of the t test.
        p: its two-sided p value.
        n: number of pairs.
        p_wilcoxon: two-sided p value of Wilcoxon's signed-rank test.
    """

    mean_difference: float
    t: float
    p: float
    n: int
    p_wilcoxon: float


def paired_tests(a: ArrayLike, b: ArrayLike) -> PairedTests:
    """Return `paired_t` and `wilcoxon` of the same samples.

    Args:
        a: one measure per run, shape ``(runs,)``.
        b: the same measure of the other arm, the same seed at the same position.

    Raises DataError as `paired_t` does.
    """
    student = paired_t(a, b)
    return PairedTests(student.mean_difference, student.statistic, student.p, student.n, wilcoxon(a, b).p)


def paired_t(a: ArrayLike, b: ArrayLike) -> TestResult:
    """Return the two-sided paired t test of mean(a - b) = 0.

    With d = a - b, t = mean(d) / (std(d) / sqrt(n)), ddof 1 and n - 1 degrees of freedom.

    Args:
        a: one measure per run, shape ``(runs,)``; where one is NaN, so is the result.
        b: the same measure of the other arm, the same seed at the same position.

    Raises DataError where the samples differ in length, or a measure is infinite.
    """
    return _t_of_mean(_differences(a, b))


def wilcoxon(a: ArrayLike, b: ArrayLike) -> TestResult:
    """Return the two-sided signed-rank test that a - b is symmetric around zero (Wilcoxon 1945).

    Args:
        a: one measure per run, shape ``(runs,)``.
        b: the same measure of the other arm, the same seed at the same position.

    Pairs without a difference are left out of the ranks, differences of equal size share the mean of theirs; `n` counts
    all pairs. p is exact for up to 50 ranks, over all ways to sign them, ties or not; beyond, it is the normal
    approximation. It cannot be small where pairs are few: of five that all point the same way it is 2 / 2^5. Raises
    DataError as `paired_t` does.
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
    """Return the p values of a family of tests, corrected for their number (Holm 1979).

    Of m tests, the k-th smallest p is multiplied by m - k + 1, made no smaller than the one before it, and at most 1.
    Where those below 0.05 are called significant, the chance that one or more is so by luck is at most 5 %, however the
    tests depend on each other.

    Args:
        p: shape ``(tests,)``; a NaN stays NaN and is not counted.

    Raises DataError for another shape, and a p outside 0..1.
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
    """Return the two-sided one-sample t test of mean(a) = popmean.

    Args:
        a: one measure per run, shape ``(runs,)``; where one is NaN, so is the result.
        popmean: a published figure without a spread of its own.

    Raises DataError for infinite measures, another shape, or a `popmean` that is not finite.
    """
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
