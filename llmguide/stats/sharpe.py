"""How much a Sharpe ratio is worth: its length of record, its fat tails, and how many settings were tried before it.

The Sharpe ratio of n bars is itself uncertain, the more so for fat tails and negative skew. The probabilistic Sharpe
ratio (Bailey & Lopez de Prado 2012) is the probability that the true one is above a benchmark. The deflated one (2014)
sets that benchmark to what the best of as many settings would reach without any skill.

They take bars as independent: where returns are autocorrelated, `llmguide.stats.bootstrap_intervals` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from llmguide.errors import DataError
from llmguide.periods import check_periods

__all__ = [
    "DeflatedSharpe",
    "ReturnMoments",
    "deflated_sharpe",
    "expected_best_sharpe",
    "min_track_record",
    "probabilistic_sharpe",
    "return_moments",
]

# As in llmguide.metrics: a spread of returns that is no more than their rounding counts as none.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ReturnMoments:
    """The moments of a series of returns that the Sharpe-ratio statistics need.

    Attributes:
        sharpe: mean over standard deviation (ddof 1), per bar, not annual.
        skewness: third standardised moment; 0 for a normal distribution.
        kurtosis: fourth standardised moment, not in excess: 3 for a normal distribution.
        bars: number of returns.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    bars: int

    @property
    def variance(self) -> float:
        """Variance of the Sharpe ratio times n - 1 (Bailey and Lopez de Prado 2012, equation 8)."""
        return 1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2


class DeflatedSharpe(NamedTuple):
    """The result of `deflated_sharpe`.

    Attributes:
        probability: probability that the true Sharpe ratio is above the hurdle.
        hurdle: annual Sharpe ratio expected of the best trial without skill.
        trials: number of trials that were counted.
    """

    probability: float
    hurdle: float
    trials: float


def return_moments(returns: ArrayLike) -> ReturnMoments:
    """Return the moments of simple returns per bar.

    Args:
        returns: fractions, shape ``(bars,)``.

    Returns:
        The moments, with ddof 1 in the Sharpe ratio as in `llmguide.sharpe_ratio`, and the population's skewness and
        kurtosis; NaN for fewer than two bars or returns without spread.

    Raises DataError for returns of another shape, or not finite.
    """
    r = np.asarray(returns, dtype=np.float64)
    if r.ndim != 1 or not np.isfinite(r).all():
        raise DataError(f"expected finite returns of one account, shape (bars,), got shape {r.shape} of {r.dtype}")
    spread = float(r.std(ddof=1)) if r.size > 1 else 0.0
    if not spread > _ROUNDING * max(1.0, float(np.abs(r).max(initial=0.0))):
        return ReturnMoments(float("nan"), float("nan"), float("nan"), int(r.size))
    standard = (r - r.mean()) / r.std()
    return ReturnMoments(
        float(r.mean() / spread), float((standard**3).mean()), float((standard**4).mean()), int(r.size)
    )


def probabilistic_sharpe(returns: ArrayLike | ReturnMoments, *, benchmark: float = 0.0, periods: float = 252) -> float:
    """Return the probability that the true Sharpe ratio is above a benchmark.

    Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)), with Sharpe ratios per bar.

    Args:
        returns: fractions per bar, shape ``(bars,)``, or their moments.
        benchmark: the annual Sharpe ratio to beat.
        periods: bars per year.

    NaN where the Sharpe ratio is undefined. Raises DataError for returns or a benchmark that are not finite.

    Source: Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, equation 11.
    """
    moments = _moments(returns)
    margin = moments.sharpe - _per_bar(benchmark, periods)
    if not moments.variance > 0 or moments.bars < 2:
        return float("nan")
    return float(_normal().cdf(margin * np.sqrt((moments.bars - 1) / moments.variance)))


def min_track_record(
    returns: ArrayLike | ReturnMoments, *, benchmark: float = 0.0, level: float = 0.95, periods: float = 252
) -> float:
    """Return the number of bars until the probabilistic Sharpe ratio reaches `level`, if the moments stay what they
    are.

    1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2, with z the normal quantile of `level`.

    Args:
        returns: fractions per bar, shape ``(bars,)``, or their moments.
        benchmark: the annual Sharpe ratio to beat.
        level: probability to reach, above 0.5 and below 1.
        periods: bars per year.

    NaN where the Sharpe ratio is undefined or not above the benchmark: no record is long enough. Raises DataError for
    returns, a benchmark or a level that cannot be used.

    Source: Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, equation 13.
    """
    if not 0.5 < level < 1:
        raise DataError(f"expected a level between 0.5 and 1, such as 0.95, got {level}")
    moments = _moments(returns)
    margin = moments.sharpe - _per_bar(benchmark, periods)
    if not margin > 0 or not moments.variance > 0:
        return float("nan")
    return float(1 + moments.variance * (_normal().ppf(level) / margin) ** 2)


def expected_best_sharpe(std: float, trials: float) -> float:
    """Return the Sharpe ratio expected of the best of `trials` independent settings without skill.

    std ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))), with Z the normal quantile and g Euler's constant; 0 for a single
    trial.

    Args:
        std: standard deviation of the trials' Sharpe ratios; the result has its unit.
        trials: number of independent settings, N.

    Raises DataError for fewer than one trial.

    Source: Bailey and Lopez de Prado (2014), The deflated Sharpe ratio, equation 1.
    """
    if not trials >= 1:
        raise DataError(f"expected at least one trial, got {trials}")
    if trials == 1:
        return 0.0
    quantile = _normal().ppf
    most = (1 - np.euler_gamma) * quantile(1 - 1 / trials) + np.euler_gamma * quantile(1 - 1 / (trials * np.e))
    return float(std * max(0.0, most))


def deflated_sharpe(
    returns: ArrayLike | ReturnMoments, sharpes: ArrayLike, *, trials: float | None = None, periods: float = 252
) -> DeflatedSharpe:
    """Return the probability that the best setting of a search has skill, given all that was tried.

    It is `probabilistic_sharpe` against `expected_best_sharpe`.

    Args:
        returns: simple returns of the chosen setting per bar, shape ``(bars,)``, or their moments.
        sharpes: annual Sharpe ratios of every setting tried, shape ``(settings,)``, the chosen one included; undefined
            ones are left out. Their spread shows how far luck alone reaches.
        trials: number of independent settings they amount to; None counts all of them. Neighbouring settings earn much
            the same, so counting all asks too much of the best one rather than too little.
        periods: bars per year.

    Returns:
        A `DeflatedSharpe`; NaN where either part is undefined.

    Raises DataError for infinite Sharpe ratios, and returns that are not finite.

    Source: Bailey and Lopez de Prado (2014), The deflated Sharpe ratio, equation 2.
    """
    tried = np.asarray(sharpes, dtype=np.float64).ravel()
    tried = tried[~np.isnan(tried)]
    if np.isinf(tried).any():
        raise DataError("expected finite Sharpe ratios of the trials, got an infinite one; undefined ones are NaN")
    number = float(tried.size) if trials is None else float(trials)
    if not tried.size:
        return DeflatedSharpe(float("nan"), float("nan"), number)
    hurdle = expected_best_sharpe(float(tried.std(ddof=1)) if tried.size > 1 else 0.0, number)
    return DeflatedSharpe(probabilistic_sharpe(returns, benchmark=hurdle, periods=periods), hurdle, number)


def _moments(returns: ArrayLike | ReturnMoments) -> ReturnMoments:
    return returns if isinstance(returns, ReturnMoments) else return_moments(returns)


def _per_bar(annual: float, periods: float) -> float:
    check_periods(periods)
    if not np.isfinite(annual):
        raise DataError(f"expected a finite Sharpe ratio to compare with, got {annual}")
    return float(annual / np.sqrt(periods))


def _normal() -> Any:
    """The standard normal distribution."""
    from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types; here since its import takes a second

    return stats.norm
