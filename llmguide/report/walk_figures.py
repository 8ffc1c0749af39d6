"""Drawings of a walk forward."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.report import figures

__all__ = ["window_sharpes"]


def window_sharpes(windows: pd.DataFrame) -> str:
    """The Sharpe ratio of each arm in each window: mean over seeds, and a line from the lowest to the highest.

    `windows` has columns window, arm, seed and sr; a window without a Sharpe ratio has no mark.
    """
    names = list(dict.fromkeys(windows["window"]))
    arms = list(dict.fromkeys(windows["arm"]))
    looks = figures.styles(arms)
    with figures.house_style():
        canvas = figures.new_figure(8, 3.6)
        axes = canvas.subplots()
        for place, arm in enumerate(arms):
            own = windows[windows["arm"] == arm].groupby("window")["sr"]
            x = np.arange(len(names)) + (place + 1) / (len(arms) + 1) - 0.5
            color = looks[arm][0]
            axes.vlines(x, own.min().reindex(names), own.max().reindex(names), color=color, lw=1.6)
            filled = color if looks[arm][1] == "-" else "white"
            axes.plot(x, own.mean().reindex(names), marker="o", ms=5.5, ls="", color=color, mfc=filled, label=arm)
        for edge in np.arange(1, len(names)) - 0.5:
            axes.axvline(edge, color="#999999", lw=0.8, ls=":")
        axes.axhline(0, color="#999999", lw=0.8)
        axes.set_xlim(-0.5, len(names) - 0.5)
        shown = range(0, len(names), max(1, -(-len(names) // 8)))
        axes.set_xticks(list(shown), [names[at] for at in shown])
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("Sharpe ratio")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(arms), 6), borderaxespad=0.2)
        return figures.svg(canvas)
