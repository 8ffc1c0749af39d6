"""The figure of a study of the mixture: Sharpe ratio by the accuracy of the guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmguide.report.figures import house_style, new_figure, plain, styles, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LABELS", "draw_by_accuracy"]

LABELS = {"mixture": "mixture, sized", "mixture_all_in": "mixture, all in", "guidance": "guidance alone"}
"""What arms are called for readers, where that is not their name."""

_MARKS = {"agent": "v", "guidance": "^", "hold": "_", "mixture": "o", "mixture_all_in": "s"}
_WIDTH = 0.006  # of accuracy, by which intervals of different arms stand beside each other


def draw_by_accuracy(table: pd.DataFrame, aims: pd.DataFrame, group: str) -> str:
    """Draw the mean Sharpe ratio of each arm by accuracy, and what the mixtures gain on the best parent, as SVG.

    `table` and `aims` are frames of `llmguide.experiments.mixture.MixtureStudy`. Bars are 95 % intervals over
    instruments; on the right those of the paired difference, with a line at the tolerance.
    """
    known = table[(table["group"] == group) & table["guidance"].str.startswith("oracle ")]
    near = aims[(aims["group"] == group) & (aims["aim"] == "near the best parent") & aims["accuracy"].notna()]
    arms = list(dict.fromkeys(known["arm"]))
    looks = styles(arms)
    with house_style():
        figure = new_figure(8, 4.0)
        left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
        for at, arm in enumerate(arms):
            rows = known[known["arm"] == arm].sort_values("accuracy")
            shift = _WIDTH * (at - (len(arms) - 1) / 2)
            color, dash = looks[arm]
            _line(left, rows, ("sr", "sr_low", "sr_high"), shift, color=color, ls=dash, marker=_MARKS[arm],
                  label=plain(LABELS.get(arm, arm)), lw=2.2 if arm == "mixture" else 1.3)  # fmt: skip
        left.set_ylabel("mean Sharpe ratio on the test bars")
        for at, arm in enumerate(dict.fromkeys(near["arm"])):
            rows = near[near["arm"] == arm].sort_values("accuracy")
            color, dash = looks[str(arm)]
            _line(right, rows, ("value", "low", "high"), _WIDTH * (at - 0.5), color=color, ls=dash,
                  marker=_MARKS[str(arm)], lw=2.2 if arm == "mixture" else 1.3)  # fmt: skip
        right.axhline(0, color="#999999", lw=0.8)
        for bound in near["bound"].unique():
            right.axhline(bound, color="#999999", lw=1.0, ls=":")
        right.set_title("minus the best parent")
        for axes in (left, right):
            axes.set_xlabel("accuracy of the guidance")
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=len(arms))
        return svg(figure)


def _line(axes: Axes, rows: pd.DataFrame, columns: tuple[str, str, str], shift: float, **look: Any) -> None:
    value, low, high = (rows[name].to_numpy(dtype=np.float64) for name in columns)
    reach = np.nan_to_num(np.clip([value - low, high - value], 0.0, None))  # none where there is no interval
    look = {"ms": 5, "elinewidth": 0.9, **look}
    axes.errorbar(rows["accuracy"].to_numpy(dtype=np.float64) + shift, value, yerr=reach, **look)
