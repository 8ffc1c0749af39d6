"""Sets its limit price from the next open; fails on the last bar, where there is none."""

import backtrader as bt

FOUND_AS = "looks ahead"


class KnowsTheOpen(bt.Strategy):
    def __init__(self):
        self.up = bt.ind.CrossUp(self.data.close, bt.ind.SMA(period=10))

    def next(self):
        limit = self.data.open[1]
        if self.up[0]:
            self.buy(size=1, exectype=bt.Order.Limit, price=limit * 0.999)
