"""How well an account did: the measures of the benchmark (arXiv 2004.06627) and of the hybrid (arXiv 2508.02366).

A parameter named `returns` takes simple returns per bar as fractions (0.01 is one percent), one named `value` takes
portfolio values in money, one named `side` takes +1 long, -1 short or 0 per bar. Every series is one-dimensional and
oldest first; a Series' index is used for error messages only.

Undefined measures are NaN, never infinite and never zero: an account that never traded has no Sharpe ratio. Values that
are missing or infinite are refused with DataError naming the first of them, because leaving them out would change the
number of bars that a ratio stands on.

`periods` is the number of bars in a year. None reads it from the dates of a Series (see `llmguide.periods`); numbers
without dates count as trading days, 252 a year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError, did_you_mean
from llmguide.periods import Dates, periods_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Performance",
    "annual_return",
    "annual_volatility",
    "drawdown_length",
    "drawdowns",
    "max_drawdown",
    "performance",
    "profit_loss_ratio",
    "profitability",
    "sharpe_ratio",
    "skewness",
    "sortino_ratio",
]

Convention = Literal["standard", "tdqn"]
Vector: TypeAlias = "NDArray[np.float64]"
Numbers: TypeAlias = "Sequence[float] | ArrayLike | pd.Series[Any]"

_CONVENTIONS = ("standard", "tdqn")
# A return is a ratio less one, so it carries a rounding error of about one epsilon whatever its size.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


def sharpe_ratio(returns: Numbers, *, periods: float | None = None, risk_free: float = 0.0) -> float:
    """Return the annualised mean excess return per unit of standard deviation: sqrt(periods) mean(r) / std(r), ddof 1.

    Args:
        returns: simple returns per bar as fractions, shape ``(bars,)``, oldest first. All bars count, the idle ones
            before the first decision too.
        periods: bars per year; None reads it from the dates of a Series, and is 252 for numbers without dates.
        risk_free: rate per year as a fraction; ``risk_free / periods`` is subtracted from each bar's return.

    Returns:
        The ratio; NaN for fewer than two bars, and where the returns differ by no more than rounding.

    Raises DataError for missing or infinite returns, and for periods that are not above 0.

    Source: as in arXiv 2004.06627 and arXiv 2508.02366.
    """
    year = periods_of(returns, periods)
    r = _vector(returns, "returns") - risk_free / year
    spread = _deviation(r, ddof=1)
    return float(np.sqrt(year) * r.mean() / spread) if spread > 0 else float("nan")


def sortino_ratio(returns: Numbers, *, periods: float | None = None, risk_free: float = 0.0) -> float:
    """Return the annualised mean excess return per unit of the standard deviation of the negative returns.

    The deviation is the population's (ddof 0) around the negative returns' own mean, as the benchmark's authors define
    it, and not around zero, as Sortino and Price do.

    Args:
        returns: simple returns per bar as fractions, shape ``(bars,)``, oldest first.
        periods: bars per year; None reads it from the dates of a Series, and is 252 for numbers without dates.
        risk_free: rate per year as a fraction; ``risk_free / periods`` is subtracted from each bar's return.

    Returns:
        The ratio; NaN with fewer than two different negative returns.

    Raises DataError for missing or infinite returns, and for periods that are not above 0.

    Source: the code of arXiv 2004.06627.
    """
    year = periods_of(returns, periods)
    r = _vector(returns, "returns") - risk_free / year
    spread = _deviation(r[r < -_ROUNDING], ddof=0)  # without costs a purchase leaves a loss of a rounding
    return float(np.sqrt(year) * r.mean() / spread) if spread > 0 else float("nan")


def annual_return(returns: Numbers, dates: Dates) -> float:
    """Return the yearly growth by the benchmark authors' arithmetic rule.

    That is (1 + sum of returns)^(365 / calendar days) minus 1. It is not the compound growth rate of the account: it
    can be positive for an account that lost money, even for an insolvent one. The hybrid paper keeps this rule.

    Args:
        returns: simple returns per bar as fractions, shape ``(bars,)``, oldest first.
        dates: the bars' dates, one for each return; whole days from the first to the last count.

    Returns:
        A fraction per year: -1 where the returns sum to -1 or less, NaN for no bars or less than a day, infinite beyond
        the largest float.

    Raises DataError for missing or infinite returns, and for dates that are missing, decreasing or of another number.

    Source: the code of arXiv 2004.06627.
    """
    r = _vector(returns, "returns")
    try:
        when = np.asarray(dates, dtype="datetime64[ns]")
    except (TypeError, ValueError) as error:
        raise DataError(f"expected dates for the returns, got {type(dates).__name__} of something else") from error
    if when.shape != r.shape:
        raise DataError(f"expected one date per return, got {when.size} dates for {r.size} returns")
    if np.isnat(when).any() or (when[1:] < when[:-1]).any():
        raise DataError("expected increasing dates with none missing; sort the bars by date first")
    days = int((when[-1] - when[0]) // np.timedelta64(1, "D")) if r.size else 0
    if days < 1:
        return float("nan")
    growth = 1.0 + float(r.sum())
    with np.errstate(over="ignore"):
        return float(np.float64(growth) ** (365 / days) - 1.0) if growth > 0 else -1.0


def annual_volatility(returns: Numbers, *, periods: float | None = None) -> float:
    """Return the annualised standard deviation of the returns: sqrt(periods) std(r), ddof 1.

    Args:
        returns: simple returns per bar as fractions, shape ``(bars,)``, oldest first.
        periods: bars per year; None reads it from the dates of a Series, and is 252 for numbers without dates.

    Returns:
        A fraction per year; NaN for fewer than two bars.

    Raises DataError for missing or infinite returns, and for periods that are not above 0.
    """
    year = periods_of(returns, periods)
    r = _vector(returns, "returns")
    return float(np.sqrt(year) * r.std(ddof=1)) if r.size > 1 else float("nan")


def skewness(returns: Numbers) -> float:
    """Return the sample skewness with the usual bias correction: sqrt(n(n-1))/(n-2) m3/m2^1.5, as in
    `pandas.Series.skew`.

    Args:
        returns: simple returns per bar as fractions, shape ``(bars,)``.

    Returns:
        The skewness; NaN for fewer than three bars, and where the returns differ by no more than rounding.

    Raises DataError for missing or infinite returns.
    """
    r = _vector(returns, "returns")
    n = r.size
    spread = _deviation(r, ddof=0)
    if n < 3 or not spread > 0:
        return float("nan")
    standard = (r - r.mean()) / spread
    return float(np.sqrt(n * (n - 1)) / (n - 2) * (standard**3).mean())


def drawdowns(value: Numbers) -> Vector:
    """Return how far each value lies below the highest one so far, as a positive fraction of that peak.

    Args:
        value: account values in money, shape ``(bars,)``, oldest first.

    Returns:
        Shape ``(bars,)``; above 1 where the value is negative: an insolvent account has lost more than everything.

    Raises DataError for missing or infinite values, and unless the first one is above 0.
    """
    v = _values(value)
    peak = np.maximum.accumulate(v)
    return (peak - v) / peak


def max_drawdown(value: Numbers, *, convention: Convention = "standard") -> float:
    """Return the deepest fall from a peak, as a positive fraction of that peak.

    Args:
        value: account values in money, shape ``(bars,)``, oldest first.
        convention: "standard" is the greatest *relative* depth (arXiv 2508.02366, equation 9). "tdqn" is the relative
            depth at the greatest *absolute* fall, which the benchmark's published figures use: never deeper than the
            standard one, and different where a large fall happened on little money (Nokia's closes 2012-2017: 0.485
            against 0.686).

    Returns:
        0.25 is a fall of 25 %; 0 if the value never falls, NaN for no values.

    Raises DataError for an unknown convention, missing or infinite values, and unless the first one is above 0.
    """
    peak, trough, v = _deepest(value, convention)
    return float((v[peak] - v[trough]) / v[peak]) if v.size else float("nan")


def drawdown_length(value: Numbers, *, convention: Convention = "standard") -> int:
    """Return the number of bars from the peak to the trough of `max_drawdown`.

    Args:
        value: account values in money, shape ``(bars,)``, oldest first.
        convention: as for `max_drawdown`.

    Returns:
        Bars; 0 if the value never falls. Of several equal peaks or troughs the first counts.

    Raises DataError as `max_drawdown` does.
    """
    peak, trough, _ = _deepest(value, convention)
    return trough - peak


def profitability(value: Numbers, side: Numbers) -> float:
    """Return the share of positions that did not lose, the last one closed at the last bar.

    A position lasts from the bar on which the side changes, its value taken after that trade, to the next such bar or
    the last one. The cost of leaving it counts towards it, the cost of entering it towards the position before: these
    are the benchmark authors' rules.

    Args:
        value: account values in money after each bar, shape ``(bars,)``, oldest first.
        side: +1 long, -1 short or 0 after each bar, shape ``(bars,)``.

    Returns:
        A fraction in [0, 1]; NaN if there was no position.

    Raises DataError for missing or infinite numbers, or another number of sides than values.

    Source: the code of arXiv 2004.06627.
    """
    gains = _gains(value, side)
    return float((gains >= 0).mean()) if gains.size else float("nan")


def profit_loss_ratio(value: Numbers, side: Numbers) -> float:
    """Return the mean gain of the positions that did not lose over the mean loss of those that did.

    Args:
        value: account values in money after each bar, shape ``(bars,)``, oldest first.
        side: +1 long, -1 short or 0 after each bar, shape ``(bars,)``.

    Returns:
        The ratio, with positions as in `profitability`. Infinite if none lost, as the benchmark's authors have it, 0 if
        all did, NaN if there was none.

    Raises DataError as `profitability` does.

    Source: the code of arXiv 2004.06627.
    """
    gains = _gains(value, side)
    if not gains.size:
        return float("nan")
    won, lost = gains[gains >= 0], -gains[gains < 0]
    if not lost.size:
        return float("inf")
    return float(won.mean() / lost.mean()) if won.size else 0.0


@dataclass(frozen=True)
class Performance:
    """All measures of one account, as fractions and never in percent; NaN where a measure is undefined.

    Attributes:
        profit: last value less first value, in money.
        annual_return: see `llmguide.metrics.annual_return`.
        annual_volatility: fraction per year.
        sharpe_ratio: annual.
        sortino_ratio: annual.
        max_drawdown: by the standard convention, a positive fraction of the peak.
        max_drawdown_tdqn: by the benchmark authors' convention.
        drawdown_length: bars from peak to trough, by the standard convention.
        drawdown_length_tdqn: the same by the benchmark authors' convention.
        skewness: of the returns per bar.
        profitability: share of positions that did not lose.
        profit_loss_ratio: mean gain over mean loss of positions.
        positions: how often the side changed.
        exposure: share of bars with a side other than 0.
    """

    profit: float
    annual_return: float
    annual_volatility: float
    sharpe_ratio: float
    sortino_ratio: float
    max_drawdown: float
    max_drawdown_tdqn: float
    drawdown_length: int
    drawdown_length_tdqn: int
    skewness: float
    profitability: float
    profit_loss_ratio: float
    positions: int
    exposure: float


def performance(account: pd.DataFrame, *, periods: float | None = None) -> Performance:
    """Return all measures of an account.

    Args:
        account: a frame as `llmguide.simulate` returns it, one row per bar, indexed by date, with the columns ``side``,
            ``value`` and ``returns``.
        periods: bars per year; None reads it from the dates.

    Returns:
        A `Performance`.

    Raises DataError for a missing column or an empty frame, and as the single measures do.
    """
    for name in ("side", "value", "returns"):
        if name not in account.columns:
            raise DataError(f"expected an account with a column {name!r}, got {list(account.columns)}")
    if not len(account):
        raise DataError("expected an account with at least one bar, got an empty frame")
    side, value, returns = account["side"], account["value"], account["returns"]
    year = periods_of(account, periods)
    v = _values(value)
    return Performance(
        profit=float(v[-1] - v[0]),
        annual_return=annual_return(returns, account.index),
        annual_volatility=annual_volatility(returns, periods=year),
        sharpe_ratio=sharpe_ratio(returns, periods=year),
        sortino_ratio=sortino_ratio(returns, periods=year),
        max_drawdown=max_drawdown(value),
        max_drawdown_tdqn=max_drawdown(value, convention="tdqn"),
        drawdown_length=drawdown_length(value),
        drawdown_length_tdqn=drawdown_length(value, convention="tdqn"),
        skewness=skewness(returns),
        profitability=profitability(value, side),
        profit_loss_ratio=profit_loss_ratio(value, side),
        positions=int(_gains(value, side).size),
        exposure=float((_vector(side, "side") != 0).mean()),
    )


def _vector(numbers: Numbers, name: str) -> Vector:
    """`numbers` as a finite one-dimensional float array."""
    try:
        x = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected {name} as numbers, got {type(numbers).__name__} of something else") from error
    if x.ndim != 1:
        raise DataError(f"expected {name} as one series, got {x.ndim} dimensions of shape {x.shape}; pass one column")
    bad = np.flatnonzero(~np.isfinite(x))
    if bad.size:
        at = int(bad[0])
        index = getattr(numbers, "index", None)
        label = f"position {at}" if index is None or callable(index) else f"position {at} ({index[at]})"
        raise DataError(f"expected finite {name}, got {x[at]} at {label} and {bad.size} such in all; drop or fill them")
    return x


def _values(value: Numbers) -> Vector:
    v = _vector(value, "value")
    if v.size and not v[0] > 0:
        raise DataError(f"expected portfolio values that start above zero, got {v[0]}; returns are not values")
    return v


def _deviation(x: Vector, *, ddof: int) -> float:
    """Standard deviation, or 0 where it is undefined or no more than the rounding of returns."""
    if x.size < 2:
        return 0.0
    spread = float(x.std(ddof=ddof))
    return spread if spread > _ROUNDING * max(1.0, float(np.abs(x).max())) else 0.0


def _deepest(value: Numbers, convention: str) -> tuple[int, int, Vector]:
    """Positions of the peak and the trough that a convention takes for the deepest fall, and the values."""
    if convention not in _CONVENTIONS:
        near = did_you_mean(convention, _CONVENTIONS)
        raise DataError(f"unknown drawdown convention {convention!r}; known: {', '.join(_CONVENTIONS)}{near}")
    v = _values(value)
    if not v.size:
        return 0, 0, v
    fall = np.maximum.accumulate(v) - v if convention == "tdqn" else drawdowns(v)
    trough = int(np.argmax(fall))
    return int(np.argmax(v[: trough + 1])), trough, v


def _gains(value: Numbers, side: Numbers) -> Vector:
    """Gain in money of each position, in order: from one change of side to the next, the last to the end."""
    v, s = _vector(value, "value"), _vector(side, "side")
    if v.shape != s.shape:
        raise DataError(f"expected one side per value, got {s.size} sides for {v.size} values")
    changes = np.flatnonzero(np.diff(s, prepend=0.0) != 0)
    if not changes.size:
        return np.empty(0)
    return np.diff(v[np.append(changes, v.size - 1)])
