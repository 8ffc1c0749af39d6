"""Guidance of an instrument as sides: many draws at once, without making each of their tables."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.guidance import Guidance
from llmguide.guidance.controls import oracle

__all__ = ["draw_seed", "oracle_sides", "shuffle_seed", "shuffled_sides"]

Array = NDArray[np.float64]


def draw_seed(symbol: str, draw: int) -> int:
    """Return the seed of an instrument's draw: instruments are not wrong in the same months."""
    return zlib.crc32(symbol.encode()) + draw


def shuffle_seed(symbol: str, draw: int) -> int:
    """Return the seed of the order in an instrument's draw of shuffled guidance, which is not that of its errors."""
    return draw_seed(f"{symbol} shuffled", draw)


def oracle_sides(
    bars: pd.DataFrame, *, accuracy: float, seeds: Sequence[int], shuffles: Sequence[int] | None = None
) -> Array:
    """Return what guidance by `oracle` has in force at every bar, for every seed; shape ``(seeds, bars)``.

    **Uses the future.** +1 long, -1 short, NaN before the first row: the sides of
    ``FollowGuidance(oracle(bars, accuracy=accuracy, seed=seed))``, each put in another order by
    ``shuffled(..., seed=shuffle)`` where `shuffles` has a seed for each.
    """
    right = oracle(bars)
    truth = _said(right)
    flipped = np.stack([np.random.default_rng(seed).random(len(truth)) < 1.0 - accuracy for seed in seeds])
    said = np.where(flipped, -truth, truth)  # (seeds, rows)
    if shuffles is not None:
        said = np.take_along_axis(said, _orders(len(truth), shuffles), axis=1)
    return _in_force(said, right, bars)


def shuffled_sides(table: Guidance, bars: pd.DataFrame, *, shuffles: Sequence[int]) -> Array:
    """Return what a table has in force once its months are permuted, for every seed; shape ``(seeds, bars)``.

    The sides of ``FollowGuidance(shuffled(table, seed=seed))``: +1 long, -1 short, NaN before the first direction.
    """
    return _in_force(_said(table)[_orders(len(table), shuffles)], table, bars)


def _said(table: Guidance) -> Array:
    """Return the direction of each row as a side, NaN where it abstains."""
    return np.array([np.nan if row.direction is None else 2.0 * row.direction - 1.0 for row in table.rows])


def _orders(rows: int, seeds: Sequence[int]) -> NDArray[np.int64]:
    """Return the orders of `shuffled`, shape (seeds, rows)."""
    return np.stack([np.random.default_rng(seed).permutation(rows) for seed in seeds])


def _in_force(said: Array, table: Guidance, bars: pd.DataFrame) -> Array:
    """Return the sides in force at every bar, shape (draws, bars), where the table's rows say `said`, (draws, rows).

    An abstention leaves the side as the last row that a bar saw has it: a row that is followed by another one before
    the next bar's date is seen by none.
    """
    issued = table.align(pd.DatetimeIndex(bars.index))["issued_at"].to_numpy()
    there = ~np.isnat(issued)
    stamps = np.array([row.issued_at for row in table.rows], dtype=issued.dtype)
    seen, row = np.unique(np.searchsorted(stamps, issued[there]), return_inverse=True)
    sides = np.full((len(said), len(bars)), np.nan)
    sides[:, there] = pd.DataFrame(said[:, seen]).ffill(axis=1).to_numpy()[:, row]
    return sides
