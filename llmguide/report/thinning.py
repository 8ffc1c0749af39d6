"""Fewer points for a drawing than there are bars, without losing an extreme."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["POINTS", "sample", "thin"]

POINTS = 1200
"""Points of a line at most: more than a figure is wide."""

Curve = NDArray[np.float64]


def thin(curves: Mapping[str, Curve], *, points: int = POINTS) -> tuple[NDArray[np.intp], dict[str, Curve]]:
    """Return the bars to draw at, and the curves there, each of shape (bars,); all of them where there are few.

    The first and the last bar stay. Those between are taken together in equal stretches, and a stretch keeps two
    places, its own first and last bar, and of each curve its lowest and its highest value in their order: a value may
    move within its stretch, no extreme is lost. A stretch that has nothing but NaN stays NaN.
    """
    bars = len(next(iter(curves.values())))
    if bars <= points:
        return np.arange(bars), dict(curves)
    edges = np.linspace(1, bars - 1, points // 2).astype(np.intp)
    inner = np.column_stack([edges[:-1], edges[1:] - 1]).ravel()
    drawn = {name: np.r_[curve[0], _extremes(curve, edges), curve[-1]] for name, curve in curves.items()}
    return np.r_[0, inner, bars - 1], drawn


def sample(sides: pd.DataFrame, *, points: int = POINTS) -> pd.DataFrame:
    """Return what was held at evenly spaced bars, half as many as `points`; at all of them where there are few."""
    if len(sides) <= points:
        return sides
    return sides.iloc[np.linspace(0, len(sides) - 1, points // 2).astype(np.intp)]


def _extremes(curve: Curve, edges: NDArray[np.intp]) -> Curve:
    kept = np.full(2 * (len(edges) - 1), np.nan)
    for at, (first, stop) in enumerate(pairwise(edges)):
        part = curve[first:stop]
        if np.isfinite(part).any():
            ends = sorted((int(np.nanargmin(part)), int(np.nanargmax(part))))
            kept[2 * at : 2 * at + 2] = part[ends]
    return kept
