"""Trades breakouts from the channel of the preceding days."""

import backtrader as bt


class Donchian(bt.Indicator):
    lines = ("high", "low")
    params = (("period", 20),)

    def __init__(self):
        self.lines.high = bt.ind.Highest(self.data.high(-1), period=self.p.period)
        self.lines.low = bt.ind.Lowest(self.data.low(-1), period=self.p.period)


class Breakout(bt.Strategy):
    def __init__(self):
        self.channel = Donchian(self.data)

    def next(self):
        if not self.position and self.data.close[0] > self.channel.high[0]:
            self.buy(size=20)
        elif self.position and self.data.close[0] < self.channel.low[0]:
            self.close()
