"""The figures of a study of prompts, each as SVG for a page and as PNG for a folder.

Every function takes the frames of `llmguide.experiments.prompts.result`, under the same names.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from llmguide.report.figures import house_style, new_figure, plain, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "Drawn", "draw_figures"]

FIGURES = ("sharpe", "uncertainty", "calibration", "reliability", "reviews")

# As in `llmguide.report.figures`: pale for the first prompts, strong for the last, told apart by their marks too.
_LOOKS = (
    ("#999999", "o"),
    ("#e69f00", "s"),
    ("#56b4e9", "^"),
    ("#cc79a7", "v"),
    ("#0072b2", "D"),
    ("#009e73", "P"),
    ("#d55e00", "X"),
)
_INK, _PALE = "#222222", "#999999"
_NAMED = 12  # instruments whose lines bear their names: of more, the names cover each other


class Drawn(NamedTuple):
    """One figure: the text of an `<svg>` element, and the bytes of a PNG file."""

    svg: str
    png: bytes


def draw_figures(
    table: pd.DataFrame,
    means: pd.DataFrame,
    calibration: pd.DataFrame,
    reliability: pd.DataFrame,
    reviews: pd.DataFrame | None = None,
) -> dict[str, Drawn]:
    """Draw what there is to draw, by the names in `FIGURES`; the same frames give the same bytes.

    "uncertainty" is absent where no reply has log-probabilities, "calibration" where no month has an answer and an
    outcome, "reliability" where none has a probability and an outcome, "reviews" where no person has scored: `reviews`
    is the frame `scores` of `llmguide.experiments.review`.
    """
    drawn = {}
    with house_style():
        if table["sr"].notna().any():
            drawn["sharpe"] = _save(_sharpe(table, means))
        if table["entropy"].notna().any() or table["perplexity"].notna().any():
            drawn["uncertainty"] = _save(_uncertainty(table, means))
        if len(calibration):
            drawn["calibration"] = _save(_calibration(calibration))
        if len(reliability):
            drawn["reliability"] = _save(_reliability(reliability))
        people = pd.DataFrame() if reviews is None or reviews.empty else reviews[reviews["by"] == "people"]
        if len(people):
            drawn["reviews"] = _save(_reviews(people))
    return drawn


def _save(figure: Figure) -> Drawn:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=150, metadata={"Software": None})
    return Drawn(svg(figure), sink.getvalue())


def _look(at: int) -> tuple[str, str]:
    return _LOOKS[at % len(_LOOKS)]


def _sharpe(table: pd.DataFrame, means: pd.DataFrame) -> Figure:
    """One line per instrument and one for the means; prompts beside each other in it, published ones hollow."""
    symbols = list(dict.fromkeys(table["symbol"]))
    prompts = sorted(set(table["prompt"]))
    over = means.assign(symbol="mean")
    frame = pd.concat([table, over] if len(symbols) > 1 else [table])
    names = [*symbols, "mean"] if len(symbols) > 1 else symbols
    figure = new_figure(8, 1.1 + (0.24 + 0.09 * len(prompts)) * len(names))
    axes = figure.subplots()
    axes.axvline(0, color=_PALE, lw=0.8)
    offsets = np.linspace(-0.3, 0.3, len(prompts)) if len(prompts) > 1 else np.zeros(1)
    published = False
    for at, prompt in enumerate(prompts):
        rows = frame[frame["prompt"] == prompt].set_index("symbol").reindex(names)
        y = np.arange(len(names)) + offsets[at]
        color, mark = _look(at)
        there = rows["sr_published"].to_numpy(dtype=float)
        axes.plot(there, y, ls="", marker=mark, ms=7, mfc="none", mec=color, mew=1.1)
        axes.plot(rows["sr"].to_numpy(dtype=float), y, ls="", marker=mark, ms=6, color=color, label=plain(prompt))
        published = published or bool(np.isfinite(there).any())
    if published:
        axes.plot([], [], ls="", marker="o", ms=7, mfc="none", mec=_INK, label="hollow: published")
    for line in range(1, len(names)):
        axes.axhline(line - 0.5, color=_INK if names[line] == "mean" else "#e4e7ea", lw=0.8)
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Sharpe ratio on the test bars")
    figure.legend(loc="outside upper left", ncols=min(len(prompts) + published, 6))
    return figure


def _uncertainty(table: pd.DataFrame, means: pd.DataFrame) -> Figure:
    """Perplexity and entropy by prompt: a pale line per instrument, a strong one for the mean."""
    prompts = sorted(set(table["prompt"]))
    figure = new_figure(8, 3.4)
    panels = figure.subplots(1, 2)
    for axes, measure in zip(panels, ("perplexity", "entropy"), strict=True):
        for symbol, rows in table.groupby("symbol", sort=False):
            y = rows.set_index("prompt")[measure].reindex(prompts).to_numpy(dtype=float)
            axes.plot(range(len(prompts)), y, color=_PALE, lw=1.0, marker="o", ms=3, alpha=0.8)
            if table["symbol"].nunique() <= _NAMED:
                _name_line(axes, y, str(symbol))
        y = means.set_index("prompt")[measure].reindex(prompts).to_numpy(dtype=float)
        axes.plot(range(len(prompts)), y, color="#0072b2", lw=2.0, marker="D", ms=5)
        axes.set_xticks(range(len(prompts)), [plain(prompt) for prompt in prompts])
        axes.set_title(f"mean {measure} of the reply")
        axes.margins(x=0.12)
    return figure


def _name_line(axes: Axes, y: Any, name: str) -> None:
    """Write a line's name at its last point."""
    known = np.flatnonzero(np.isfinite(y))
    if len(known):
        at = (float(known[-1]), float(y[known[-1]]))
        axes.annotate(plain(name), at, (5, 0), textcoords="offset points", fontsize=7, va="center", color="#666666")


def _calibration(calibration: pd.DataFrame) -> Figure:
    """Hit rate by stated confidence, a mark and its interval per prompt, with the number of months below."""
    from matplotlib.ticker import PercentFormatter

    prompts = sorted(set(calibration["prompt"]))
    figure = new_figure(8, 3.8)
    axes = figure.subplots()
    axes.axhline(0.5, color=_PALE, lw=1.0, ls="--")
    offsets = np.linspace(-0.3, 0.3, len(prompts)) if len(prompts) > 1 else np.zeros(1)
    for at, prompt in enumerate(prompts):
        rows = calibration[calibration["prompt"] == prompt]
        x = rows["confidence"].to_numpy(dtype=float) + offsets[at]
        rate = rows["hit_rate"].to_numpy(dtype=float)
        reach = np.clip([rate - rows["low"].to_numpy(), rows["high"].to_numpy() - rate], 0.0, None)
        color, mark = _look(at)
        axes.errorbar(x, rate, yerr=reach, fmt=mark, ms=6, color=color, lw=1.3, label=plain(prompt))
        for where, months in zip(x, rows["months"], strict=True):
            axes.annotate(str(months), (where, 0.02), xycoords=("data", "axes fraction"), fontsize=7, ha="center")
    axes.set_xticks((1, 2, 3), ("1, low", "2, moderate", "3, high"))
    axes.set(xlim=(0.5, 3.5), ylim=(-0.08, 1.03), xlabel="stated confidence", ylabel="direction was right")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside upper left", ncols=min(len(prompts), 6))
    return figure


def _reliability(reliability: pd.DataFrame) -> Figure:
    """Share that rose by probability, a panel per prompt; calibrated probabilities beside the said ones."""
    from matplotlib.ticker import PercentFormatter

    prompts = sorted(set(reliability["prompt"]))
    columns = min(len(prompts), 3)
    lines = -(-len(prompts) // columns)
    figure = new_figure(8, 0.9 + 2.6 * lines if columns == 3 else 5)
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    handles: dict[str, Any] = {}
    for axes, prompt in zip(panels, prompts, strict=False):
        handles |= _reliability_panel(axes, reliability[reliability["prompt"] == prompt])
        axes.set_title(plain(prompt))
    for axes in panels[len(prompts) :]:
        axes.set_visible(False)
    for axes in panels[max(len(prompts) - columns, 0) : len(prompts)]:
        axes.tick_params(labelbottom=True)  # of a column whose last panel is not there too
    for axis in (panels[0].xaxis, panels[0].yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.supxlabel("probability of a rise", fontsize="medium")
    figure.supylabel("share of months that rose", fontsize="medium")
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2)
    return figure


def _reliability_panel(axes: Axes, rows: pd.DataFrame) -> dict[str, Any]:
    """Draw one prompt's probabilities, with the number of months of said ones below and of calibrated ones above."""
    handles = {}
    axes.plot([0, 1], [0, 1], color=_PALE, lw=1.0, ls="--")
    for kind, label, color, mark, height in (
        ("said", "as stated", "#0072b2", "o", 0.02),
        ("calibrated", "calibrated", "#d55e00", "D", 0.95),
    ):
        some = rows[rows["probability"] == kind]
        if some.empty:
            continue
        x, share = some["mean_p"].to_numpy(dtype=float), some["share"].to_numpy(dtype=float)
        if kind == "said":
            axes.axhline(np.average(share, weights=some["months"]), color=_PALE, lw=1.0, ls=":")
        reach = np.clip([share - some["low"].to_numpy(), some["high"].to_numpy() - share], 0.0, None)
        handles[label] = axes.errorbar(x, share, yerr=reach, fmt=mark, ms=5, color=color, lw=1.2)
        for where, months in zip(x, some["months"], strict=True):
            place = ("data", "axes fraction")
            axes.annotate(str(months), (where, height), xycoords=place, fontsize=7, ha="center", color=color)
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.12, 1.12))
    return handles


def _reviews(scores: pd.DataFrame) -> Figure:
    """Mean scores of people with their intervals: criteria side by side, a mark for each prompt in each."""
    prompts = [prompt for prompt in dict.fromkeys(scores["prompt"]) if prompt != "all"]
    criteria = list(dict.fromkeys(scores["criterion"]))
    figure = new_figure(8, 3.6)
    axes = figure.subplots()
    offsets = np.linspace(-0.28, 0.28, len(prompts)) if len(prompts) > 1 else np.zeros(1)
    for at, prompt in enumerate(prompts):
        rows = scores[scores["prompt"] == prompt].set_index("criterion").reindex(criteria)
        x, score = np.arange(len(criteria)) + offsets[at], rows["score"].to_numpy(dtype=float)
        bounds = [score - rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float) - score]
        reach = np.clip(np.nan_to_num(bounds), 0.0, None)
        color, mark = _look(at)
        axes.errorbar(x, score, yerr=reach, fmt=mark, ms=6, color=color, lw=1.3, label=plain(prompt))
    axes.set_xticks(range(len(criteria)), criteria)
    axes.set_yticks((1, 2, 3))
    axes.set(ylim=(0.9, 3.1), ylabel="score")
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside upper left", ncols=min(len(prompts), 6))
    return figure
