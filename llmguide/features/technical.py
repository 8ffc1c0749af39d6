"""Technical indicators, each with its slope and z-score over 20 bars.

| column | what it is | unit |
|---|---|---|
| sma_20, sma_50, sma_100, sma_200 | mean close | price |
| rsi_14 | relative strength index of Wilder; 50 on prices that stand still | 0..100 |
| macd, macd_signal | MACD(12, 26, 9) and its signal line | price |
| macd_strength | (macd - macd_signal) / close | fraction |
| atr_14 | average true range of Wilder | price |
| vwap_20 | mean close, weighted by volume | price |
| ..._slope | of the line through its last 20 values (least squares) | of the close, per bar; rsi_14: points |
| ..._zscore | its distance from the mean of its last 20 values, in their standard deviations | |

For the true range a close outside its bar's high and low counts as the nearer of the two. Nothing changes where prices
agree; where only closes are adjusted, the range would otherwise be mostly the adjustment.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import talib

from llmguide.errors import DataError
from llmguide.features.fact import Fact, as_number, as_percent, as_price, is_known
from llmguide.features.rolling import Values, slope, vwap, zscore

__all__ = ["technical", "technical_facts"]

PERIOD = 20  # of slopes and z-scores

_LABELS = {
    "sma_20": "mean close of 20 days",
    "sma_50": "mean close of 50 days",
    "sma_100": "mean close of 100 days",
    "sma_200": "mean close of 200 days",
    "rsi_14": "relative strength index of 14 days, 0 to 100",
    "macd": "12-day less 26-day exponential average",
    "macd_signal": "9-day exponential average of the MACD",
    "macd_strength": "MACD less its signal, relative to the price",
    "atr_14": "average true range of 14 days",
    "vwap_20": "volume-weighted mean close of 20 days",
}


def _of_price(fraction: float) -> str:
    return f"{as_percent(fraction, decimals=3)} of the price"


def _signed(price: float) -> str:
    return as_price(price, sign=True)


_WRITERS = {"rsi_14": "{:.1f}".format, "macd": _signed, "macd_signal": _signed, "macd_strength": _of_price}


def technical(bars: pd.DataFrame) -> pd.DataFrame:
    """Return all indicators at every bar, float64; row t uses bars up to and including t, NaN where they are too few.

    Averages that never forget (RSI, MACD, ATR) start with the first bar given, and so depend on it a little. Raises
    DataError for a missing column or a price that is not finite.
    """
    high, low, close, volume = (_column(bars, name) for name in ("high", "low", "close", "volume"))
    macd, signal, histogram = talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)
    lines = {
        **{f"sma_{period}": talib.SMA(close, timeperiod=period) for period in (20, 50, 100, 200)},
        # RSI = (CMO + 100) / 2, but on prices that stand still TA-Lib's RSI reads 0, the most bearish value, its CMO 0.
        "rsi_14": (talib.CMO(close, timeperiod=14) + 100.0) / 2.0,
        "macd": macd,
        "macd_signal": signal,
        "macd_strength": histogram / close,
        "atr_14": talib.ATR(high, low, np.clip(close, low, high), timeperiod=14),
        "vwap_20": vwap(close, volume, period=20),
    }
    columns: dict[str, Values] = {}
    for name, values in lines.items():
        price = np.ones_like(close) if name in ("rsi_14", "macd_strength") else close
        columns[name] = values
        columns[f"{name}_slope"] = slope(values, period=PERIOD) / price
        columns[f"{name}_zscore"] = zscore(values, period=PERIOD, scale=price)
    return pd.DataFrame(columns, index=bars.index)


def technical_facts(bars: pd.DataFrame) -> list[Fact]:
    """Return what `technical` says at the last bar."""
    last = technical(bars).iloc[-1]
    facts = []
    for name, label in _LABELS.items():
        for column, its_label, write in (
            (name, label, _WRITERS.get(name, as_price)),
            (f"{name}_slope", f"a day, over {PERIOD} days", as_number if name == "rsi_14" else _of_price),
            (f"{name}_zscore", f"z-score over {PERIOD} days", as_number),
        ):
            value = float(last[column])
            if is_known(value):
                facts.append(Fact(f"technical.{column}", its_label, value, write(value)))
    return facts


def _column(bars: pd.DataFrame, name: str) -> Values:
    if name not in bars:
        raise DataError(f"expected bars with a column {name!r}, got {list(bars.columns)}; use read_bars")
    values = np.array(bars[name], dtype=np.float64, order="C")
    if not np.isfinite(values).all():
        raise DataError(f"expected a finite {name!r} on every bar; use read_bars, which fills gaps and counts them")
    return values
