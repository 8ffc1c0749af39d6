"""Cheat-on-open: sizes by the open at which it is filled, and decides on the day before."""

import backtrader as bt

ALSO = "cheat-on-open"


class AtTheOpen(bt.Strategy):
    def __init__(self):
        self.cross = bt.ind.CrossOver(self.data.close, bt.ind.SMA(period=20))

    def next_open(self):
        if not self.position and self.cross[0] > 0:
            self.buy(size=int(1000 / self.data.open[0]))
        elif self.position and self.cross[0] < 0:
            self.close()


def make_cerebro(bars):
    cerebro = bt.Cerebro(cheat_on_open=True)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(AtTheOpen)
    return cerebro
