"""Daily trades that follow the weekly trend, resampled by Backtrader."""

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
    days = bt.feeds.PandasData(dataname=bars)
    cerebro.adddata(days)
    cerebro.resampledata(days, timeframe=bt.TimeFrame.Weeks)
    cerebro.addstrategy(TwoTimeframes)
    return cerebro
