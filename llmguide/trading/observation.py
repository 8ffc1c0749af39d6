"""What the agent sees: 116 numbers of the market, its side, and tau where there is guidance.

The observation for the decision at bar t uses the `lookback` bars up to and including t-1, each smoothed by a trailing
mean, so it is known at the close of t-1. Its market part holds, oldest first, for the 29 bars t-29 .. t-1:

    return of the close / largest absolute return in training
    |high - low| / largest |high - low| in training
    |close - low| / |high - low|, 0.5 where high equals low
    (volume - smallest) / (largest - smallest volume in training)

Source: arXiv 2004.06627, section 4; arXiv 2508.02366, section II (tau).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError

__all__ = [
    "LOOKBACK",
    "SMOOTHING",
    "GuidanceLine",
    "MarketArrays",
    "Scaler",
    "check_origin",
    "market_features",
    "observation_size",
    "observe",
    "smooth",
]

LOOKBACK = 30
SMOOTHING = 5
Array = NDArray[np.float64]


class GuidanceLine(Protocol):
    """What an observer needs of a guidance table."""

    def tau(self, index: pd.DatetimeIndex) -> NDArray[np.float64]:
        """Return tau in force at every bar."""


def check_origin(guidance: GuidanceLine | None, bars: pd.DataFrame) -> None:
    """Let guidance that knows the bars it was made from refuse others (see `llmguide.Guidance.check_bars`)."""
    check = getattr(guidance, "check_bars", None)
    if check is not None:
        check(bars)


class MarketArrays(NamedTuple):
    """The four series that the observation is made of, each float64 of shape ``(bars,)``."""

    close: Array
    high: Array
    low: Array
    volume: Array

    @classmethod
    def of(cls, bars: pd.DataFrame) -> MarketArrays:
        """Take the columns from a frame of bars."""
        missing = [name for name in cls._fields if name not in bars.columns]
        if missing:
            raise DataError(f"bars lack {missing}; pass them through llmguide.read_bars first")
        return cls(*(np.ascontiguousarray(bars[name], dtype=np.float64) for name in cls._fields))


def smooth(series: Array, window: int, *, first: int = 0) -> Array:
    """Return the trailing mean over `window` bars; the market's first `window` bars stay as they are.

    Args:
        series: shape ``(bars,)``.
        window: length of the filter in bars; 0 or 1 for none.
        first: position of ``series[0]`` in the whole market. A cut-out whose `first` is positive must bring ``window -
        1``
            bars of history in front of what is wanted; those bars themselves come back raw.

    The sum is always taken in the same order, so that a cut-out gives the same bits as the whole.
    """
    if window <= 1 or len(series) < window:
        return series.copy()
    count = len(series) - window + 1
    total = series[:count].copy()
    for lag in range(1, window):
        total += series[lag : lag + count]
    smoothed = series.copy()
    smoothed[window - 1 :] = total / window
    if first < window:
        smoothed[: window - first] = series[: window - first]
    return smoothed


def smooth_market(market: MarketArrays, window: int, *, first: int = 0) -> MarketArrays:
    """Smooth each of the four series (see `smooth`)."""
    return MarketArrays(*(smooth(series, window, first=first) for series in market))


@dataclass(frozen=True)
class Scaler:
    """Coefficients of the observation, fitted on smoothed training bars only."""

    max_abs_return: float
    max_range: float
    min_volume: float
    max_volume: float

    @classmethod
    def fit(cls, bars: pd.DataFrame, *, smoothing: int = SMOOTHING) -> Scaler:
        """Fit on training bars (raw; they are smoothed here)."""
        market = smooth_market(MarketArrays.of(bars), smoothing)
        return cls(
            max_abs_return=float(np.max(np.abs(np.diff(market.close) / market.close[:-1]))),
            max_range=float(np.max(np.abs(market.high - market.low)[1:])),
            min_volume=float(np.min(market.volume)),
            max_volume=float(np.max(market.volume)),
        )

    def to_dict(self) -> dict[str, float]:
        """Return the coefficients by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Scaler:
        """Make a scaler from `to_dict`'s result."""
        return cls(**{name: float(stored[name]) for name in cls.__dataclass_fields__})


def observation_size(lookback: int = LOOKBACK, *, guided: bool) -> int:
    """Return the number of values: 117, or 118 with guidance, for 30 bars."""
    return 4 * (lookback - 1) + 1 + int(guided)


def bar_features(market: MarketArrays, scaler: Scaler) -> Array:
    """Return the four scaled numbers of each bar but the first, shape ``(bars - 1, 4)``, of a smoothed market."""
    spread = np.abs(market.high - market.low)[1:]
    above_low = np.abs(market.close - market.low)[1:]
    with np.errstate(divide="ignore", invalid="ignore"):  # high == low is answered by np.where
        location = np.where(spread != 0, above_low / spread, 0.5)
    returns = (market.close[1:] - market.close[:-1]) / market.close[:-1]
    volume_range = scaler.max_volume - scaler.min_volume
    return np.stack(
        [
            returns / scaler.max_abs_return if scaler.max_abs_return else np.zeros_like(returns),
            spread / scaler.max_range if scaler.max_range else np.zeros_like(spread),
            location,
            (market.volume[1:] - scaler.min_volume) / volume_range if volume_range else np.zeros_like(returns),
        ],
        axis=1,
    )


def market_features(
    market: MarketArrays, scaler: Scaler, *, lookback: int = LOOKBACK, smoothing: int = SMOOTHING, first: int = 0
) -> NDArray[np.float32]:
    """Return the market part of every observation.

    Args:
        market: raw bars, shape ``(bars,)`` each.
        scaler: fitted on the training bars.
        lookback: bars in an observation.
        smoothing: length of the trailing mean, 0 for none.
        first: position of the first bar in the whole market. With ``first > 0`` the leading ``smoothing - 1`` bars only
            serve as history of the mean.

    Returns:
        Shape ``(bars - history - lookback + 1, 4 * (lookback - 1))``, float32. Without a cut (``first=0``), row k
        belongs to the decision at bar ``k + lookback`` and uses bars ``k .. k + lookback - 1``; the last row is what
        is known after the last bar.
    """
    history = max(smoothing - 1, 0) if first > 0 else 0
    smoothed = smooth_market(market, smoothing, first=first)
    per_bar = bar_features(MarketArrays(*(series[history:] for series in smoothed)), scaler)
    if len(per_bar) < lookback - 1:
        raise DataError(f"an observation needs {lookback + history} bars, got {len(market.close)}")
    windows = np.lib.stride_tricks.sliding_window_view(per_bar, lookback - 1, axis=0)  # (rows, 4, lookback - 1)
    return windows.reshape(len(windows), -1).astype(np.float32)


def observe(features: NDArray[np.float32], side: Array | float, tau: Array | float | None) -> NDArray[np.float32]:
    """Append the side, and tau where there is guidance, to rows of market features.

    Args:
        features: shape ``(rows, 116)``.
        side: -1, 0 or +1, for each row or for all.
        tau: guidance in [-1, 1], for each row or for all; None for an agent without guidance.

    Returns:
        Shape ``(rows, 117)`` or ``(rows, 118)``, float32.
    """
    rows = len(features)
    parts = [features, np.broadcast_to(np.asarray(side, dtype=np.float32), (rows,))[:, None]]
    if tau is not None:
        parts.append(np.broadcast_to(np.asarray(tau, dtype=np.float32), (rows,))[:, None])
    return np.concatenate(parts, axis=1)
