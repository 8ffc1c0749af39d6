"""Month-end values, backfilled onto the days before."""

FOUND_AS = "looks ahead"


def signals(bars):
    monthly = bars["close"].groupby(bars.index.to_period("M")).tail(1)
    return bars["close"] < monthly.reindex(bars.index).bfill()
