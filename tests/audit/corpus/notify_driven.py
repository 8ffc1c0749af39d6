"""Sends its stop when the entry is filled, and waits a week after a loss."""

import backtrader as bt


class Reactive(bt.Strategy):
    def __init__(self):
        self.up = self.data.close > bt.ind.SMA(period=12)
        self.rest = 0

    def notify_order(self, order):
        if order.status == order.Completed and order.isbuy():
            self.sell(size=order.executed.size, exectype=bt.Order.Stop, price=order.executed.price * 0.97)

    def notify_trade(self, trade):
        if trade.isclosed and trade.pnl < 0:
            self.rest = 5

    def next(self):
        self.rest = max(0, self.rest - 1)
        if not self.position and not self.rest and self.up[0]:
            self.buy(size=4)
