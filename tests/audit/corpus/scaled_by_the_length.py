"""Weights days by their position in the whole data set."""

import numpy as np

FOUND_AS = "knows where the data end"


def positions(bars):
    rising = (bars["close"] > bars["close"].rolling(10).mean()).astype(float)
    return rising * np.linspace(0.0, 1.0, len(bars))
