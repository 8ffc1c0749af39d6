"""Reads the DataFrame from which the feed was made."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Insider(bt.Strategy):
    def next(self):
        frame = self.data.p.dataname
        ahead = frame["close"].iloc[len(self) : len(self) + 10]
        if not len(ahead):
            return
        if not self.position and ahead.mean() > self.data.close[0] * 1.02:
            self.buy(size=10)
        elif self.position and ahead.mean() < self.data.close[0]:
            self.close()
