"""Cheat-on-open: decides at the open on the close of the same day."""

import backtrader as bt

FOUND_AS = "looks ahead"
ALSO = "cheat-on-open"


class SameDay(bt.Strategy):
    def next_open(self):
        if not self.position and self.data.close[0] > self.data.open[0] * 1.01:
            self.buy(size=5)
        elif self.position and self.data.close[0] < self.data.open[0]:
            self.close()


def make_cerebro(bars):
    cerebro = bt.Cerebro(cheat_on_open=True)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(SameDay)
    return cerebro
