"""The same with a separate weekly feed: both are preloaded."""

import backtrader as bt


class TwoTimeframes(bt.Strategy):
    def __init__(self):
        self.week = bt.ind.SMA(self.data1.close, period=6)
        self.day = bt.ind.SMA(self.data0.close, period=5)

    def next(self):
        rising = self.data1.close[0] > self.week[0]
        if not self.position and rising and self.data0.close[0] > self.day[0]:
            self.buy(size=10)
        elif self.position and not rising:
            self.close()


def make_cerebro(bars):
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.resampledata(bt.feeds.PandasData(dataname=bars), timeframe=bt.TimeFrame.Weeks)
    cerebro.addstrategy(TwoTimeframes)
    return cerebro
