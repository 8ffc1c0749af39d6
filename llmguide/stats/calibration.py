"""Do things happen as often as they were said to? Scores of probabilities, and functions that set them right.

    calibrator = fit_calibrator(said, happened, method="platt")   # of what is known
    calibrator(0.9)                                               # of what is said next

Sources: Platt (1999), Probabilistic outputs for support vector machines; Zadrozny and Elkan (2002), Transforming
classifier scores into accurate multiclass probability estimates (isotonic regression); Brier (1950), Monthly Weather
Review 78, 1-3; Naeini, Cooper and Hauskrecht (2015), AAAI (expected calibration error).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError, did_you_mean
from llmguide.stats.shares import wilson_interval

__all__ = [
    "METHODS",
    "Calibrator",
    "IsotonicCalibrator",
    "Method",
    "PlattCalibrator",
    "ReliabilityBin",
    "brier_score",
    "check_method",
    "expected_calibration_error",
    "fit_calibrator",
    "reliability_curve",
]

Method = Literal["isotonic", "platt"]
METHODS: tuple[Method, ...] = get_args(Method)

_LEAST = 1e-6
"""The least probability, and the least chance of the contrary, that log-odds are taken of."""


@dataclass(frozen=True)
class IsotonicCalibrator:
    """A monotone function of the stated probability: linear between the fitted points, constant outside them.

    Attributes:
        said: distinct stated probabilities, ascending.
        values: for each, the share of its block in which the event happened.
        n: number of outcomes it was fitted to.
    """

    said: tuple[float, ...]
    values: tuple[float, ...]
    n: int

    def __call__(self, p: ArrayLike) -> NDArray[np.float64]:
        """Return the calibrated probabilities, within 1/(n + 2) and (n + 1)/(n + 2); the shape is that of `p`."""
        return _bounded(np.interp(np.asarray(p, dtype=np.float64), self.said, self.values), self.n)


@dataclass(frozen=True)
class PlattCalibrator:
    """The logistic function of intercept + slope * ln(p / (1 - p)); a negative slope reverses probabilities.

    Attributes:
        slope: 1, with an intercept of 0, leaves probabilities as they are; 0 makes all of them the same.
        intercept: added to the log-odds.
        n: number of outcomes it was fitted to.
    """

    slope: float
    intercept: float
    n: int

    def __call__(self, p: ArrayLike) -> NDArray[np.float64]:
        """Return the calibrated probabilities, within 1/(n + 2) and (n + 1)/(n + 2); the shape is that of `p`."""
        return _bounded(_logistic(self.intercept + self.slope * _log_odds(np.asarray(p, dtype=np.float64))), self.n)


Calibrator = IsotonicCalibrator | PlattCalibrator
"""What `fit_calibrator` returns: called with stated probabilities, it returns calibrated ones of the same shape."""


class ReliabilityBin(NamedTuple):
    """Stated probabilities of about the same size, and how often the event happened.

    Attributes:
        mean_p: mean stated probability.
        share: fraction of the bin in which the event happened.
        n: number of outcomes in the bin.
        low: lower bound of the share's 95 % interval by Wilson, which takes outcomes as independent.
        high: its upper bound.
    """

    mean_p: float
    share: float
    n: int
    low: float
    high: float


def fit_calibrator(p: ArrayLike, happened: ArrayLike, *, method: Method) -> Calibrator:
    """Return the function that maps stated probabilities to observed frequencies.

    Args:
        p: shape ``(n,)``, stated probabilities in [0, 1]; n is at least 1.
        happened: shape ``(n,)``, 0 or 1 each.
        method: "isotonic" is the monotone function of least squares (pool adjacent violators), rising or falling,
            whichever fits better, rising where both fit equally. It can take any monotone shape, and so follows chance
            too where outcomes are few. "platt" is a logistic function of the log-odds, fitted by maximum likelihood to
            Platt's targets, (N+ + 1)/(N+ + 2) and 1/(N- + 2): two parameters are learned from all outcomes.

    Returns:
        A `Calibrator`, called with probabilities of any shape. All its results lie within 1/(n + 2) and (n + 1)/(n +
        2), Laplace's rule of succession: none claims more than n outcomes of one kind would. Where all outcomes are
        equal, or all `p`, every probability becomes the same.

    Log-odds are taken of probabilities clipped to 1e-6 and 1 - 1e-6. Raises DataError for no outcomes, shapes that
    differ, values out of range, and an unknown method.

    Source: Platt (1999); Zadrozny and Elkan (2002).
    """
    said, outcomes = _pairs(p, happened)
    if not len(said):
        raise DataError("expected outcomes to fit a calibrator to, got none; wait until some are known")
    return _fit_isotonic(said, outcomes) if check_method(method) == "isotonic" else _fit_platt(said, outcomes)


def brier_score(p: ArrayLike, happened: ArrayLike) -> float:
    """Return the mean of (p - happened)^2: 0 is perfect, 0.25 is that of always saying 0.5.

    Args:
        p: shape ``(n,)``, stated probabilities in [0, 1].
        happened: shape ``(n,)``, 0 or 1 each.

    NaN where n is 0. Raises DataError for shapes that differ and values out of range.

    Source: Brier (1950), Monthly Weather Review 78, 1-3.
    """
    said, outcomes = _pairs(p, happened)
    return float(np.mean((said - outcomes) ** 2)) if len(said) else math.nan


def reliability_curve(
    p: ArrayLike, happened: ArrayLike, *, bins: int = 10, equal: Literal["width", "count"] = "width"
) -> tuple[ReliabilityBin, ...]:
    """Return stated probability and observed share of each bin that is not empty, lowest first.

    Args:
        p: shape ``(n,)``, stated probabilities in [0, 1].
        happened: shape ``(n,)``, 0 or 1 each.
        bins: number of bins, [0, 1/bins) and so on; the last one includes 1.
        equal: "width" cuts [0, 1] into bins of equal width; "count" cuts the sorted probabilities into bins of nearly
            equal counts, equal probabilities always in the same bin.

    Raises DataError as `fit_calibrator` does, for fewer bins than one, and for another `equal`.
    """
    said, outcomes = _pairs(p, happened)
    if bins < 1:
        raise DataError(f"expected bins >= 1, got {bins}")
    if equal == "width":
        place = np.minimum((said * bins).astype(np.intp), bins - 1)
    elif equal == "count":
        below = np.searchsorted(np.sort(said), said, side="left")  # how many are smaller
        place = below * bins // max(len(said), 1)
    else:
        raise DataError(f"expected bins equal in 'width' or 'count', got {equal!r}")
    curve = []
    for one in np.unique(place):
        chosen = place == one
        n, hits = int(chosen.sum()), int(outcomes[chosen].sum())
        curve.append(ReliabilityBin(float(said[chosen].mean()), hits / n, n, *wilson_interval(hits, n)))
    return tuple(curve)


def expected_calibration_error(
    p: ArrayLike, happened: ArrayLike, *, bins: int = 10, equal: Literal["width", "count"] = "width"
) -> float:
    """Return the mean of abs(share - mean_p) over the bins of `reliability_curve`, weighted by their counts.

    0 is calibrated. Chance alone makes it larger than 0, the more so the fewer outcomes a bin holds.

    Args:
        p: shape ``(n,)``, stated probabilities in [0, 1].
        happened: shape ``(n,)``, 0 or 1 each.
        bins: number of bins.
        equal: "width" or "count", as for `reliability_curve`.

    NaN where n is 0. Raises DataError as `reliability_curve` does.

    Source: Naeini, Cooper and Hauskrecht (2015), AAAI.
    """
    curve = reliability_curve(p, happened, bins=bins, equal=equal)
    total = sum(one.n for one in curve)
    return math.fsum(one.n * abs(one.share - one.mean_p) for one in curve) / total if total else math.nan


def check_method(method: str) -> Method:
    """Return the name of a method; DataError for any other."""
    for known in METHODS:
        if method == known:
            return known
    hint = did_you_mean(method, METHODS)
    raise DataError(f"expected a method of calibration, {' or '.join(METHODS)}, got {method!r}{hint}")


def _pairs(p: ArrayLike, happened: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    said, outcomes = np.asarray(p, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    if said.ndim != 1 or said.shape != outcomes.shape:
        raise DataError(f"expected one outcome for each probability, got shapes {outcomes.shape} and {said.shape}")
    if not ((said >= 0.0) & (said <= 1.0)).all():
        raise DataError("expected probabilities in 0..1; leave missing ones out")
    if not np.isin(outcomes, (0.0, 1.0)).all():
        raise DataError("expected outcomes of 0 or 1; leave missing ones out")
    return said, outcomes


def _fit_isotonic(said: NDArray[np.float64], outcomes: NDArray[np.float64]) -> IsotonicCalibrator:
    from scipy import optimize  # type: ignore[import-untyped]  # scipy ships no types; here since its import takes long

    x, at, counts = np.unique(said, return_inverse=True, return_counts=True)  # (k,), (n,), (k,)
    shares = np.bincount(at, outcomes) / counts  # (k,)
    fits = [optimize.isotonic_regression(shares, weights=counts, increasing=rising).x for rising in (True, False)]
    errors = [float(np.sum(counts * (shares - fit) ** 2)) for fit in fits]
    values = fits[0] if errors[0] <= errors[1] + 1e-12 * len(said) else fits[1]
    return IsotonicCalibrator(tuple(x.tolist()), tuple(values.tolist()), len(said))


def _fit_platt(said: NDArray[np.float64], outcomes: NDArray[np.float64]) -> PlattCalibrator:
    from scipy import optimize  # as in _fit_isotonic

    x, n, hits = _log_odds(said), len(said), float(outcomes.sum())
    targets = np.where(outcomes == 1.0, (hits + 1.0) / (hits + 2.0), 1.0 / (n - hits + 2.0))  # (n,)
    middle, scale = float(x.mean()), float(x.std())
    if scale <= 1e-12 * max(1.0, abs(middle)):
        return PlattCalibrator(0.0, float(_log_odds(targets.mean())), n)
    z = np.stack([np.ones(n), (x - middle) / scale])  # (2, n), of like size: one step serves both numbers

    # Strictly convex, and without an end at infinity, since the targets are neither 0 nor 1.
    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = weights @ z  # (n,)
        return float(np.mean(np.logaddexp(0.0, score) - targets * score)), z @ (_logistic(score) - targets) / n

    def curvature(weights: NDArray[np.float64]) -> Any:
        q = _logistic(weights @ z)
        return (z * (q * (1.0 - q))) @ z.T / n  # (2, 2)

    start = np.array([float(_log_odds(targets.mean())), 0.0])
    a, b = optimize.minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-10}).x
    return PlattCalibrator(float(b / scale), float(a - b * middle / scale), n)


def _log_odds(p: Any) -> Any:
    p = np.clip(p, _LEAST, 1.0 - _LEAST)
    return np.log(p) - np.log1p(-p)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # without an overflow, whatever x


def _bounded(p: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.clip(p, 1.0 / (n + 2.0), (n + 1.0) / (n + 2.0))
