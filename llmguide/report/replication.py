"""A replication for readers: its tables as text, and published against replicated Sharpe ratios as a figure.

Every function takes the frames of `llmguide.experiments.replicate.result.Replication`, under the same names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.files import atomic_path
from llmguide.numbers import number, spread
from llmguide.report.figures import house_style, new_figure, plain
from llmguide.report.tables import TextTable, p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["appendix_e_table", "draw_replication", "experiment_2_table", "paired_tests_table", "summary_table"]

_PAPER = "arXiv 2508.02366"
_BENCHMARK = "arXiv 2004.06627"
_MEASURES = {"sr": "Sharpe ratio", "mdd": "maximum drawdown"}


def appendix_e_table(appendix_e: pd.DataFrame) -> TextTable:
    """The unguided agent on each instrument against its publications."""
    rows = [
        [
            row.symbol,
            row.name or "",
            number(row.sr_published, 3),
            spread(row.sr_paper, row.sr_paper_std),
            spread(row.sr_mean, row.sr_std),
            str(row.n),
            f"{number(row.low)} to {number(row.high)}" if np.isfinite(row.low) else "n/a",
            number(row.t),
            p_value(row.p),
            row.lies or "n/a",
            number(row.mdd_paper),
            number(row.mdd_mean),
            number(row.mdd_tdqn_mean),
        ]
        for row in _rows(appendix_e)
    ]
    columns = [
        *("symbol", "instrument", "published", "paper", "here", "runs", "95 % interval", "t", "p", "published is"),
        *("MDD paper", "MDD here", "MDD here (tdqn)"),
    ]
    notes = (
        f"Sharpe ratios on the test bars: published by {_BENCHMARK}; replicated by {_PAPER}, appendix E; and here, "
        "mean (std) over runs. The interval is that of the mean here. t and p: two-sided one-sample t test of the runs "
        "here against the published Sharpe ratio, which has no spread and counts as exact.",
        "MDD: maximum drawdown, a fraction, mean over runs; tdqn: as the benchmark's authors compute it, at the "
        "largest absolute fall.",
    )
    return TextTable("The unguided agent against its publications", columns, rows, notes, text=2)


def experiment_2_table(experiment_2: pd.DataFrame) -> TextTable:
    """Every arm on each instrument beside what was published."""
    rows = [
        [
            row.symbol,
            row.arm,
            spread(row.sr_published, row.sr_published_std),
            spread(row.sr_mean, row.sr_std),
            number(row.mdd_published),
            spread(row.mdd_mean, row.mdd_std),
            str(row.seeds) if row.seeds else "-",
        ]
        for row in _rows(experiment_2)
    ]
    columns = ["symbol", "arm", "SR published", "SR here", "MDD published", "MDD here", "runs"]
    notes = (
        "Sharpe ratio (SR) and maximum drawdown (MDD, a fraction) on the test bars, mean (std) over runs. Published by "
        f"{_PAPER}, whose Sharpe ratios of rl are those of {_BENCHMARK}.",
    )
    return TextTable("Sharpe ratio and drawdown by arm", columns, rows, notes, text=2)


def paired_tests_table(tests: pd.DataFrame) -> TextTable:
    """The paired tests between arms."""
    rows = [
        [
            row.symbol,
            _MEASURES[row.measure],
            f"{row.arm_a} - {row.arm_b}",
            f"{row.mean_difference:+.2f}",
            number(row.t),
            p_value(row.p),
            p_value(row.p_holm),
            p_value(row.p_wilcoxon),
            str(row.n),
        ]
        for row in _rows(tests)
    ]
    columns = ["symbol", "measure", "arms", "mean difference", "t", "p", "p Holm", "p Wilcoxon", "pairs"]
    notes = (
        "Two-sided paired t tests over seeds; Holm's p corrects them for the number of instruments. Wilcoxon's signed "
        "rank test is not corrected.",
    )
    return TextTable("Differences between arms", columns, rows, notes, text=3)


def summary_table(summary: pd.DataFrame, words: str) -> TextTable:
    """How well the published Sharpe ratios were met, here and in the paper; `words` say the same."""
    rows = [
        [
            row.source,
            str(row.instruments),
            number(row.mean_absolute_difference),
            number(row.correlation),
            f"{row.differ} of {row.tested}",
            number(row.by_chance, 1),
        ]
        for row in _rows(summary)
    ]
    columns = ["replication", "instruments", "mean absolute difference", "correlation", "differ, p < 0.05", "by chance"]
    notes = (
        words,
        f"Mean Sharpe ratios against those published by {_BENCHMARK}. By chance: how many tests would have p < 0.05 if "
        f"all agreed. The p of {_PAPER} follow from its rounded means and standard deviations over 25 runs.",
    )
    return TextTable("How well the published Sharpe ratios are met", columns, rows, notes)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)


def draw_replication(appendix_e: pd.DataFrame, path: Path | str) -> Path:
    """Draw published against replicated Sharpe ratios into a PNG file, atomically; return the path.

    On the left one line per instrument, ordered by its published Sharpe ratio; on the right the same numbers against
    each other, with the diagonal on which they would agree. Bars are the 95 % intervals of the means. Instruments
    without a published Sharpe ratio are left out. The same table gives the same bytes.
    """
    table = appendix_e[appendix_e["sr_published"].notna()].sort_values("sr_published", kind="stable")
    with house_style():
        figure = new_figure(12, max(5.6, 1.6 + 0.24 * len(table)))
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        _draw_lines(left, table)
        _draw_diagonal(right, table)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
        figure.draw_without_rendering()  # the panels have their size only now
        _label_points(right, table)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
    return Path(path)


_LOOKS = (
    ("inside", "#0072b2", "here, published within the 95 % interval"),
    ("outside", "#d55e00", "here, published outside the 95 % interval"),
    ("untested", "#666666", "here, not tested"),
)
"""Marks of what was found here, by where the published figure lies: blue and red of `llmguide.report.figures`."""


def _looks(table: pd.DataFrame) -> Iterator[tuple[NDArray[np.intp], str, str]]:
    """Yield the rows that have each look, with colour and label."""
    where = table["lies"].map({"inside": "inside", "below": "outside", "above": "outside"}).fillna("untested")
    for look, color, label in _LOOKS:
        rows = np.flatnonzero(where == look)
        if len(rows):
            yield rows, color, label


def _reach(table: pd.DataFrame) -> NDArray[np.float64]:
    """Half the width of each interval, 0 where there is none."""
    return ((table["high"] - table["low"]) / 2).fillna(0.0).to_numpy(dtype=np.float64)


def _draw_lines(axes: Axes, table: pd.DataFrame) -> None:
    y = np.arange(len(table))
    mean, reach = table["sr_mean"].to_numpy(), _reach(table)
    axes.axvline(0, color="#999999", lw=0.8)
    for rows, color, label in _looks(table):
        axes.errorbar(mean[rows], y[rows], xerr=reach[rows], fmt="o", ms=5, color=color, lw=1.8, label=label)
    axes.plot(table["sr_published"], y, ls="", marker="D", ms=5, color="#222222", label=f"published, {_BENCHMARK}")
    axes.plot(table["sr_paper"], y, ls="", marker="o", ms=7, mfc="none", mec="#222222", label=f"replicated, {_PAPER}")
    axes.set_yticks(y, [plain(f"{row.name} ({row.symbol})") for row in _rows(table)])
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.set_xlabel("Sharpe ratio on the test bars")


def _draw_diagonal(axes: Axes, table: pd.DataFrame) -> None:
    x, mean, reach = table["sr_published"].to_numpy(), table["sr_mean"].to_numpy(), _reach(table)
    low = min(0.0, float(np.min([x, mean - reach])))
    high = max(1.0, float(np.max([x, mean + reach])))
    margin = 0.06 * (high - low)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="#999999", lw=1.0, ls="--")
    for rows, color, _ in _looks(table):
        axes.errorbar(x[rows], mean[rows], yerr=reach[rows], fmt="o", ms=5, color=color, lw=1.2)
    axes.set(xlim=limits, ylim=limits, xlabel="Sharpe ratio published", ylabel="Sharpe ratio here")


def _label_points(axes: Axes, table: pd.DataFrame) -> None:
    """Write each point's symbol beside it where it covers no point and no other symbol; else leave it out.

    The other panel names every instrument.
    """
    from matplotlib.transforms import Bbox

    points = axes.transData.transform(table[["sr_published", "sr_mean"]].to_numpy(dtype=np.float64))  # (rows, 2) pixels
    inch = axes.get_figure(root=True).dpi  # type: ignore[union-attr]  # every axes has a figure
    size, height = 7, 0.11 * inch
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in points]
    for (x, y), symbol in zip(points, table["symbol"], strict=True):
        width = 0.066 * inch * len(symbol)
        places = [
            Bbox.from_bounds(x + (8 if right else -8 - width), y - height / 2 + shift * height, width, height)
            for shift in (0, 1, -1)
            for right in (True, False)
        ]
        place = next((box for box in places if not box.count_overlaps(taken)), None)
        if place is None:
            continue
        taken.append(place)
        right = place.x0 > x
        edge = (place.x0 if right else place.x1, (place.y0 + place.y1) / 2)
        side: Any = "left" if right else "right"
        a, b = axes.transData.inverted().transform(edge)
        axes.text(a, b, plain(symbol), fontsize=size, ha=side, va="center")
