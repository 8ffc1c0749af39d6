"""The tables of a comparison's arms: what each came to, the tests of differences, other conditions, use of guidance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from llmguide.counting import counted
from llmguide.report import run_figures
from llmguide.report.html import figure, fold, number, paragraph, percent, points, table
from llmguide.report.report_data import ReportData
from llmguide.report.verdict import p_text

__all__ = [
    "arms_section",
    "runs_section",
    "sensitivity_section",
    "significance_section",
    "two_measures",
    "usage_section",
]

_MEASURES = {"sr": "Sharpe ratio", "mdd": "Maximum drawdown"}
_USAGE = {
    "agreement_train": "Agrees with the guidance, training bars",
    "agreement_test": "Agrees with the guidance, test bars",
    "changed_inverted": "Decisions that change when it is inverted",
    "changed_permuted": "Decisions that change when its months are permuted",
}


def arms_section(data: ReportData) -> Iterator[str]:
    """Yield every arm's means and intervals."""
    rows = [
        [
            str(arm),
            _spread(row["sr_mean"], row["sr_std"], number),
            *_interval(data, "sr", str(arm)),
            _spread(row["mdd_mean"], row["mdd_std"], percent),
            *_interval(data, "mdd", str(arm)),
            number(row["trades_mean"], 1),
            percent(row["exposure_mean"]),
            number(row["seeds"], 0) if row["seeds"] else "–",
        ]
        for arm, row in data.table.iterrows()
    ]
    measured = ["mean", *([] if data.intervals is None else ["95 % interval"])]
    size = len(measured)
    yield table(
        ["Arm", *measured, *measured, "Trades", "Exposure", "Seeds"],
        rows,
        groups=[("", 1), ("Sharpe ratio", size), ("Maximum drawdown", size), ("", 3)],
    )
    text = (
        "Mean over seeds on the test bars, with the standard deviation over seeds in brackets. Trades are "
        "positions opened; exposure is the share of bars with a position."
    )
    if data.intervals is not None:
        text += (
            " The intervals are over bars: how the same decisions could have turned out in other periods of "
            "the same market (stationary block bootstrap, percentiles)."
        )
    yield paragraph(text, "soft")


def significance_section(data: ReportData) -> Iterator[str]:
    """Yield the tests over seeds, and the intervals of the differences over bars."""
    if not data.tests.empty:
        yield from _tests(data.tests)
    between = None if data.intervals is None else data.intervals[data.intervals["minus"].notna()]
    if between is None or between.empty:
        return
    rows = [
        [
            f"{row['arm']} − {row['minus']}",
            number(row["sr"]),
            _range(row, "sr"),
            points(row["mdd"]),
            _range(row, "mdd", difference=True),
        ]
        for _, row in between.iterrows()
    ]
    yield table(
        ["Arms", "difference", "95 % interval", "difference", "95 % interval"],
        rows,
        groups=[("", 1), ("Sharpe ratio", 2), ("Maximum drawdown", 2)],
    )
    yield paragraph(
        "Intervals over bars, with both arms on the same resampled bars; drawdowns in percentage points (pp). "
        "If an interval includes zero, another period of the same market could have reversed the difference.",
        "soft",
    )


def _tests(tests: pd.DataFrame) -> Iterator[str]:
    more = {name: head for name, head in (("p_wilcoxon", "p (Wilcoxon)"), ("p_holm", "p (Holm)")) if name in tests}
    head = ["difference", "t", "p", *more.values()]
    measures = list(dict.fromkeys(tests["measure"]))
    counts = sorted(set(tests["n"].astype(int)))
    last = ["Pairs"] if len(counts) > 1 else []
    rows = []
    for (arm, other), pair in tests.groupby(["arm_a", "arm_b"], sort=False):
        cells = [f"{arm} − {other}"]
        for measure in measures:
            found = pair[pair["measure"] == measure]
            cells += _test(found.iloc[0], list(more)) if len(found) else [""] * len(head)
        rows.append([*cells, number(pair["n"].iloc[0], 0)] if last else cells)
    groups = [(_MEASURES.get(measure, str(measure)), len(head)) for measure in measures]
    yield table(["Arms", *head * len(measures), *last], rows, groups=[("", 1), *groups, *[("", 1)] * len(last)])
    corrected = "Holm's p corrects for the number of arms" if "p_holm" in more else "not corrected for their number"
    seeds = "seeds" if last else counted(counts[0], "seed")
    yield paragraph(
        f"Two-sided paired t tests over {seeds}; {corrected}. They show whether other seeds would give the same result "
        "on these bars, and nothing about other instruments or years.",
        "soft",
    )


def _test(row: pd.Series[Any], more: list[str]) -> list[str]:
    difference = points(row["mean_difference"]) if row["measure"] == "mdd" else number(row["mean_difference"])
    return [difference, number(row["t"]), *(p_text(float(row[name])) for name in ("p", *more))]


def usage_section(data: ReportData) -> Iterator[str]:
    """Yield how much the arms' decisions follow the guidance."""
    if data.usage is None or data.usage.empty:
        return
    head = ["Arm", *(_USAGE.get(str(name), str(name)) for name in data.usage.columns)]
    yield table(head, [[str(arm), *(percent(x) for x in row)] for arm, row in data.usage.iterrows()])
    yield paragraph(
        "Agreement is the share of bars on which an arm is on the side of the guidance. An arm that never "
        "sees the guidance gives the baseline agreement, since both read the same prices; an arm whose "
        "decisions do not change with the guidance ignores it.",
        "soft",
    )


def runs_section(data: ReportData) -> Iterator[str]:
    """Yield every run as a point, and as a row of a folded table."""
    drawing = "" if data.runs is None else run_figures.scatter(data.runs)
    if data.runs is None or not drawing:
        return
    yield figure(
        drawing,
        "Sharpe ratio against maximum drawdown of every run",
        "One point per seed; squares and diamonds are deterministic arms. The spread of an arm's points is "
        "due to the seed alone.",
    )
    rows = [
        [str(row["arm"]), str(int(row["seed"])) if row["seed"] >= 0 else "–", number(row["sr"]), percent(row["mdd"])]
        for _, row in data.runs.iterrows()
    ]
    yield fold(
        f"Show the {counted(len(rows), 'run')}", table(["Arm", "Seed", "Sharpe ratio", "Max drawdown"], rows), "more"
    )


def sensitivity_section(data: ReportData) -> Iterator[str]:
    """Yield the arms under other costs, slippages and fills."""
    found = data.sensitivity
    if found is None or found.empty:
        return
    runs = found[found["seed"] >= 0].groupby("arm")["seed"].nunique()
    text = "Each point is a new Backtrader run with one condition changed; no agent is retrained."
    if not runs.empty:
        text += f" Trained arms: mean of the first {counted(int(runs.max()), 'seed')}."
    drawing = run_figures.sensitivity(found)
    if drawing:
        yield figure(drawing, "Sharpe ratio of each arm under other costs, slippages and fills", text)
    mean: Any = found.groupby(["what", "level", "arm"], sort=False)[["sr", "mdd"]].mean()
    rows = {
        _condition(what, level): {str(arm): mean.loc[(what, level, arm)] for arm in dict.fromkeys(found["arm"])}
        for what, level in dict.fromkeys((what, level) for what, level, _ in mean.index)
    }
    yield two_measures("Condition", rows)


def two_measures(head: str, rows: dict[str, dict[str, Any]]) -> str:
    """A table with two columns for each arm, its Sharpe ratio and its maximum drawdown.

    `rows` are by their name, then by arm: something with "sr" and "mdd", or None for an empty cell.
    """
    arms = list(dict.fromkeys(arm for row in rows.values() for arm in row))
    lines = []
    for name, row in rows.items():
        found = [row.get(arm) for arm in arms]
        cells = [("", "") if each is None else (number(each["sr"]), percent(each["mdd"])) for each in found]
        lines.append([name, *(cell for pair in cells for cell in pair)])
    groups = [("", 1), *((arm, 2) for arm in arms)]
    return table([head, *("Sharpe", "drawdown") * len(arms)], lines, groups=groups)


def _condition(what: str, level: float) -> str:
    if what == "fill":
        return "fill at the next open" if level else "fill at the close"
    return f"{what} {percent(level, 2)}"


def _interval(data: ReportData, measure: str, arm: str) -> list[str]:
    """The cell with an arm's own interval; none where there are no intervals at all."""
    if data.intervals is None:
        return []
    own = data.intervals[(data.intervals["arm"] == arm) & data.intervals["minus"].isna()]
    return [_range(own.iloc[0], measure) if len(own) else "n/a"]


def _range(row: Any, measure: str, *, difference: bool = False) -> str:
    low, high = float(row[f"{measure}_low"]), float(row[f"{measure}_high"])
    if math.isnan(low) or math.isnan(high):
        return "n/a"
    text = number if measure == "sr" else points if difference else percent
    return f"{text(low)} to {text(high)}"


def _spread(mean: Any, std: Any, text: Any) -> str:
    """`1.70 (0.43)`, or the mean alone where there is no spread."""
    return str(text(mean)) if math.isnan(float(std)) else f"{text(mean)} ({text(std)})"
