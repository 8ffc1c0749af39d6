"""Scales the close by the lowest and highest close of the whole feed."""

import backtrader as bt

FOUND_AS = "looks ahead"


class MinMax(bt.Strategy):
    def start(self):
        closes = self.data.close.array
        self.low, self.high = min(closes), max(closes)

    def next(self):
        place = (self.data.close[0] - self.low) / (self.high - self.low)
        if place < 0.3 and not self.position:
            self.buy(size=10)
        elif place > 0.7 and self.position:
            self.close()
