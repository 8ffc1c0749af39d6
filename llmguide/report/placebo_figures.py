"""The figure of a comparison's controls, as in `llmguide.report.figures`: a frame in, the text of one `<svg>` out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from llmguide.report.figures import house_style, new_figure, plain, styles, svg

__all__ = ["placebo_figure"]


def placebo_figure(found: pd.DataFrame, arms: Sequence[str]) -> str:
    """Sharpe ratio of each arm with the guidance beside its shuffles, and with an oracle of each accuracy.

    `found` has columns arm, control, accuracy, draw and sr. Means over seeds, an account that never trades counted as
    0. An empty text is returned where no arm was shuffled.
    """
    from matplotlib.ticker import PercentFormatter

    own = found[found["arm"].isin(arms)].fillna({"sr": 0.0})
    shuffled = own[own["control"] == "shuffled"].groupby(["arm", "draw"])["sr"].mean()
    if shuffled.empty:
        return ""
    real = own[own["control"] == "guidance"].groupby("arm")["sr"].mean()
    oracle = own[own["control"] == "oracle"].groupby(["arm", "accuracy"])["sr"].mean()
    looks = styles(list(dict.fromkeys(found["arm"])))
    with house_style():
        drawn = new_figure(8, 3.6)
        left, right = drawn.subplots(1, 2, sharey=True, width_ratios=(1.0, 1.3))
        for place, arm in enumerate(arms):
            color, dash = looks[arm]
            ratios = shuffled[arm].to_numpy(dtype=float)
            aside = np.linspace(-0.22, 0.22, len(ratios))  # in the order of the draws, which is random
            left.scatter(place + aside, ratios, color=color, s=12, alpha=0.45, linewidths=0)
            left.scatter([place], [real[arm]], color=color, s=80, marker="D", edgecolors="white", zorder=3)
            if arm in oracle.index.get_level_values("arm"):
                curve = oracle[arm]
                levels = curve.index.to_numpy(dtype=float)
                right.plot(levels, curve.to_numpy(), color=color, ls=dash, marker="o", ms=4, label=plain(arm))
                right.axhline(float(real[arm]), color=color, ls="--", lw=1.0, alpha=0.8)
        left.set_xticks(range(len(arms)), [plain(arm) for arm in arms])
        left.set_xlim(-0.6, len(arms) - 0.4)
        left.set_ylabel("Sharpe ratio")
        left.set_xlabel("its months shuffled")
        right.set_xlabel("oracle: directions that are right")
        right.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        for axes in (left, right):
            axes.axhline(0, color="#999999", lw=0.8)
        drawn.legend(*right.get_legend_handles_labels(), loc="outside upper left", ncols=6)
        return svg(drawn)
