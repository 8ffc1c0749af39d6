"""Fewer points for a drawing than there are bars, without losing an extreme."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["POINTS", "thin"]

POINTS = 1200
"""Points of a line at most: more than a figure is wide."""

Curve = NDArray[np.float64]


def thin(curves: Mapping[str, Curve], *, points: int = POINTS) -> tuple[NDArray[np.intp], dict[str, Curve]]:
    """Return the bars to draw at, and the curves there, each of shape (bars,); all of them where there are few.

    Bars are taken together in equal stretches. A stretch keeps two places, its first and its last bar, and of each
    curve its lowest and its highest value in their order: a value may move within its stretch, none is lost. The first
    and the last value stay where they are. NaN is left out of extremes, and stays where a stretch has nothing else.
    """
    bars = len(next(iter(curves.values())))
    if bars <= points:
        return np.arange(bars), dict(curves)
    edges = np.linspace(0, bars, points // 2 + 1).astype(np.intp)
    places = np.column_stack([edges[:-1], edges[1:] - 1]).ravel()
    return places, {name: _extremes(curve, edges) for name, curve in curves.items()}


def _extremes(curve: Curve, edges: NDArray[np.intp]) -> Curve:
    kept = np.full(2 * (len(edges) - 1), np.nan)
    for at, (first, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        part = curve[first:stop]
        if np.isfinite(part).any():
            ends = sorted((int(np.nanargmin(part)), int(np.nanargmax(part))))
            kept[2 * at : 2 * at + 2] = part[ends]
    kept[0], kept[-1] = curve[0], curve[-1]
    return kept
