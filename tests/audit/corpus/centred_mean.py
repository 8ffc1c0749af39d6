"""A centred mean: the ten days before and after."""

FOUND_AS = "looks ahead"


def signals(bars):
    smooth = bars["close"].rolling(21, center=True).mean()
    return smooth.diff() > 0, smooth.diff() < 0
