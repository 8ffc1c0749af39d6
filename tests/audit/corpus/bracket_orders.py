"""Enters with a stop below and a target above."""

import backtrader as bt


class Bracket(bt.Strategy):
    def __init__(self):
        self.cross = bt.ind.CrossUp(self.data.close, bt.ind.EMA(period=15))
        self.pending = []

    def notify_order(self, order):
        if not order.alive() and order in self.pending:
            self.pending.remove(order)

    def next(self):
        if self.position or self.pending or not self.cross[0]:
            return
        price = self.data.close[0]
        self.pending = self.buy_bracket(
            size=10, exectype=bt.Order.Limit, price=price * 0.995, limitprice=price * 1.04, stopprice=price * 0.97
        )
