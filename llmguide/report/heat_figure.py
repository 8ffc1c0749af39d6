"""A measure over two parameters as a drawing: colours that the colour-blind can tell apart, the best cell ringed.

The drawing is whole without JavaScript. `script` adds what a pointer or the arrow keys ask for: the value of one cell.
Colours of a measure with a sign are centred on 0: blue gains, orange loses. What was tried without a result (it never
traded) is grey, and what was not tried is hatched, so that neither can be taken for 0.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmguide.report.figures import house_style, new_figure, plain, svg
from llmguide.report.html import figure, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["STYLE", "Axis", "Measure", "Panel", "coarser", "heat_figure", "script"]

_DIVERGING = ("#7f3b08", "#d9822b", "#f7f3ee", "#4a9bd1", "#08306b")  # Brewer's orange and blue; the middle is 0
_RISING = ("#f4f7fa", "#4a9bd1", "#08306b")
_FALLING = ("#faf6f1", "#d9822b", "#7f3b08")  # of which less is better
_UNDEFINED, _HATCH, _INK = "#b5b5b5", "#c9c9c9", "#1c2128"
_WIDTH = 6.4  # inches
_MOST_NUMBERS = 12  # columns in which a number still fits into a cell
_MOST_LABELS = 14
_MOST_EDGES = 60  # rows or columns; cells of more are a few points wide
_MOST = 32_000  # of a packed cell
_FAR = 2.5  # times the 98th percentile, from where on an extreme value would leave the others without colour

STYLE = """
figure.heat > div { position: relative; }
figure.heat > div > svg { min-width: 23rem; max-width: 46rem; margin: 0 auto; }
figure.heat .cell { min-height: 1.55em; margin: .5rem 0 0; font-weight: 600; font-variant-numeric: tabular-nums; }
@media print { figure.heat .cell { display: none; } }
"""


def script() -> str:
    """The element that tells the value of a single cell; at the end of a page."""
    return f"<script>{resources.files('llmguide.report').joinpath('heat.js').read_text(encoding='utf-8')}</script>"


class Axis(NamedTuple):
    """A parameter and its values as text, in the order in which they are drawn: to the right, or upwards."""

    name: str
    labels: tuple[str, ...]


class Measure(NamedTuple):
    """How a measure is called, drawn and written: ``scale * value`` with so many digits and a unit."""

    label: str
    digits: int = 2
    scale: float = 1.0
    unit: str = ""
    signed: bool = True
    less_is_better: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """One map. Shapes ``(rows, columns)``, of the axes y and x.

    Attributes:
        values: NaN where a combination has no such measure, or was not tried.
        tried: whether there was a combination.
        best: row and column of the best cell, where it is in this map.
        title: what distinguishes it from the others beside it.
    """

    values: NDArray[np.float64]
    tried: NDArray[np.bool_]
    best: tuple[int, int] | None = None
    title: str = ""


def coarser(panel: Panel, most: int) -> tuple[Panel, tuple[int, int]]:
    """Return a map of at most `most` rows and columns, and how many of the old ones are one of the new.

    A cell is the mean of those of its block that are defined. The block of the best cell is the best.
    """
    rows, columns = (math.ceil(size / most) for size in panel.values.shape)
    if rows == columns == 1:
        return panel, (1, 1)

    def blocks(cells: NDArray[Any], fill: Any) -> NDArray[Any]:
        short = [(0, -size % step) for size, step in zip(cells.shape, (rows, columns), strict=True)]
        whole = np.pad(cells, short, constant_values=fill)
        shape = whole.shape[0] // rows, rows, whole.shape[1] // columns, columns
        return whole.reshape(shape).swapaxes(1, 2).reshape(shape[0], shape[2], -1)

    values = blocks(panel.values, np.nan)
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(axis=2)
    means = np.where(known.any(axis=2), sums / np.maximum(known.sum(axis=2), 1), np.nan)
    best = None if panel.best is None else (panel.best[0] // rows, panel.best[1] // columns)
    return Panel(means, np.asarray(blocks(panel.tried, False).any(axis=2)), best, panel.title), (rows, columns)


def heat_figure(panels: Sequence[Panel], x: Axis, y: Axis, measure: Measure, *, label: str, caption: str) -> str:
    """The `<figure>` of some maps over the same axes in one scale of colours; `label` stands for it where it is unseen.

    Needs `STYLE` and, to be asked for single cells, `script` on its page.
    """
    drawn, boxes = _draw(panels, x, y, measure)
    start = next(((place, *panel.best) for place, panel in enumerate(panels) if panel.best is not None), (0, 0, 0))
    told = {
        "x": x._asdict(),
        "y": y._asdict(),
        "label": measure.label,
        "unit": measure.unit,
        "start": start,
        "panels": [
            {"title": panel.title, "box": box, **_packed(panel, measure)}
            for panel, box in zip(panels, boxes, strict=True)
        ],
    }
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    said = f'<p class="cell" aria-live="polite"></p><script type="application/json">{text}</script>'
    return (
        figure(drawn, label, caption)
        .replace("<figure>", '<figure class="heat">')
        .replace("<figcaption>", f"{said}<figcaption>")
    )


def _packed(panel: Panel, measure: Measure) -> dict[str, object]:
    """The cells to the digits that are written, as little-endian integers; the two lowest stand for what has none.

    Two bytes each: where the largest has too many digits for them, all have fewer after the point, or zeros before it.
    """
    known = np.isfinite(panel.values)
    largest = measure.scale * float(np.abs(panel.values[known]).max()) if known.any() else 0.0
    digits = measure.digits
    while largest * 10.0**digits > _MOST:
        digits -= 1
    cells = np.where(known, np.rint(np.where(known, panel.values, 0.0) * measure.scale * 10.0**digits), -_MOST - 1)
    cells = np.where(panel.tried, cells, -_MOST - 2).astype("<i2")
    return {"digits": digits, "data": base64.b64encode(cells.tobytes()).decode("ascii")}


def _draw(panels: Sequence[Panel], x: Axis, y: Axis, measure: Measure) -> tuple[str, list[list[float]]]:
    """The drawing, and where in it each map lies: left, top, width, height."""
    columns = min(len(panels), 3 if len(panels) != 4 else 2)
    lines = math.ceil(len(panels) / columns)
    with house_style():
        colours, limit, extend = _scale([panel.values for panel in panels], measure)
        drawing = new_figure(_WIDTH, lines * _height(len(y.labels), len(x.labels), columns) + 1.5)
        grid = drawing.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        shown: Any = None
        for axes, panel in zip(grid.flat, panels, strict=False):
            shown = _map(axes, panel, measure, colours, limit)
            if len(panels) == 1 and len(x.labels) <= _MOST_NUMBERS and len(y.labels) <= 2 * _MOST_NUMBERS:
                _numbers(axes, panel, measure, limit)
            axes.set_title(plain(panel.title), fontsize=9)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        for place, axes in enumerate(grid.flat):
            lowest, leftmost = place + columns >= len(panels), place % columns == 0
            axes.tick_params(labelbottom=lowest, labelleft=leftmost, labelsize=9)
            axes.set_xlabel(plain(x.name) if lowest else "")
            axes.set_ylabel(plain(y.name) if leftmost else "")
        _label(grid[0][0].xaxis, x, _MOST_LABELS // columns)
        _label(grid[0][0].yaxis, y, _MOST_LABELS)
        bar = drawing.colorbar(
            shown, ax=grid, orientation="horizontal", shrink=0.62, aspect=38, pad=0.02, extend=extend
        )
        bar.set_label(
            plain(measure.label)
            + (f" ({measure.unit.strip()})" if measure.unit else "")
            + ", lower is better" * measure.less_is_better
        )
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=9)
        drawing.legend(handles=_key(panels), loc="outside upper left", ncols=3, fontsize=9, borderpad=0)
        drawing.draw_without_rendering()
        width, height = 72 * drawing.get_size_inches()
        boxes = []
        for axes, _ in zip(grid.flat, panels, strict=False):
            place = axes.get_position()
            box = place.x0 * width, (1 - place.y1) * height, place.width * width, place.height * height
            boxes.append([round(float(part), 2) for part in box])
        return svg(drawing), boxes


def _height(rows: int, columns: int, beside: int) -> float:
    """Inches of a map: cells are as high as wide where that is neither flat nor long."""
    width = (_WIDTH - 0.6) / beside
    return float(np.clip(width * rows / columns, min(0.45 * rows, 1.6), 1.1 * width if beside > 1 else 0.72 * width))


def _scale(values: Sequence[NDArray[np.float64]], measure: Measure) -> tuple[Any, tuple[float, float], str]:
    """The colours, the values at their ends, and at which ends there is more beyond."""
    from matplotlib.colors import LinearSegmentedColormap

    known = measure.scale * np.concatenate([part[np.isfinite(part)] for part in values])
    tones = _DIVERGING if measure.signed else _FALLING if measure.less_is_better else _RISING
    colours = LinearSegmentedColormap.from_list("heat", tones, N=128)
    if not known.size:
        return colours, (-1.0, 1.0) if measure.signed else (0.0, 1.0), "neither"
    size = np.abs(known)
    usual = float(np.quantile(size, 0.98))
    end = usual if 0 < _FAR * usual < size.max() else float(size.max()) or 1.0
    beyond = (bool((known < -end).any()), bool((known > end).any()))
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    return colours, (-end if measure.signed else 0.0, end), extend


def _map(axes: Axes, panel: Panel, measure: Measure, colours: Any, limit: tuple[float, float]) -> Any:
    """Draw one map over a hatched ground, which shows where nothing was tried; return what the colours belong to."""
    rows, columns = panel.values.shape
    extent = (-0.5, columns - 0.5, -0.5, rows - 0.5)
    look: Any = {"origin": "lower", "aspect": "auto", "interpolation": "none", "extent": extent}
    axes.set_facecolor("white")
    axes.patch.set(hatch="////", edgecolor=_HATCH, linewidth=0)
    grey = np.where(panel.tried & ~np.isfinite(panel.values), 1.0, np.nan)
    if np.isfinite(grey).any():
        axes.imshow(grey, cmap=_one_colour(), vmin=0, vmax=1, **look)
    shown = axes.imshow(measure.scale * panel.values, cmap=colours, vmin=limit[0], vmax=limit[1], **look)
    if panel.best is not None:
        _ring(axes, panel.best, (rows, columns))
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.grid(visible=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    return shown


def _ring(axes: Axes, best: tuple[int, int], shape: tuple[int, int]) -> None:
    """Ring the best cell: around its edges, or as a circle where a cell is too small to be seen."""
    from matplotlib.patches import Rectangle

    row, column = best
    for color, thick in (("white", 4.2), (_INK, 2.0)):
        if max(shape) <= _MOST_EDGES:
            axes.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=color, lw=thick, clip_on=False, zorder=5)
            )
        else:
            axes.plot(column, row, marker="o", ms=11, mfc="none", mec=color, mew=thick, clip_on=False, zorder=5)


def _numbers(axes: Axes, panel: Panel, measure: Measure, limit: tuple[float, float]) -> None:
    """Write every cell's value into it."""
    for (row, column), value in np.ndenumerate(measure.scale * panel.values):
        if np.isfinite(value):
            deep = abs(value) > 0.55 * limit[1]
            text = number(value, 0 if measure.unit else measure.digits)
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if deep else _INK)


def _label(axis: Any, given: Axis, most: int) -> None:
    """Write as many of a parameter's values as there is room for, evenly, and the last one."""
    longest = max(map(len, given.labels))
    step = math.ceil(len(given.labels) / max(2, most if longest <= 5 else most // 2))
    places = range(0, len(given.labels), step)
    axis.set_ticks(list(places), [plain(given.labels[place]) for place in places])


def _key(panels: Sequence[Panel]) -> list[Any]:
    """What the ring, the grey and the hatching mean, where there are any."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Any] = []
    if any(panel.best is not None for panel in panels):
        edged = max(panels[0].values.shape) <= _MOST_EDGES
        marks.append(
            Line2D([], [], ls="", marker="s" if edged else "o", ms=9, mfc="none", mec=_INK, mew=1.8, label="best")
        )
    if any((panel.tried & ~np.isfinite(panel.values)).any() for panel in panels):
        marks.append(Patch(facecolor=_UNDEFINED, label="undefined, as without a trade"))
    if any(not panel.tried.all() for panel in panels):
        marks.append(Patch(facecolor="white", edgecolor=_HATCH, hatch="////", lw=0, label="not tried"))
    return marks


def _one_colour() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([_UNDEFINED])
