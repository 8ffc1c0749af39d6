"""An indicator whose first values are backfilled with its first known one."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Filled(bt.Indicator):
    lines = ("mean",)

    def once(self, start, end):
        source, target = self.data.array, self.lines.mean.array
        for t in range(start, end):
            block = t - t % 20
            window = source[block : block + 20]
            target[t] = sum(window) / len(window)


class Follow(bt.Strategy):
    def __init__(self):
        self.mean = Filled(self.data.close)

    def next(self):
        if self.data.close[0] < self.mean[0] and not self.position:
            self.buy(size=3)
        elif self.data.close[0] > self.mean[0] * 1.01 and self.position:
            self.close()
