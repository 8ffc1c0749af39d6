"""What a comparison says in words: who won, by how much, how sure that is, and what speaks against it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from llmguide.counting import counted
from llmguide.report.html import number, percent
from llmguide.report.report_data import ReportData

__all__ = ["LEVEL", "doubts", "few", "idle_runs", "p_text", "summary"]

LEVEL = 0.05
"""A p below it is called significant."""

_FEW_SEEDS = 10
_PASSIVE = {"hold", "sell"}
_PAIR = {"hybrid", "rl"}


def summary(data: ReportData) -> str:
    """One sentence: what guidance does to the agent's Sharpe ratio and whether that is significant, and who is best."""
    ranked = _ranked(data)
    if ranked.empty:
        return "No arm has a Sharpe ratio: none of them traded."
    best, value = str(ranked.index[0]), number(ranked.iloc[0])
    pair = _pair(data)
    if pair is not None:
        only = set(ranked.index) <= _PAIR
        return f"{_effect(data, *pair)}{'' if only else f'; the best arm is {best} with {value}'}."
    if len(ranked) == 1:
        others = "" if len(data.table) == 1 else "; no other arm has one"
        return f"{best} has a Sharpe ratio of {value} on the test bars{others}."
    return (
        f"{best} has the highest Sharpe ratio on the test bars, {value}, ahead of {ranked.index[1]} with "
        f"{number(ranked.iloc[1])}."
    )


def _effect(data: ReportData, gain: float, row: pd.Series[Any]) -> str:
    """What guidance does to the agent, and what the paired test over seeds says of it."""
    if math.isnan(gain):
        return (
            "Whether guidance helps the agent cannot be assessed, since at least one run of hybrid or rl never traded"
        )
    means = data.table["sr_mean"]
    n, p = int(row["n"]), float(row["p"])
    hybrid, rl = number(means["hybrid"]), number(means["rl"])
    if math.isnan(p):
        return (
            f"The agent's Sharpe ratio is {hybrid} with guidance, {rl} without; {counted(n, 'seed')} cannot "
            "test the difference"
        )
    over = f"p {'' if p < 0.001 else '= '}{p_text(p)} over {counted(n, 'seed')}"
    if p < LEVEL:
        does = "raises" if gain >= 0 else "lowers"
        return f"Guidance significantly {does} the agent's Sharpe ratio, from {rl} to {hybrid} ({over})"
    return (
        f"Guidance makes no significant difference to the agent's Sharpe ratio: {hybrid} with it, {rl} without ({over})"
    )


def doubts(data: ReportData) -> Iterator[str]:
    """What speaks against taking the first sentence for more than it is."""
    pair = _pair(data)
    over_bars = _difference(data)
    if over_bars is not None and over_bars[0] <= 0 <= over_bars[1]:
        yield (
            f"The 95 % interval of hybrid − rl over bars, {number(over_bars[0])} to {number(over_bars[1])}, "
            "includes zero: another period of the same market could have reversed the difference."
        )
    if pair is not None:
        n, p = int(pair[1]["n"]), float(pair[1]["p"])
        if not math.isnan(p) and n < _FEW_SEEDS:
            yield f"{n} seeds are few: {few(p < LEVEL)}."
        if p < LEVEL and float(pair[1].get("p_holm", 0.0)) >= LEVEL:
            yield f"Corrected for the number of arms (Holm), p is {p_text(float(pair[1]['p_holm']))}: not significant."
    trained = None if data.runs is None else data.runs[data.runs["seed"] >= 0]
    if trained is not None and len(trained) and trained["seed"].nunique() == 1:
        yield "Agents were trained with a single seed: how much of their result is chance is unknown."
    ranked = _ranked(data)
    if len(ranked) and str(ranked.index[0]) in _PASSIVE and not set(data.table.index) <= _PASSIVE:
        yield f"No other arm beats {ranked.index[0]}, which needs no agent and no guidance."
    if data.runs is not None:
        yield from idle_runs(data.runs)
    yield from _turned(data)


def idle_runs(runs: pd.DataFrame) -> Iterator[str]:
    """What it means that runs of an arm never traded; `runs` has columns arm and sr, a row for each run."""
    for arm, ratios in runs.groupby("arm", sort=False)["sr"]:
        idle = int(ratios.isna().sum())
        if idle == len(ratios):
            yield f"{arm} never traded, so it has no Sharpe ratio."
        elif idle:
            yield (
                f"{idle} of {len(ratios)} runs of {arm} never traded and {'has' if idle == 1 else 'have'} no "
                "Sharpe ratio: the mean is over the others, and cannot be tested."
            )


def few(significant: bool) -> str:
    """What follows from few pairs, after a colon."""
    if significant:
        return "the test assumes normally distributed differences, which so few cannot confirm"
    return "only a large difference would be significant"


def p_text(p: float) -> str:
    """A p to three digits; n/a where no test was possible."""
    return "n/a" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _ranked(data: ReportData) -> pd.Series[Any]:
    return data.table["sr_mean"].dropna().sort_values(ascending=False, kind="stable")


def _pair(data: ReportData) -> tuple[float, pd.Series[Any]] | None:
    """What hybrid gains on rl in Sharpe ratio, and the row of that test; None where they were not compared."""
    tests = data.tests
    both = tests["arm_a"].isin(["hybrid", "rl"]) & tests["arm_b"].isin(["hybrid", "rl"])
    rows = tests[(tests["measure"] == "sr") & both]
    if rows.empty:
        return None
    row = rows.iloc[0]
    return float(row["mean_difference"]) * (1 if row["arm_a"] == "hybrid" else -1), row


def _difference(data: ReportData) -> tuple[float, float] | None:
    """Bounds of the interval over bars of hybrid's Sharpe ratio less rl's."""
    if data.intervals is None:
        return None
    for _, row in data.intervals.iterrows():
        low, high = float(row["sr_low"]), float(row["sr_high"])
        if {row["arm"], row["minus"]} == {"hybrid", "rl"} and not math.isnan(low + high):
            return (low, high) if row["arm"] == "hybrid" else (-high, -low)
    return None


def _turned(data: ReportData) -> Iterator[str]:
    """The conditions under which hybrid and rl change places; those are tried with the first seeds alone."""
    found, pair = data.sensitivity, _pair(data)
    if found is None or pair is None or not {"hybrid", "rl"} <= set(found["arm"]):
        return
    both = found[found["arm"].isin(["hybrid", "rl"])].set_index(["what", "level", "seed", "arm"])["sr"].unstack("arm")
    seeds = both.index.unique("seed").size
    gains = (both["hybrid"] - both["rl"]).groupby(["what", "level"]).mean()
    headline, row = pair
    if gains.get(("fill", 0.0), math.nan) * headline < 0:
        yield f"Over the first {counted(seeds, 'seed')} alone, the order of hybrid and rl is reversed."
        return
    turned: dict[str, list[str]] = {}
    for what, level in dict.fromkeys(zip(found["what"], found["level"], strict=True)):
        if gains[what, level] * headline < 0:
            turned.setdefault(what, []).append(percent(level, 2))
    if turned:
        part = "" if seeds >= int(row["n"]) else f", over the first {counted(seeds, 'seed')}"
        names = [_conditions(what, levels) for what, levels in turned.items()]
        yield f"The order of hybrid and rl is reversed at {', '.join(names)}{part}."


def _conditions(what: str, levels: list[str]) -> str:
    """Return such as "a cost of 0.20 %", "costs of 0.20 % and 0.50 %", "fills at the next open"."""
    if what == "fill":
        return "fills at the next open"
    if len(levels) == 1:
        return f"a {what} of {levels[0]}"
    return f"{what}s of {', '.join(levels[:-1])} and {levels[-1]}"
