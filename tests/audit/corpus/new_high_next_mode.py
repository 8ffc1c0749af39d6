"""Buys the day of a new high and sells some days later, bar by bar without preloading.

The rules of Backtrader's sample pinkfish-challenge, written anew, on whole days.
"""

import backtrader as bt


class NewHigh(bt.Strategy):
    params = (("period", 20), ("after", 2))

    def __init__(self):
        self.highest = bt.ind.Highest(self.data.high, period=self.p.period)
        self.since = 0

    def next(self):
        if not self.position:
            if self.data.high[0] == self.highest[0]:
                self.buy(exectype=bt.Order.Close, size=7)
                self.since = len(self)
        elif len(self) - self.since >= self.p.after:
            self.sell(size=7)


def make_cerebro(bars):
    cerebro = bt.Cerebro(runonce=False, preload=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(NewHigh)
    return cerebro
