"""What a comparison says in words: who won, by how much, how sure that is, and what speaks against it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from llmguide.counting import counted
from llmguide.report.html import number, percent
from llmguide.report.report_data import ReportData

__all__ = ["doubts", "few", "idle_runs", "p_text", "summary", "tiles"]

_LEVEL = 0.05
_FEW_SEEDS = 10
_PASSIVE = {"hold", "sell"}


def summary(data: ReportData) -> str:
    """Who has the highest mean Sharpe ratio, by how much, and what the paired test of hybrid and rl says of it."""
    ranked = _ranked(data)
    if ranked.empty:
        return "No arm has a Sharpe ratio: none of them traded."
    text = f"Highest mean Sharpe ratio on the test bars: {ranked.index[0]} with {number(ranked.iloc[0])}"
    if len(ranked) > 1:
        text += f", then {ranked.index[1]} with {number(ranked.iloc[1])}"
    return f"{text}. {_verdict(data)}".strip()


def tiles(data: ReportData) -> Iterator[tuple[str, str, str]]:
    """Name, figure and a word on it: the winner, what guidance adds to the agent, and how sure that is."""
    ranked = _ranked(data)
    if ranked.empty:
        return
    winner = str(ranked.index[0])
    depth = percent(data.table.loc[winner, "mdd_mean"])
    yield "Highest Sharpe ratio", number(ranked.iloc[0]), f"{winner}, maximum drawdown {depth}"
    pair = _pair(data)
    if pair is None:
        return
    gain, row = pair
    own = data.table["mdd_mean"]
    deeper = float(own["hybrid"] - own["rl"]) if {"hybrid", "rl"} <= set(own.index) else math.nan
    yield "Guidance adds (hybrid − rl)", _signed(gain), f"Sharpe ratio; drawdown {_signed_percent(deeper)}"
    p = float(row["p"])
    yield "p, paired over seeds", p_text(p), f"{counted(int(row['n']), 'seed')}; below 0.05 is significant"
    over_bars = _difference(data)
    if over_bars is not None:
        low, high = over_bars
        word = "holds 0" if low <= 0 <= high else "leaves out 0"
        yield "95 % interval over bars", f"{number(low)} to {number(high)}", f"of hybrid − rl; {word}"


def doubts(data: ReportData) -> Iterator[str]:
    """What speaks against taking the first sentence for more than it is."""
    pair = _pair(data)
    over_bars = _difference(data)
    if over_bars is not None and over_bars[0] <= 0 <= over_bars[1]:
        yield (
            f"Over bars, the 95 % interval of hybrid − rl is {number(over_bars[0])} to {number(over_bars[1])}: another "
            "stretch of the same market could have turned the difference round."
        )
    if pair is not None and float(pair[1]["p"]) < _LEVEL and float(pair[1].get("p_holm", 0.0)) >= _LEVEL:
        yield f"Corrected for the number of arms (Holm), p is {p_text(float(pair[1]['p_holm']))}: not significant."
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
                f"{idle} of {len(ratios)} runs of {arm} never traded and {'has' if idle == 1 else 'have'} no Sharpe "
                "ratio: the mean is that of the others, and no test of it is possible."
            )


def few(significant: bool) -> str:
    """What follows from few pairs, after a colon."""
    if significant:
        return "the test takes their differences for normal, which so few cannot show"
    return "only a large difference could show"


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
        yield f"Over the first {counted(seeds, 'seed')} alone the order of hybrid and rl is another."
        return
    names = []
    for what, level in dict.fromkeys(zip(found["what"], found["level"], strict=True)):
        if gains[what, level] * headline < 0:
            names.append("fills at the next open" if what == "fill" else f"a {what} of {percent(level, 2)}")
    if names:
        part = "" if seeds >= int(row["n"]) else f", over the first {counted(seeds, 'seed')}"
        yield f"The order of hybrid and rl is another at {', '.join(names)}{part}."


def _verdict(data: ReportData) -> str:
    """One sentence on hybrid against rl, or nothing where the two were not compared."""
    pair = _pair(data)
    if pair is None:
        return ""
    gain, row = pair
    if math.isnan(gain):
        return "Hybrid and rl cannot be compared: a run of one of them has no Sharpe ratio."
    n, p = int(row["n"]), float(row["p"])
    text = f"Against rl, hybrid {'gains' if gain >= 0 else 'loses'} {number(abs(gain))}"
    if math.isnan(p):
        return f"{text}; with {counted(n, 'seed')} no test is possible."
    verdict = "significant" if p < _LEVEL else "not significant"
    shown = p_text(p) if p < 0.001 else f"= {p_text(p)}"
    text += f" (two-sided paired t test over {counted(n, 'seed')}, p {shown}): {verdict} at the 5 % level."
    if n < _FEW_SEEDS:
        text += f" {n} seeds are few: {few(p < _LEVEL)}."
    return text


def _signed(x: float) -> str:
    text = number(x)
    return f"+{text}" if x > 0 else text


def _signed_percent(x: float) -> str:
    text = percent(x)
    return f"+{text}" if x > 0 else text
