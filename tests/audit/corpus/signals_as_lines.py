"""Signals computed beforehand with pandas, fed to Backtrader as extra lines."""

import backtrader as bt


class WithSignal(bt.feeds.PandasData):
    lines = ("momentum",)
    params = (("momentum", -1),)


class FollowSignal(bt.Strategy):
    def next(self):
        if self.data.momentum[0] > 0.02 and not self.position:
            self.buy(size=10)
        elif self.data.momentum[0] < -0.02 and self.position:
            self.close()


def make_cerebro(bars):
    frame = bars.assign(momentum=bars["close"].pct_change(10).fillna(0.0))
    cerebro = bt.Cerebro()
    cerebro.adddata(WithSignal(dataname=frame))
    cerebro.addstrategy(FollowSignal)
    return cerebro
