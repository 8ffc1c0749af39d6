"""Tiny drawings for notebooks: SVG in the colours of the page around it, a few kilobytes each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["diverging", "strip"]

_BLUE, _ORANGE = "#3f8fd2", "#e08a3c"  # told apart by all eyes, on light and dark pages
_MOST = 5_000
"""Cells or rows above which no picture is drawn: it would weigh more than the notebook."""


def strip(values: Sequence[tuple[float, float, float]], first: str, last: str) -> str:
    """Draw values in -1..1 over time as an SVG strip; each is given with where it begins and ends, from 0 to 1.

    Bars above the line are positive and blue, below it negative and orange; `first` and `last` label the ends.
    """
    if not 0 < len(values) <= _MOST:
        return ""
    width, half = 640, 26
    paths = {True: "", False: ""}
    for begin, end, value in values:
        if value:
            x, wide = begin * width, max((end - begin) * width, 0.5)
            paths[value > 0] += f"M{x:.1f} {half}h{wide:.1f}V{half - value * (half - 2):.1f}h-{wide:.1f}z"
    drawn = "".join(f'<path fill="{_BLUE if up else _ORANGE}" d="{d}"/>' for up, d in paths.items() if d)
    axis = f'<path stroke="currentColor" stroke-opacity=".5" d="M0 {half}H{width}"/>'
    ends = ((0, "start", first), (width / 2, "middle", "tau: above LONG, below SHORT"), (width, "end", last))
    kind = f'y="{2 * half + 14}" fill="currentColor" font-size="12"'
    words = "".join(f'<text x="{x}" {kind} text-anchor="{anchor}">{escape(text)}</text>' for x, anchor, text in ends)
    label = f"tau from {first} to {last}: blue above the line is LONG, orange below it SHORT"
    return _svg(width, 2 * half + 18, label, drawn + axis + words)


def diverging(
    cells: Iterable[tuple[int, int, float]], shape: tuple[int, int], best: tuple[int, int], label: str
) -> str:
    """Draw values by column and row as an SVG heat map around 0, blue above and orange below; `best` is framed.

    `shape` is (columns, rows); row 0 is at the bottom. What is NaN stays empty. `label` stands below it.
    """
    columns, rows = shape
    if not 0 < columns * rows <= _MOST:
        return ""
    known = [cell for cell in cells if cell[2] == cell[2]]
    most = max((abs(value) for *_, value in known), default=0.0) or 1.0
    paths: dict[int, str] = {}
    for x, y, value in known:
        step = round(value / most * 8)
        if step:
            paths[step] = paths.get(step, "") + f"M{x} {rows - 1 - y}h1v1h-1z"
    drawn = "".join(
        f'<path fill="{_BLUE if step > 0 else _ORANGE}" fill-opacity="{abs(step) / 8:g}" d="{d}"/>'
        for step, d in sorted(paths.items())
    )
    thin = 'fill="none" stroke="currentColor" vector-effect="non-scaling-stroke"'
    frame = f'<rect width="{columns}" height="{rows}" stroke-opacity=".4" {thin}/>'
    mark = f'<rect x="{best[0]}" y="{rows - 1 - best[1]}" width="1" height="1" stroke-width="2" {thin}/>'
    return f'{_svg(columns, rows, label, drawn + frame + mark, shown=(320, 200))}<p class="soft">{escape(label)}</p>'


def _svg(width: float, height: float, label: str, body: str, shown: tuple[int, int] | None = None) -> str:
    wide, high = shown or (width, height)
    stretch = ' preserveAspectRatio="none"' if shown else ""
    return (
        f'<svg role="img" aria-label="{escape(label)}" shape-rendering="crispEdges" viewBox="0 0 {width} {height}" '
        f'width="{wide}" height="{high}"'
        f"{stretch}>{body}</svg>"
    )
