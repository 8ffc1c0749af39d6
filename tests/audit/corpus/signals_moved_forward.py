"""Signals computed with pandas from the next day's return, fed to Backtrader as a line."""

import backtrader as bt

FOUND_AS = "looks ahead"


class WithSignal(bt.feeds.PandasData):
    lines = ("signal",)
    params = (("signal", -1),)


class FollowSignal(bt.Strategy):
    def next(self):
        self.order_target_size(target=10 if self.data.signal[0] > 0 else 0)


def make_cerebro(bars):
    change = bars["close"].pct_change().shift(-1)
    cerebro = bt.Cerebro()
    cerebro.adddata(WithSignal(dataname=bars.assign(signal=(change > 0.005).astype(float))))
    cerebro.addstrategy(FollowSignal)
    return cerebro
