"""A sizer sets the order size."""

import backtrader as bt


class Risky(bt.Sizer):
    params = (("share", 0.3),)

    def _getsizing(self, comminfo, cash, data, isbuy):
        return int(self.p.share * cash / data.close[0]) if isbuy else self.broker.getposition(data).size


class Crossing(bt.Strategy):
    def __init__(self):
        self.cross = bt.ind.CrossOver(self.data.close, bt.ind.SMA(period=20))

    def next(self):
        if self.cross > 0 and not self.position:
            self.buy()
        elif self.cross < 0 and self.position:
            self.sell()


def make_cerebro(bars):
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(Crossing)
    cerebro.addsizer(Risky)
    cerebro.broker.setcommission(commission=0.001)
    return cerebro
