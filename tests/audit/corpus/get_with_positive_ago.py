"""Takes a window that ends in the future."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Window(bt.Strategy):
    def next(self):
        ahead = self.data.high.get(ago=3, size=3)
        if len(ahead) < 3:
            return
        if not self.position and ahead[-1] > self.data.close[0] * 1.02:
            self.buy(size=6)
        elif self.position and ahead[-1] < self.data.close[0]:
            self.close()
