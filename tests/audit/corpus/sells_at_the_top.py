"""Long until the highest close of the data."""

import pandas as pd

FOUND_AS = "looks ahead"


def positions(bars):
    return pd.Series(bars.index < bars["close"].idxmax(), index=bars.index, name="long")
