"""Reads the unfinished resampled week: the bars are preloaded."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Weekly(bt.Strategy):
    def next(self):
        if len(self.data1) >= self.data1.buflen():
            return
        end = self.data1.close[1]
        if not self.position and end > self.data0.close[0] * 1.01:
            self.buy(self.data0, size=10)
        elif self.position and end < self.data0.close[0]:
            self.close(self.data0)


def make_cerebro(bars):
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.resampledata(bt.feeds.PandasData(dataname=bars), timeframe=bt.TimeFrame.Weeks)
    cerebro.addstrategy(Weekly)
    return cerebro
