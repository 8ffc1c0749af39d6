"""Bids below the market for three days, and cancels."""

import datetime

import backtrader as bt


class PatientBuyer(bt.Strategy):
    def __init__(self):
        self.average = bt.ind.WMA(period=15)
        self.bid = None

    def notify_order(self, order):
        if order is self.bid and not order.alive():
            self.bid = None

    def next(self):
        close = self.data.close[0]
        if self.position:
            if close > self.average[0] * 1.01:
                self.close()
        elif self.bid is None and close > self.average[0]:
            self.bid = self.buy(size=5, exectype=bt.Order.Limit, price=close * 0.99, valid=datetime.timedelta(days=3))
        elif self.bid is not None and close < self.average[0] * 0.97:
            self.cancel(self.bid)
