"""A z-score using the mean and standard deviation of all days."""

FOUND_AS = "looks ahead"


def positions(bars):
    change = bars["close"].pct_change(5)
    return ((change - change.mean()) / change.std()).rename("score")
