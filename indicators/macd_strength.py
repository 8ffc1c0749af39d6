"""How far the MACD is from its signal."""

from __future__ import annotations

from typing import Any, ClassVar

import backtrader as bt

from llmguide.backtest.feed_checks import check_values, feed_of

__all__ = ["MACDStrength"]


class MACDStrength(bt.Indicator):
    """MACD histogram relative to the price, as a fraction, which makes instruments comparable.

    Backtrader seeds each moving average with its own first bars, TA-Lib seeds all of them at the same bar: the first
    values differ from those of `llmguide.features.technical`, and agree after some hundred bars.

    Params:
        period_me1: length of the fast exponential moving average, in bars.
        period_me2: length of the slow exponential moving average, in bars.
        period_signal: length of the signal line, in bars.

    Lines:
        strength: positive where the MACD is above its signal line. The value at bar t is known at the close of bar t;
            NaN before all averages have a value.

    Formula:
      - strength = (macd - signal) / data

    Raises DataError for a missing price, or one that is not above 0, in the feed.

    See: `bt.ind.MACDHisto`.
    """

    lines: ClassVar[Any] = ("strength",)
    params: ClassVar[Any] = (("period_me1", 12), ("period_me2", 26), ("period_signal", 9))
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [0.0]}

    def __init__(self) -> None:
        p = self.p
        price = _Known(self.data)  # first: it is computed before what would carry a missing price on
        macd = bt.ind.MACDHisto(
            self.data, period_me1=p.period_me1, period_me2=p.period_me2, period_signal=p.period_signal
        )
        self.lines.strength = macd.lines.histo / price
        super().__init__()


class _Known(bt.Indicator):
    """A line as it is; a price of a feed that is missing or not above 0 is a DataError."""

    lines: ClassVar[Any] = ("price",)
    plotinfo: ClassVar[Any] = {"plot": False}

    def next(self) -> None:
        price = float(self.data[0])
        feed = feed_of(self.data)
        if feed is not None:
            check_values(feed, "close", [price], first=len(self.data) - 1, needed_by="MACDStrength", positive=True)
        self.lines.price[0] = price
