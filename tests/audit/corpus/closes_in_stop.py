"""Closes open positions at the end of the run, in stop()."""

import backtrader as bt


class Tidy(bt.Strategy):
    def __init__(self):
        self.up = bt.ind.CrossUp(self.data.close, bt.ind.SMA(period=25))

    def next(self):
        if self.up[0]:
            self.buy(size=2)

    def stop(self):
        if self.position:
            self.close()
