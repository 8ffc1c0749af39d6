"""Cheat-on-close: decides on the close at which it is filled."""

import backtrader as bt

ALSO = "cheat-on-close"


class AtTheClose(bt.Strategy):
    def __init__(self):
        self.cross = bt.ind.CrossOver(self.data.close, bt.ind.SMA(period=20))

    def next(self):
        if self.cross > 0:
            self.order_target_size(target=10)
        elif self.cross < 0:
            self.order_target_size(target=0)


def make_cerebro(bars):
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(AtTheClose)
    cerebro.broker.set_coc(True)
    return cerebro
