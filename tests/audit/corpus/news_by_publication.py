"""News counts from the day it was published."""

import pandas as pd


def signals(bars, news):
    known = pd.merge_asof(
        pd.DataFrame(index=bars.index).reset_index(),
        news.sort_values("published"),
        left_on="date",
        right_on="published",
    )
    return (known["surprise"].fillna(0.0) > 0).set_axis(bars.index)
