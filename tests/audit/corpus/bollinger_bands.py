"""Sells above the upper band, buys below the lower one, exits at the middle."""

import backtrader as bt


class Bollinger(bt.Strategy):
    def __init__(self):
        self.bands = bt.ind.BollingerBands(period=20, devfactor=1.8)

    def next(self):
        close = self.data.close[0]
        if not self.position:
            if close > self.bands.top[0]:
                self.sell(size=10)
            elif close < self.bands.bot[0]:
                self.buy(size=10)
        elif (self.position.size > 0) == (close > self.bands.mid[0]):
            self.close()
