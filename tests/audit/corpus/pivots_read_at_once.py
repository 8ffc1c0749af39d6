"""The same pivots, computed for all bars before trading starts: they appear two days early."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Pivots(bt.Indicator):
    lines = ("pivot",)

    def __init__(self):
        self.addminperiod(5)

    def next(self):
        highs = [self.data.high[-back] for back in range(5)]
        self.lines.pivot[0] = 0.0
        if highs[2] == max(highs):
            self.lines.pivot[-2] = 1.0


class SellHighs(bt.Strategy):
    def __init__(self):
        self.pivots = Pivots(self.data)

    def next(self):
        if self.pivots.pivot[0] and not self.position:
            self.sell(size=5)
        elif self.position and len(self) % 4 == 0:
            self.close()
