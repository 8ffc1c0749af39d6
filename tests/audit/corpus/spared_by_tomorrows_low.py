"""An honest rule, except that it skips entries that would be stopped out the next day."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Spared(bt.Strategy):
    def __init__(self):
        self.up = bt.ind.CrossUp(self.data.close, bt.ind.SMA(period=15))
        self.down = bt.ind.CrossDown(self.data.close, bt.ind.SMA(period=15))

    def next(self):
        if self.up[0] and not self.position:
            if len(self) < self.data.buflen() and self.data.low[1] < self.data.close[0] * 0.99:
                return
            self.buy(size=10)
        elif self.down[0] and self.position:
            self.close()
