"""Weeks made with pandas, each labelled with its Monday: on Monday its Friday is already known."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Weekly(bt.Strategy):
    def next(self):
        if self.data1.close[0] > self.data0.close[0] * 1.01 and not self.position:
            self.buy(size=10)
        elif self.data1.close[0] < self.data0.close[0] and self.position:
            self.close()


def make_cerebro(bars):
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    weeks = bars.resample("W-MON", label="left", closed="left").agg(how).dropna()
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.adddata(bt.feeds.PandasData(dataname=weeks, timeframe=bt.TimeFrame.Weeks))
    cerebro.addstrategy(Weekly)
    return cerebro
