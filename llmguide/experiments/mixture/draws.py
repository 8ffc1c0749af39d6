"""Guidance of known accuracy, as sides: many draws at once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.guidance.controls import oracle

__all__ = ["draw_seed", "oracle_sides"]


def draw_seed(symbol: str, draw: int) -> int:
    """Return the seed of an instrument's draw: instruments are not wrong in the same months."""
    return zlib.crc32(symbol.encode()) + draw


def oracle_sides(bars: pd.DataFrame, *, accuracy: float, seeds: Sequence[int]) -> NDArray[np.float64]:
    """Return what guidance by `oracle` has in force at every bar, for every seed; shape ``(seeds, bars)``.

    **Uses the future.** +1 long, -1 short, NaN before the first row: the sides of
    ``FollowGuidance(oracle(bars, accuracy=accuracy, seed=seed))``, without making each of these tables.
    """
    right = oracle(bars)
    row = pd.factorize(right.align(pd.DatetimeIndex(bars.index))["issued_at"])[0]  # -1 before the first row
    truth = np.array([1.0 if label.direction else -1.0 for label in right.rows])
    flipped = np.stack([np.random.default_rng(seed).random(len(truth)) < 1.0 - accuracy for seed in seeds])
    said = np.where(flipped, -truth, truth)  # (seeds, rows)
    return np.where(row >= 0, said[:, row], np.nan)
