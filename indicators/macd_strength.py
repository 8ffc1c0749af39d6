"""How far the MACD is from its signal."""

from __future__ import annotations

from typing import Any, ClassVar

import backtrader as bt

__all__ = ["MACDStrength"]


class MACDStrength(bt.Indicator):
    """Histogram of the MACD relative to the price, a fraction; comparable between instruments.

    Backtrader begins each average with its own first bars, TA-Lib all of them together: the first values differ from
    `llmguide.features.technical`, and no longer after some hundred bars.

    Formula:
      - strength = (macd - signal) / data

    See: `bt.ind.MACDHisto`.
    """

    lines: ClassVar[Any] = ("strength",)
    params: ClassVar[Any] = (("period_me1", 12), ("period_me2", 26), ("period_signal", 9))
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [0.0]}

    def __init__(self) -> None:
        p = self.p
        macd = bt.ind.MACDHisto(
            self.data, period_me1=p.period_me1, period_me2=p.period_me2, period_signal=p.period_signal
        )
        self.lines.strength = macd.lines.histo / self.data
        super().__init__()
