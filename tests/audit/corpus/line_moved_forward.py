"""A line shifted by one bar in the wrong direction."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Moved(bt.Strategy):
    def __init__(self):
        self.tomorrow = self.data.close(1)
        self.rises = self.tomorrow > self.data.close

    def next(self):
        if self.rises[0] and not self.position:
            self.buy(size=1)
        elif not self.rises[0] and self.position:
            self.close()
