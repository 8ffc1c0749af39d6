"""Monthly means, interpolated to days: they contain half of the next month."""

FOUND_AS = "looks ahead"


def positions(bars):
    months = bars["close"].resample("MS").mean()
    return months.reindex(bars.index.union(months.index)).interpolate("time").reindex(bars.index).rename("trend")
