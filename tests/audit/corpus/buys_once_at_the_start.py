"""Knows tomorrow's close, and acts on it only once, near the start."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Once(bt.Strategy):
    def next(self):
        if len(self) < self.data.buflen() and self.data.close[1] > self.data.close[0] and not self.position:
            self.buy(size=10)
