"""Prices of one bar put on one scale: by its adjusted close, or, where only closes are adjusted, by what they allow.

A file whose closes alone are adjusted for dividends and splits does not hold the factor of the adjustment, but bounds
it on every bar: the raw close lay in [low, high], so the factor lies in [close / high, close / low]. Between two
dividends it is constant; a stretch goes on while one factor fits all of its bars. Each bar takes 1, or else the middle,
of what fits its stretch up to that bar: later bars would narrow it further, and are not asked.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.errors import DataError

__all__ = ["adjust_prices"]

SHORTEST = 8
"""Bars that a stretch has on average at least; dividends are months apart."""


def adjust_prices(name: str, known: pd.DataFrame, adjusted: pd.Series | None) -> tuple[pd.DataFrame, str]:
    """Return prices on one scale, and what was done to them.

    Args:
        name: of the source, for messages.
        known: open, high, low, close, volume, NaN where nothing is known.
        adjusted: the file's adjusted close, NaN where there is none; None where the file has no such column.

    Raises DataError where an adjusted close is missing, or where no stretches of constant factors explain the closes.
    """
    close = known["close"]
    if adjusted is not None:
        absent = close.notna() & ~(adjusted > 0)
        if absent.any():
            raise DataError(
                f"{name}: Adj Close is missing on {int(absent.sum())} bars, the first {absent.idxmax():%Y-%m-%d}; "
                "complete them, or read the file without adjust"
            )
        factor = (adjusted / close).ffill().bfill()
        if not np.allclose(factor, 1.0, rtol=1e-9, atol=0):
            scaled = known.assign(**{c: known[c] * factor for c in ("open", "high", "low")})
            scaled["close"] = adjusted.where(close.notna())
            return scaled, f"Open, High, Low, Close scaled by Adj Close / Close, {_span(factor)}"
    lowest = np.log(close.to_numpy() / known["high"].to_numpy())
    highest = np.log(close.to_numpy() / known["low"].to_numpy())
    if not ((lowest > 1e-9) | (highest < -1e-9)).any():
        return known, "nothing to adjust: no Adj Close that differs, and every close within [Low, High]"
    log, stretches = _stretches(lowest, highest)
    if len(known) / stretches < SHORTEST:
        raise DataError(
            f"{name}: closes lie outside [Low, High], and no factors that are constant for a while explain "
            f"them ({stretches} stretches in {len(known)} bars); get consistently adjusted prices, or read "
            "the file without adjust"
        )
    factor = pd.Series(np.exp(log), index=known.index)
    # The true factor lies within a bar's own bounds, whatever the stretches are.
    error = np.expm1(np.maximum(np.abs(highest - log), np.abs(log - lowest)))
    scaled = known.assign(**{c: known[c] * factor for c in ("open", "high", "low")})
    # Rounding must not leave a close outside that touches its bound.
    scaled["high"] = scaled["high"].mask(close > scaled["high"], close)
    scaled["low"] = scaled["low"].mask(close < scaled["low"], close)
    return scaled, (
        f"Open, High, Low scaled by {_span(factor)} in {stretches} stretches, off by {np.nanmedian(error) * 100:.1f} % "
        f"at most on half of the bars and {np.nanmax(error) * 100:.1f} % on any"
    )


def _stretches(lowest: np.ndarray, highest: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the log factor of each bar by the bars up to it, and how many stretches of one factor there are.

    Bars whose bounds are NaN take the factor of the bar before, the first ones that of the first bar with bounds.
    """
    log = np.full(len(lowest), np.nan)
    low, high, count = -np.inf, np.inf, 1
    for row in np.flatnonzero(~(np.isnan(lowest) | np.isnan(highest))):
        least, most = lowest[row], highest[row]
        if max(low, least) > min(high, most) + 1e-12:
            low, high, count = -np.inf, np.inf, count + 1
        low, high = max(low, least), min(high, most)
        log[row] = 0.0 if low <= 0.0 <= high else (low + high) / 2
    return pd.Series(log).ffill().bfill().to_numpy(), count


def _span(factor: pd.Series) -> str:
    return f"{factor.min():.4g} to {factor.max():.4g}"
