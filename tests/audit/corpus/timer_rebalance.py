"""Rebalances on the first trading day of a month, using a timer."""

import backtrader as bt


class Monthly(bt.Strategy):
    def __init__(self):
        self.mean = bt.ind.SMA(period=40)
        self.add_timer(when=bt.timer.SESSION_START, monthdays=[1], monthcarry=True)

    def notify_timer(self, timer, when, *args, **kwargs):
        if len(self) > 40:
            self.order_target_size(target=30 if self.data.close[0] > self.mean[0] else 0)
