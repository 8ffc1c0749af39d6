"""A scaler and a linear model fitted to all days and applied to each of them."""

import numpy as np
import pandas as pd

FOUND_AS = "looks ahead"


def signals(bars):
    close = bars["close"]
    features = pd.DataFrame({"day": close.pct_change(), "week": close.pct_change(5), "volume": bars["volume"]}).fillna(
        0.0
    )
    scaled = (features - features.mean()) / features.std()
    target = close.pct_change().shift(-1).fillna(0.0)
    weights, *_ = np.linalg.lstsq(scaled.to_numpy(), target.to_numpy(), rcond=None)
    return pd.Series(scaled.to_numpy() @ weights > 0.0, index=bars.index, name="long")
