"""Reads the close of the next bar, if there is one."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Clairvoyant(bt.Strategy):
    def next(self):
        if len(self) == self.data.buflen():
            return
        if self.data.close[1] > self.data.close[0] * 1.01 and not self.position:
            self.buy(size=10)
        elif self.data.close[1] < self.data.close[0] * 0.99 and self.position:
            self.close()
