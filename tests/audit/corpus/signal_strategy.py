"""Backtrader's own strategy for signals."""

import backtrader as bt


class Signals(bt.SignalStrategy):
    def __init__(self):
        self.signal = bt.ind.CrossOver(bt.ind.HMA(period=10), bt.ind.DEMA(period=15))
        self.signal_add(bt.SIGNAL_LONGSHORT, self.signal)
