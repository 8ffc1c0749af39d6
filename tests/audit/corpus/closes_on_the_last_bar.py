"""Exits on the last bar of the data, which it could not know is the last."""

import backtrader as bt

FOUND_AS = "knows where the data end"


class LastBar(bt.Strategy):
    def __init__(self):
        self.up = bt.ind.CrossUp(self.data.close, bt.ind.SMA(period=10))

    def next(self):
        if len(self.data) == self.data.buflen():
            self.order_target_size(target=0)
        elif self.up[0]:
            self.order_target_size(target=10)
