"""Technical indicators, each with its slope over 20 bars, and with a z-score where that says more than the slope.

| column | what it is | unit |
|---|---|---|
| sma_20, sma_50, sma_100, sma_200 | mean close | price |
| rsi_14 | relative strength index of Wilder; 50 on prices that stand still | 0..100 |
| macd, macd_signal | MACD(12, 26, 9) and its signal line | price |
| macd_strength | (macd - macd_signal) / close | fraction |
| atr_14 | average true range of Wilder | price |
| vwap_20 | mean close, weighted by volume | price |
| ..._slope | of the line through its last 20 values (least squares) | of the close, per bar; rsi_14: points |
| sma_n_zscore | (close - sma_n) / standard deviation of the last n closes, as in Bollinger's bands | |
| vwap_20_zscore | (close - vwap_20) / standard deviation of the last 20 closes, both weighted by volume | |
| rsi_14_zscore, macd_zscore, macd_strength_zscore | (value - mean) / standard deviation of the last 20 values | |

The z-score of an average is that of the close around it: it says how far the price is stretched. That of the average's
own last values would only repeat the sign of its slope: a smooth line is nearly straight over 20 bars, and a straight
line always gives 1.65 or -1.65. For the same reason macd_signal and atr_14, averages themselves, have none.

For the true range a close outside its bar's high and low counts as the nearer of the two. Nothing changes where prices
agree; where only closes are adjusted, the range would otherwise be mostly the adjustment. atr_14_slope and the relative
level of atr_14 are shares of that close.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import talib

from llmguide.errors import DataError
from llmguide.features.fact import Fact, Meaning, as_number, as_percent, as_price, is_known
from llmguide.features.levels import Levels
from llmguide.features.rolling import Values, slope, vwap, zscore

__all__ = ["technical", "technical_facts", "technical_meanings"]

PERIOD = 20  # of slopes, z-scores and the VWAP
SMA_PERIODS = (20, 50, 100, 200)

_SMAS = tuple(f"sma_{period}" for period in SMA_PERIODS)
_AVERAGES = (*_SMAS, "vwap_20")
_MACDS = ("macd", "macd_signal")
_NAMES = (*_SMAS, "rsi_14", *_MACDS, "macd_strength", "atr_14", "vwap_20")
_OWN_ZSCORES = ("rsi_14", "macd", "macd_strength")


def technical(bars: pd.DataFrame) -> pd.DataFrame:
    """Return all indicators at every bar, float64; row t uses bars up to and including t, NaN where they are too few.

    Averages that never forget (RSI, MACD, ATR) start with the first bar given, and so depend on it a little. Raises
    DataError for a missing column or a price that is not finite.
    """
    high, low, close, volume = (_column(bars, name) for name in ("high", "low", "close", "volume"))
    held = np.clip(close, low, high)
    macd, signal, histogram = talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)
    lines = {
        **{f"sma_{period}": talib.SMA(close, timeperiod=period) for period in SMA_PERIODS},
        # RSI = (CMO + 100) / 2, but on prices that stand still TA-Lib's RSI reads 0, the most bearish value, its CMO 0.
        "rsi_14": (talib.CMO(close, timeperiod=14) + 100.0) / 2.0,
        "macd": macd,
        "macd_signal": signal,
        "macd_strength": histogram / close,
        "atr_14": talib.ATR(high, low, held, timeperiod=14),
        "vwap_20": vwap(close, volume, period=PERIOD),
    }
    one = np.ones_like(close)
    scales = dict.fromkeys(lines, close) | {"rsi_14": one, "macd_strength": one, "atr_14": held}
    zscores = {
        **{f"sma_{period}": zscore(close, period=period, scale=close) for period in SMA_PERIODS},
        **{name: zscore(lines[name], period=PERIOD, scale=scales[name]) for name in _OWN_ZSCORES},
        "vwap_20": zscore(close, period=PERIOD, scale=close, weights=volume),
    }
    columns: dict[str, Values] = {}
    for name, values in lines.items():
        columns[name] = values
        columns[f"{name}_slope"] = slope(values, period=PERIOD) / scales[name]
        if name in zscores:
            columns[f"{name}_zscore"] = zscores[name]
    return pd.DataFrame(columns, index=bars.index)


def technical_facts(bars: pd.DataFrame, levels: Levels = "relative") -> list[Fact]:
    """Return what `technical` says at the last bar.

    Relative: for an average the distance of the close from it, close / average - 1; for MACD, its signal and ATR the
    share of the close.
    """
    last = technical(bars).iloc[-1]
    facts = []
    for column in last.index[last.notna()]:
        value, text = _told(str(column), float(last[column]), bars.iloc[-1], levels)
        if is_known(value):
            facts.append(Fact(f"technical.{column}", value, text))
    return facts


def technical_meanings(levels: Levels) -> list[Meaning]:
    """Return what the names of these facts mean."""
    relative = levels == "relative"
    of_close = ", in per cent of the close" if relative else ""
    average = "distance of the last close from the mean close" if relative else "mean close"

    def several(shown: str, text: str, names: tuple[str, ...]) -> Meaning:
        return Meaning(f"technical.{shown}", text, tuple(f"technical.{name}" for name in names))

    def one(name: str, text: str) -> Meaning:
        return several(name, text, (name,))

    return [
        several("sma_*", f"{average} of the last 20, 50, 100, 200 days", _SMAS),
        one("rsi_14", "relative strength index of 14 days, 0 to 100"),
        one("macd", f"12-day less 26-day exponential average of the close{of_close}"),
        one("macd_signal", f"9-day exponential average of the MACD{of_close}"),
        one("macd_strength", "MACD less its signal, in per cent of the close"),
        one("atr_14", f"average true range of 14 days{of_close}"),
        one("vwap_20", f"{average} of 20 days, weighted by volume"),
        several(
            "*_slope",
            f"slope of the least-squares line through its last {PERIOD} values, in per cent of the close per day; of "
            "rsi_14 in points per day",
            tuple(f"{name}_slope" for name in _NAMES),
        ),
        several(
            "sma_*_zscore, technical.vwap_20_zscore",
            "distance of the last close from the average, in standard deviations of the closes averaged; beyond +2 or "
            "-2 the price is stretched",
            tuple(f"{name}_zscore" for name in _AVERAGES),
        ),
        several(
            ", technical.".join(f"{name}_zscore" for name in _OWN_ZSCORES),
            f"distance of the indicator from the mean of its last {PERIOD} values, in their standard deviations",
            tuple(f"{name}_zscore" for name in _OWN_ZSCORES),
        ),
    ]


def _told(column: str, value: float, bar: pd.Series, levels: Levels) -> tuple[float, str]:
    """Return the value of a column at the last bar, as `levels` has it, and its text."""
    if column.endswith("_zscore") or column == "rsi_14_slope":
        return value, as_number(value)
    if column.endswith("_slope") or column == "macd_strength":
        return value, as_percent(value, decimals=3)
    if column == "rsi_14":
        return value, f"{value:.1f}"
    if levels == "absolute":
        return value, as_price(value, sign=column in _MACDS)
    close = float(bar["close"])
    if column in _AVERAGES:
        distance = close / value - 1.0
        return distance, as_percent(distance)
    if column == "atr_14":
        share = value / float(np.clip(close, bar["low"], bar["high"]))
        return share, as_percent(share, decimals=2, sign=False)
    return value / close, as_percent(value / close, decimals=2)


def _column(bars: pd.DataFrame, name: str) -> Values:
    if name not in bars:
        raise DataError(f"expected bars with a column {name!r}, got {list(bars.columns)}; use read_bars")
    values = np.array(bars[name], dtype=np.float64, order="C")
    if not np.isfinite(values).all():
        raise DataError(f"expected a finite {name!r} on every bar; use read_bars, which fills gaps and counts them")
    return values
