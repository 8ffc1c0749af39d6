"""Acts on days of high volume, by a quantile over all days."""

FOUND_AS = "looks ahead"


def signals(bars):
    loud = bars["volume"] > bars["volume"].quantile(0.9)
    return loud & (bars["close"] > bars["open"]), loud & (bars["close"] < bars["open"])
