"""A ratio to a feed that starts later: until then it reads the last value of the preloaded data."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Spread(bt.Strategy):
    def __init__(self):
        self.ratio = self.data0.close / self.data1.close
        self.mean = bt.ind.SMA(self.ratio, period=30)

    def next(self):
        if not self.getposition(self.data0) and self.ratio[0] < self.mean[0] * 0.99:
            self.buy(self.data0, size=5)
            self.sell(self.data1, size=5)
        elif self.getposition(self.data0) and self.ratio[0] > self.mean[0]:
            for data in self.datas:
                self.close(data)


def make_cerebro(bars):
    other = bars.assign(
        **{name: bars[name].rolling(30, min_periods=1).mean() for name in ("open", "high", "low", "close")}
    )
    cerebro = bt.Cerebro(runonce=False)  # the feeds are not equally long
    cerebro.adddata(bt.feeds.PandasData(dataname=bars), name="one")
    cerebro.adddata(bt.feeds.PandasData(dataname=other.iloc[20:]), name="other")
    cerebro.addstrategy(Spread)
    return cerebro
