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
    """What these measures need to know of a series of returns.

    Attributes:
        sharpe: mean over standard deviation, per bar, not annual.
        skewness: third standardised moment; 0 for a normal distribution.
        kurtosis: fourth standardised moment, not in excess: 3 for a normal distribution.
        bars: how many.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    bars: int

    @property
    def variance(self) -> float:
        """Variance of the Sharpe ratio times n - 1: 1 - g3 SR + (g4 - 1) / 4 SR^2 (2012, equation 8)."""
        return 1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2


class DeflatedSharpe(NamedTuple):
    """What came of `deflated_sharpe`."""

    probability: float  # that the true Sharpe ratio is above the hurdle
    hurdle: float  # annual Sharpe ratio expected of the best trial without skill
    trials: float  # how many were counted


def return_moments(returns: ArrayLike) -> ReturnMoments:
    """Return the moments of returns per bar, shape (bars,).

    The deviation in the Sharpe ratio has ddof 1 as in `llmguide.sharpe_ratio`; skewness and kurtosis are the
    population's. NaN for fewer than two bars or returns without spread. Raises DataError for returns not finite.
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
    """Probability that the true Sharpe ratio is above `benchmark`, an annual one.

    PSR = Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)) with Sharpe ratios per bar (Bailey & Lopez
    de Prado 2012, equation 11). `returns` are fractions per bar, shape (bars,), or their moments. NaN where the Sharpe
    ratio is undefined.
    """
    moments = _moments(returns)
    margin = moments.sharpe - _per_bar(benchmark, periods)
    if not moments.variance > 0 or moments.bars < 2:
        return float("nan")
    return float(_normal().cdf(margin * np.sqrt((moments.bars - 1) / moments.variance)))


def min_track_record(
    returns: ArrayLike | ReturnMoments, *, benchmark: float = 0.0, level: float = 0.95, periods: float = 252
) -> float:
    """Bars needed until the probabilistic Sharpe ratio reaches `level`, if the moments stay what they are.

    1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2 with z the normal quantile of `level` (2012, equation 13).
    NaN where the Sharpe ratio is undefined or not above the benchmark: no record is long enough.
    """
    if not 0.5 < level < 1:
        raise DataError(f"expected a level between 0.5 and 1, such as 0.95, got {level}")
    moments = _moments(returns)
    margin = moments.sharpe - _per_bar(benchmark, periods)
    if not margin > 0 or not moments.variance > 0:
        return float("nan")
    return float(1 + moments.variance * (_normal().ppf(level) / margin) ** 2)


def expected_best_sharpe(std: float, trials: float) -> float:
    """Sharpe ratio expected of the best of `trials` independent settings without skill, in the unit of `std`.

    std ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))) with Z the normal quantile and g Euler's constant (Bailey & Lopez de
    Prado 2014, equation 1); 0 for a single trial. `std` is that of the trials' Sharpe ratios.
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
    """Probability that the best setting of a search has skill, given all that was tried.

    Args:
        returns: those of the chosen setting per bar, shape (bars,), or their moments.
        sharpes: annual Sharpe ratios of every setting tried, shape (settings,), the chosen one included; undefined ones
            are left out. Their spread tells how far luck alone reaches.
        trials: how many independent settings they amount to; None for as many as there are. Neighbouring settings earn
            much the same, so counting all of them asks too much of the best one rather than too little.
        periods: bars per year.

    It is `probabilistic_sharpe` against `expected_best_sharpe` (2014, equation 2). NaN where either is undefined.
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
