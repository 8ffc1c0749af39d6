"""A regression refitted each month on the preceding days."""

import numpy as np
import pandas as pd


def signals(bars):
    change = bars["close"].pct_change().fillna(0.0).to_numpy()
    forecast = np.zeros(len(bars))
    slope = 0.0
    for t in range(60, len(bars)):
        if t % 21 == 0:
            slope = np.polyfit(change[1 : t - 1], change[2:t], 1)[0]
        forecast[t] = slope * change[t]
    return pd.DataFrame({"forecast": forecast, "long": forecast > 0}, index=bars.index)
