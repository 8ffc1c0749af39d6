"""Buys what is oversold and sells what is overbought."""

import backtrader as bt


class RsiReversion(bt.Strategy):
    params = (("period", 14), ("low", 35), ("high", 65))

    def __init__(self):
        self.rsi = bt.ind.RSI_SMA(self.data.close, period=self.p.period, safediv=True)
        self.order = None

    def notify_order(self, order):
        if not order.alive():
            self.order = None

    def next(self):
        if self.order:
            return
        if not self.position and self.rsi[0] < self.p.low:
            self.order = self.buy(size=50)
        elif self.position and self.rsi[0] > self.p.high:
            self.order = self.sell(size=50)
