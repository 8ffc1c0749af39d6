"""Monthly means, interpolated to days: half of the next month is in them."""

FOUND_AS = "looks ahead"


def positions(bars):
    months = bars["close"].resample("MS").mean()
    return months.reindex(bars.index.union(months.index)).interpolate("time").reindex(bars.index).rename("trend")
