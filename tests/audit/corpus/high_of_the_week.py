"""Gives each day the high of its whole week, as a replay would not."""

FOUND_AS = "looks ahead"


def signals(bars):
    week = bars.index.to_period("W")
    high = bars["high"].groupby(week).transform("max")
    return bars["close"] < high * 0.98, bars["close"] >= high * 0.995
