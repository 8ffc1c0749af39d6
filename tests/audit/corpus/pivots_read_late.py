"""Marks a high two days later, once it is confirmed, and reads it two days later."""

import backtrader as bt


class Pivots(bt.Indicator):
    lines = ("pivot",)

    def __init__(self):
        self.addminperiod(5)

    def next(self):
        highs = [self.data.high[-back] for back in range(5)]
        self.lines.pivot[0] = 0.0
        if highs[2] == max(highs):
            self.lines.pivot[-2] = 1.0


class FadeHighs(bt.Strategy):
    def __init__(self):
        self.pivots = Pivots(self.data)

    def next(self):
        if self.pivots.pivot[-2] and not self.position:
            self.sell(size=5)
        elif self.position and self.data.close[0] > self.data.close[-1]:
            self.close()


def make_cerebro(bars):
    cerebro = bt.Cerebro(runonce=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(FadeHighs)
    return cerebro
