"""Intervals of what instruments have in common: the instruments are drawn anew, each as one block with all its runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RESAMPLES", "interval"]

RESAMPLES = 10_000


def interval(values: NDArray[Any], *, level: float = 0.95) -> tuple[float, float]:
    """Return percentiles of the mean of `values`, one for each instrument, over resamples of the instruments.

    The resamples depend on nothing but the number of instruments, so that what is compared draws the same ones. NaN for
    a single instrument. Markets move together, so intervals are narrower than what other instruments of another time
    would show.
    """
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    low, high = np.quantile(values[drawn].mean(axis=1), [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
