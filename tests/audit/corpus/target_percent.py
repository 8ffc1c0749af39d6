"""Half of the account in whatever rose over three months."""

import backtrader as bt


class TargetPercent(bt.Strategy):
    def __init__(self):
        self.change = bt.ind.ROC(period=60)

    def next(self):
        if len(self) % 5 == 0:
            self.order_target_percent(target=0.5 if self.change[0] > 0 else 0.0)
