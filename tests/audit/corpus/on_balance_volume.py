"""A cumulative indicator whose level depends on the first bar."""

import backtrader as bt


class OnBalanceVolume(bt.Indicator):
    lines = ("obv",)

    def __init__(self):
        self.addminperiod(2)

    def nextstart(self):
        self.lines.obv[0] = self.data.volume[0]

    def next(self):
        change = self.data.close[0] - self.data.close[-1]
        self.lines.obv[0] = self.lines.obv[-1] + self.data.volume[0] * ((change > 0) - (change < 0))
