"""Averages with a long memory."""

import backtrader as bt


class LongMemory(bt.Strategy):
    def __init__(self):
        self.average = bt.ind.EMA(period=60)
        self.kama = bt.ind.KAMA(period=30)
        self.macd = bt.ind.MACDHisto()

    def next(self):
        if self.macd.histo[0] > 0 and self.kama[0] > self.average[0] and not self.position:
            self.buy(size=8)
        elif self.macd.histo[0] < 0 and self.position:
            self.close()
