"""MACD crosses up against a falling average; a stop of some ATRs only ever rises.

The rules of Backtrader's sample macd-settings, written anew.
"""

import backtrader as bt


class FixedShare(bt.Sizer):
    params = (("share", 0.2),)

    def _getsizing(self, comminfo, cash, data, isbuy):
        return int(comminfo.getsize(data.close[0], cash * self.p.share))


class MacdAtr(bt.Strategy):
    params = (("distance", 3.0), ("average", 30), ("back", 10))

    def __init__(self):
        macd = bt.ind.MACD(self.data, period_me1=12, period_me2=26, period_signal=9)
        self.cross = bt.ind.CrossOver(macd.macd, macd.signal)
        self.atr = bt.ind.ATR(self.data, period=14)
        average = bt.ind.SMA(self.data, period=self.p.average)
        self.direction = average - average(-self.p.back)
        self.waiting, self.floor = None, 0.0

    def notify_order(self, order):
        if not order.alive():
            self.waiting = None

    def next(self):
        if self.waiting:
            return
        floor = self.data.close[0] - self.atr[0] * self.p.distance
        if not self.position:
            if self.cross[0] > 0 and self.direction[0] < 0:
                self.waiting, self.floor = self.buy(), floor
        elif self.data.close[0] < self.floor:
            self.waiting = self.close()
        else:
            self.floor = max(self.floor, floor)


def make_cerebro(bars):
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(MacdAtr)
    cerebro.addsizer(FixedShare)
    return cerebro
