"""News counts from the end of the quarter it is about, weeks before publication."""

import pandas as pd

FOUND_AS = "looks ahead"


def signals(bars, news):
    known = pd.merge_asof(
        pd.DataFrame(index=bars.index).reset_index(), news.sort_values("period"), left_on="date", right_on="period"
    )
    return (known["surprise"].fillna(0.0) > 0).set_axis(bars.index)
