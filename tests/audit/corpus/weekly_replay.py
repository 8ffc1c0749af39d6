"""Weeks that build up day by day, replayed by Backtrader."""

import backtrader as bt


class GrowingWeek(bt.Strategy):
    def __init__(self):
        self.mean = bt.ind.SMA(self.data.close, period=4)

    def next(self):
        if not self.position and self.data.close[0] > self.mean[0]:
            self.buy(size=10)
        elif self.position and self.data.close[0] < self.mean[0]:
            self.close()


def make_cerebro(bars):
    cerebro = bt.Cerebro()
    cerebro.replaydata(bt.feeds.PandasData(dataname=bars), timeframe=bt.TimeFrame.Weeks, compression=1)
    cerebro.addstrategy(GrowingWeek)
    return cerebro
