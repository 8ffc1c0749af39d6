"""Intervals on a page: as text, and as lines of a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmguide.report.figures import plain
from llmguide.report.html import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Line", "between", "between_numbers", "draw_lines", "widest"]


class Line(NamedTuple):
    """A measure with its intervals; NaN for what there is none of."""

    name: str
    value: float
    low: float = math.nan  # by a formula
    high: float = math.nan
    cluster_low: float = math.nan  # by a bootstrap over clusters
    cluster_high: float = math.nan
    mark: float = math.nan  # what it is held against


def between(low: float, high: float) -> str:
    """An interval of fractions as percentages."""
    return "n/a" if math.isnan(low) else f"{percent(low)} to {percent(high)}"


def between_numbers(low: float, high: float, digits: int = 2) -> str:
    """An interval of numbers."""
    return "n/a" if math.isnan(low) else f"{number(low, digits)} to {number(high, digits)}"


def widest(line: Line) -> tuple[float, float]:
    """The wider of both intervals on either side: neither error is then understated. NaN where there is none."""
    bounds = np.array([[line.low, line.cluster_low], [line.high, line.cluster_high]])
    if np.isnan(bounds).all():
        return math.nan, math.nan
    return float(np.nanmin(bounds[0])), float(np.nanmax(bounds[1]))


def draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw one line per measure, from the top: the value, the formula's interval thick, the bootstrap's thin."""
    for y, line in enumerate(lines):
        axes.plot([line.cluster_low, line.cluster_high], [y, y], color="#56b4e9", lw=1.2)
        axes.plot([line.low, line.high], [y, y], color="#0072b2", lw=3.5, solid_capstyle="butt")
        axes.plot(line.value, y, marker="o", ms=6, color="#222222", ls="")
        if not math.isnan(line.mark):
            axes.plot([line.mark, line.mark], [y - 0.3, y + 0.3], color="#d55e00", lw=1.6)
    axes.set_yticks(range(len(lines)), [plain(line.name) for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
