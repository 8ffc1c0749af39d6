"""Follows a rise with a trailing stop."""

import backtrader as bt


class StopTrail(bt.Strategy):
    params = (("period", 20), ("trail", 0.04))

    def __init__(self):
        self.up = bt.ind.CrossUp(bt.ind.SMA(period=5), bt.ind.SMA(period=self.p.period))
        self.stop_order = None

    def next(self):
        if not self.position:
            self.stop_order = None
            if self.up[0] > 0:
                self.buy(size=10)
        elif self.stop_order is None:
            self.stop_order = self.sell(exectype=bt.Order.StopTrail, size=10, trailpercent=self.p.trail)
