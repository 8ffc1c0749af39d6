"""Buys a one-day drop at its close, and holds for several days."""

import backtrader as bt


class TrendDips(bt.Strategy):
    params = (("drop", -0.01), ("hold", 3))

    def __init__(self):
        self.change = self.data.close / self.data.open - 1.0
        self.trend = self.data.close > bt.ind.SMA(period=50)
        self.entered = 0

    def next(self):
        if not self.position:
            if self.change[0] < self.p.drop and self.trend[0]:
                self.buy(exectype=bt.Order.Close, size=10)
                self.entered = len(self)
        elif len(self) - self.entered >= self.p.hold:
            self.close(exectype=bt.Order.Close)
