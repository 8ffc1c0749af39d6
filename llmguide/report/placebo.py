"""Is the guidance worth more than its shuffled self? The sentence, and the section of a comparison's report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmguide.counting import counted
from llmguide.report.arm_tables import two_measures
from llmguide.report.html import figure, number, paragraph, percent, table
from llmguide.report.verdict import p_text

if TYPE_CHECKING:
    from llmguide.report.report_data import ReportData

__all__ = ["placebo_section", "placebo_sentence"]

_LEVEL = 0.05
_FIRST = ("llm", "hybrid", "mixture")  # the arm of the sentence: llm is the guidance and nothing else
_NAMES = {"guidance": "as given", "constant": "always long"}
_READING = {
    "llm": "llm follows the table directly.",
    "hybrid": (
        "hybrid is the agents trained once with the guidance and given the other table on the test bars only: "
        "it shows whether they use the guidance, not what training with the other table would have produced."
    ),
    "mixture": "mixture has the same agents, which never observe guidance; they are remixed with the other table.",
}


def placebo_sentence(placebo: pd.DataFrame) -> str:
    """Return whether the guidance is worth more than its shuffled self; `placebo` has a row for each arm, at least one.

    It speaks of the arm llm if there is one, else of hybrid or mixture.
    """
    row = min(
        (row for _, row in placebo.iterrows()), key=lambda row: _FIRST.index(row["arm"]) if row["arm"] in _FIRST else 9
    )
    if not row["changes"]:
        return (
            "Whether the guidance is worth more than its shuffled self cannot be tested: all its months have "
            "the same direction and strength, or there is only one, so shuffling changes nothing."
        )
    p = float(row["p"])
    verdict = "is worth more" if p <= _LEVEL else "is not shown to be worth more"
    return (
        f"The guidance {verdict} than its shuffled self: Sharpe ratio of {row['arm']} {number(row['sr'])} "
        f"against a mean of {number(row['shuffled_mean'])} over {int(row['shuffles'])} shuffles (one-sided "
        f"permutation p {'' if p < 0.001 else '= '}{p_text(p)})."
    )


def placebo_section(data: ReportData) -> Iterator[str]:
    """Yield the parts of the section; none where controls were not measured."""
    found, placebo = data.controls, data.placebo
    if found is None or placebo is None or placebo.empty:
        return
    yield paragraph(placebo_sentence(placebo))
    rows = [
        [
            str(row["arm"]),
            number(row["sr"]),
            number(row["shuffled_mean"]),
            f"{number(row['shuffled_low'])} to {number(row['shuffled_high'])}",
            p_text(float(row["p"])) if row["changes"] else "n/a",
        ]
        for _, row in placebo.iterrows()
    ]
    yield table(["Arm", "Sharpe ratio", "Shuffled, mean", "Shuffled, 5 to 95 %", "p"], rows)
    yield paragraph(
        f"p is the share of {int(placebo['shuffles'].iloc[0])} random orders of the guidance's months, the "
        "actual order included, whose Sharpe ratio is at least as high. The months of the test bars are "
        "permuted, direction and strength together, so that a shuffle is long as often as the guidance. "
        "Guidance that keeps a direction for long trades less than its shuffles, and pays less in costs.",
        "soft",
    )
    from llmguide.report.placebo_figures import placebo_figure

    drawing = placebo_figure(found, [str(arm) for arm in placebo["arm"]])
    if drawing:
        yield figure(
            drawing,
            "Sharpe ratio with the guidance, with its shuffles, and with an oracle of each accuracy",
            "Left: each point is a shuffle, the diamond is the guidance, means over seeds. Right: oracle "
            "guidance, which knows the future and is right with a known probability: a scale for the "
            "guidance, never a result. Dashed lines: the guidance.",
        )
    yield _all_controls(found)
    seeds = found.loc[found["seed"] >= 0, "seed"].nunique()
    over = f"{counted(seeds, 'seed')} and all draws" if seeds else "all draws"
    arms = [arm for arm in _READING if (placebo["arm"] == arm).any()]
    sentences = [
        f"Means over {over}. The oracle knows the future: a control, never a result. Nothing was retrained.",
        *(_READING[arm] for arm in arms),
        _without_guidance(found),
    ]
    yield paragraph(" ".join(sentences).strip(), "soft")


def _all_controls(found: pd.DataFrame) -> str:
    """Every control by arm: Sharpe ratio and maximum drawdown."""
    found = found[found["control"] != "none"]
    mean = found.groupby(["arm", "control", "accuracy"], sort=False, dropna=False)[["sr", "mdd"]].mean()
    rows: dict[str, dict[str, Any]] = {}
    for (arm, control, accuracy), row in _pairs(mean):
        right = "" if pd.isna(accuracy) else f", {percent(accuracy, 0)} right"
        rows.setdefault(f"{_NAMES.get(control, control)}{right}", {})[str(arm)] = row
    return two_measures("Guidance", rows)


def _without_guidance(found: pd.DataFrame) -> str:
    """What the arms earned that take no guidance, or none that could be exchanged; empty where there are none."""
    others = found[found["control"] == "none"].groupby("arm", sort=False)[["sr", "mdd"]].mean()
    told = "; ".join(f"{arm}, {_cell(row)}" for arm, row in others.iterrows())
    return f"Without other guidance: {told}." if told else ""


def _pairs(mean: pd.DataFrame) -> Iterator[tuple[Any, pd.Series[Any]]]:
    yield from mean.iterrows()


def _cell(row: pd.Series[Any]) -> str:
    return f"Sharpe ratio {number(row['sr'])}, drawdown {percent(row['mdd'])}"
