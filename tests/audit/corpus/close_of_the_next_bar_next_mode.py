"""The same without runonce: the bars are still preloaded."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Clairvoyant(bt.Strategy):
    def __init__(self):
        self.mean = bt.ind.SMA(period=10)

    def next(self):
        try:
            tomorrow = self.data.close[1]
        except IndexError:
            return
        if tomorrow > self.mean[0] * 1.01 and not self.position:
            self.buy(size=10)
        elif tomorrow < self.mean[0] and self.position:
            self.close()


def make_cerebro(bars):
    cerebro = bt.Cerebro(runonce=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(Clairvoyant)
    return cerebro
