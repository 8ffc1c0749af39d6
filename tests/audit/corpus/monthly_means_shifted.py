"""The mean of the month before, on each day of a month."""


def signals(bars):
    months = bars.index.to_period("M")
    means = bars["close"].groupby(months).mean().shift(1)
    return bars["close"] > means.reindex(months).set_axis(bars.index)
