"""Figures over seeds and over conditions: each run as a point, and the Sharpe ratio under other costs and fills.

As in `llmguide.report.figures`: plain frames in, the text of one `<svg>` out, the same data the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmguide.report.figures import house_style, new_figure, plain, styles, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SENSITIVITIES", "scatter", "sensitivity"]

SENSITIVITIES = {"cost": "cost, % of each trade", "slippage": "slippage, % of the price", "fill": "fill"}
"""What is changed, and how its axis is called."""

_FILLS = ("at the close", "at the next open")


def scatter(runs: pd.DataFrame) -> str:
    """Sharpe ratio against maximum drawdown, one point per run, larger and angular where nothing is random.

    `runs` has columns arm, seed, sr and mdd; a run without a Sharpe ratio is left out, and an empty text is returned
    where none has one.
    """
    from matplotlib.ticker import PercentFormatter

    points = runs.dropna(subset=["sr", "mdd"])
    if points.empty:
        return ""
    looks = styles(list(dict.fromkeys(runs["arm"])))
    with house_style():
        figure = new_figure(8, 4.2)
        axes = figure.subplots()
        for arm, rows in points.groupby("arm", sort=False):
            fixed = bool((rows["seed"] < 0).all())
            color, dash = looks[str(arm)]
            mark = ("s" if dash == ":" else "D") if fixed else "o"
            look: Any = {"marker": mark, "s": 60 if fixed else 36, "label": plain(str(arm))}
            axes.scatter(
                rows["mdd"].to_numpy(dtype=float), rows["sr"].to_numpy(dtype=float), color=color,
                alpha=0.75, edgecolors="white", linewidths=0.6, **look,
            )  # fmt: skip
        axes.axhline(0, color="#999999", lw=0.8)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("maximum drawdown (left is better)")
        axes.set_ylabel("Sharpe ratio (up is better)")
        figure.legend(loc="outside upper left", ncols=6)
        return svg(figure)


def sensitivity(found: pd.DataFrame) -> str:
    """Sharpe ratio of each arm, mean over seeds, under each cost, slippage and fill.

    `found` has columns what ("cost", "slippage", "fill"), level, arm, seed and sr; an empty text is returned where
    there is no Sharpe ratio in it.
    """
    if found["sr"].isna().all():
        return ""
    kinds = [what for what in SENSITIVITIES if (found["what"] == what).any()]
    looks = styles(list(dict.fromkeys(found["arm"])))
    with house_style():
        figure = new_figure(8, 3.6)
        widths = [1.0 if what == "fill" else 1.6 for what in kinds]
        panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True, width_ratios=widths))
        for axes, what in zip(panels, kinds, strict=True):
            for arm, rows in found[found["what"] == what].groupby("arm", sort=False):
                mean = rows.groupby("level")["sr"].mean()
                color, dash = looks[str(arm)]
                level = mean.index.to_numpy(dtype=float) * (1 if what == "fill" else 100)
                axes.plot(level, mean.to_numpy(), color=color, ls=dash, marker="o", ms=4, label=plain(str(arm)))
            _condition_axis(axes, what)
        panels[0].set_ylabel("Sharpe ratio")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=6)
        return svg(figure)


def _condition_axis(axes: Axes, what: str) -> None:
    axes.axhline(0, color="#999999", lw=0.8)
    axes.set_xlabel(SENSITIVITIES[what])
    if what == "fill":
        axes.set_xticks([0, 1], [text.replace("at the ", "") for text in _FILLS])
        axes.set_xlim(-0.3, 1.3)
