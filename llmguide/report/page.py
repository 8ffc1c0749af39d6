"""The report of a comparison: one HTML file that says who won, by how much, and whether that means anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.errors import DataError, did_you_mean
from llmguide.files import write_text
from llmguide.report import figures
from llmguide.report.html import document, figure, items, number, paragraph, percent, section, table

__all__ = ["ReportData", "render_report", "summary", "write_report"]

_LEVEL = 0.05
_FEW_SEEDS = 10
_TABLE = ("sr_mean", "sr_std", "mdd_mean", "mdd_std", "trades_mean", "exposure_mean", "seeds")
_TESTS = ("measure", "arm_a", "arm_b", "mean_difference", "t", "p", "n")
_CURVES = ("arm", "seed", "episode", "train_sr", "test_sr")
_SIGNAL = ("direction", "strength", "tau", "issued_at")
_MEASURES = {"sr": "Sharpe ratio", "mdd": "maximum drawdown"}
_USAGE = {
    "agreement_train": "Agrees with the guidance, train bars",
    "agreement_test": "Agrees with the guidance, test bars",
    "changed_inverted": "Decisions that change when it is inverted",
    "changed_permuted": "Decisions that change when its months are permuted",
}


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that the report of one comparison shows, measured by the caller. Fractions, never percent; NaN is n/a.

    Attributes:
        title: plain text.
        table: one row per arm (the index), columns sr_mean, sr_std, mdd_mean, mdd_std, trades_mean (positions opened),
            exposure_mean (share of bars in the market) and seeds; the spread of an arm without seeds is NaN.
        tests: paired tests, columns measure ("sr" or "mdd"), arm_a, arm_b, mean_difference (a - b), t, p and n.
        values: arm -> portfolio value on each test bar, one column per seed.
        price: close of each test bar.
        guidance: what the test bars saw, as `Guidance.align` returns it (direction, strength, tau, issued_at).
        decisions: arm -> side held on each test bar (+1, 0, -1), one column per seed.
        curves: columns arm, seed, episode, train_sr, test_sr.
        q_values: arm -> the first seed's q_long and q_short on each test bar.
        usage: how arms use the guidance, one row per arm; the columns agreement_train, agreement_test, changed_inverted
            and changed_permuted are known, others are shown under their own name.
        settings: nested mapping, shown at the end.
        notes: remarks, shown at the top.
        uses_future: the guidance was made with knowledge of later bars, which the page then says above everything.

    Raises DataError for missing columns or arms.
    """

    title: str
    table: pd.DataFrame
    tests: pd.DataFrame
    values: Mapping[str, pd.DataFrame]
    price: pd.Series[Any]
    guidance: pd.DataFrame | None = None
    decisions: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    curves: pd.DataFrame | None = None
    q_values: Mapping[str, pd.DataFrame] | None = None
    usage: pd.DataFrame | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] | list[str] = ()
    uses_future: bool = False

    def __post_init__(self) -> None:
        _need_columns(self.table, _TABLE, "table")
        _need_columns(self.tests, _TESTS, "tests")
        if self.curves is not None:
            _need_columns(self.curves, _CURVES, "curves")
        if self.guidance is not None:
            _need_columns(self.guidance, _SIGNAL, "guidance")
        if not len(self.table):
            raise DataError("expected a table with at least one arm, got none")
        for arm in self.table.index:
            if arm not in self.values:
                raise DataError(f"expected values of every arm, got none for {arm!r}{did_you_mean(arm, self.values)}")


def write_report(data: ReportData, path: Path | str) -> Path:
    """Write the report of `data` to `path` as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_report(data))


def render_report(data: ReportData) -> str:
    """The report as HTML; the same data give the same text."""
    return document(data.title, "\n".join(_parts(data)))


def _parts(data: ReportData) -> Iterator[str]:
    if data.uses_future:
        yield paragraph(
            "The guidance was made with knowledge of later bars. Nothing on this page is a result that could have been "
            "had at the time: it shows what an agent makes of guidance of known quality.",
            "warning",
        )
    yield paragraph(summary(data), "lead")
    yield items(data.notes)
    yield section("Arms")
    yield _arms(data.table)
    yield paragraph(
        "Mean over seeds on the test bars, standard deviation over seeds in brackets. Trades are positions opened, "
        "exposure is the share of bars in the market.",
        "soft",
    )
    yield from _significance(data)
    yield from _usage(data)
    yield from _curves(data)
    if data.settings:
        yield section("Settings")
        yield table(["Setting", "Value"], _flat(data.settings), text=True)
    yield f"<footer>llmguide {__version__}</footer>"


def summary(data: ReportData) -> str:
    """Who has the highest mean Sharpe ratio, by how much, and what the paired test of hybrid and rl says of it."""
    ranked = data.table["sr_mean"].dropna().sort_values(ascending=False, kind="stable")
    if ranked.empty:
        return "No arm has a Sharpe ratio: none of them traded."
    text = f"Highest mean Sharpe ratio on the test bars: {ranked.index[0]} with {number(ranked.iloc[0])}"
    if len(ranked) > 1:
        text += f", then {ranked.index[1]} with {number(ranked.iloc[1])}"
    return f"{text}. {_verdict(data)}".strip()


def _verdict(data: ReportData) -> str:
    """One sentence on hybrid against rl, or nothing where the two were not compared."""
    tests = data.tests
    pair = tests[
        (tests["measure"] == "sr") & tests["arm_a"].isin(["hybrid", "rl"]) & tests["arm_b"].isin(["hybrid", "rl"])
    ]
    if pair.empty:
        return ""
    row = pair.iloc[0]
    gain = float(row["mean_difference"]) * (1 if row["arm_a"] == "hybrid" else -1)
    n, p = int(row["n"]), float(row["p"])
    text = f"Against rl, hybrid {'gains' if gain >= 0 else 'loses'} {number(abs(gain))}"
    if math.isnan(p):
        return f"{text}; with {_seeds(n)} no test is possible."
    verdict = "significant" if p < _LEVEL else "not significant"
    text += f" (two-sided paired t test over {_seeds(n)}, p = {_p(p)}): {verdict} at the 5 % level."
    if n < _FEW_SEEDS:
        text += f" {n} seeds are few: only a large difference could show."
    return text


def _arms(arms: pd.DataFrame) -> str:
    rows = [
        [
            str(arm),
            _spread(row["sr_mean"], row["sr_std"], number),
            _spread(row["mdd_mean"], row["mdd_std"], percent),
            number(row["trades_mean"], 1),
            percent(row["exposure_mean"]),
            number(row["seeds"], 0) if row["seeds"] else "–",
        ]
        for arm, row in arms.iterrows()
    ]
    return table(["Arm", "Sharpe ratio", "Maximum drawdown", "Trades", "Exposure", "Seeds"], rows)


def _significance(data: ReportData) -> Iterator[str]:
    if data.tests.empty:
        return
    yield section("Are the differences more than luck?")
    rows = [
        [
            f"{row['arm_a']} − {row['arm_b']}",
            _MEASURES.get(row["measure"], str(row["measure"])),
            percent(row["mean_difference"]) if row["measure"] == "mdd" else number(row["mean_difference"]),
            number(row["t"]),
            _p(float(row["p"])),
            number(row["n"], 0),
        ]
        for _, row in data.tests.iterrows()
    ]
    yield table(["Arms", "Measure", "Mean difference", "t", "p", "Pairs"], rows)
    yield paragraph(
        "Two-sided paired t tests over seeds, not corrected for their number. They tell whether other seeds would show "
        "the same on these bars, and nothing about other instruments or years.",
        "soft",
    )


def _usage(data: ReportData) -> Iterator[str]:
    if data.usage is None or data.usage.empty:
        return
    yield section("How the arms use the guidance")
    head = ["Arm", *(_USAGE.get(str(name), str(name)) for name in data.usage.columns)]
    yield table(head, [[str(arm), *(percent(x) for x in row)] for arm, row in data.usage.iterrows()])
    yield paragraph(
        "Agreement is the share of bars on which the side is the one that the guidance says. An arm that never sees "
        "the guidance gives the agreement that comes by chance; an arm whose decisions do not change with the guidance "
        "ignores it.",
        "soft",
    )


def _curves(data: ReportData) -> Iterator[str]:
    band = "Line: mean over seeds; band: lowest to highest seed."
    yield section("Portfolio value")
    yield figure(figures.equity(data.values), "Portfolio value of each arm on the test bars", band)
    yield section("Drawdown")
    yield figure(figures.drawdown(data.values), "Drawdown of each arm on the test bars", band)
    yield section("Price, guidance and positions")
    trades_of = "hybrid" if "hybrid" in data.decisions else next(iter(data.decisions), None)
    yield figure(
        figures.guidance(data.price, data.guidance, data.decisions, trades_of=trades_of),
        "Close with the guidance, its tau, and the positions of each arm's first seed",
        "The background is shaded by the guidance, deeper for greater strength. Marks on the price are trades, the "
        "strips at the bottom show what each arm held; both of the first seed.",
    )
    if data.curves is not None and len(data.curves):
        yield section("Training")
        yield figure(
            figures.training(data.curves),
            "Sharpe ratio per training episode",
            f"{band} The test curve is recorded to be looked at; nothing is selected by it.",
        )
    if data.q_values:
        yield section("Q-values")
        yield figure(
            figures.q_values(data.q_values),
            "Estimated value of going long and of going short, first seed",
            "The first seed's estimate for both actions on each test bar; it takes the higher one.",
        )


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of a nested mapping as (dotted name, text)."""
    for key, value in settings.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(str(each) for each in value)
        else:
            yield name, str(value)


def _spread(mean: Any, std: Any, text: Any) -> str:
    """`1.70 (0.43)`, or the mean alone where there is no spread."""
    return str(text(mean)) if math.isnan(float(std)) else f"{text(mean)} ({text(std)})"


def _p(p: float) -> str:
    return "n/a" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _need_columns(frame: pd.DataFrame, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in frame.columns:
            near = did_you_mean(name, frame.columns)
            raise DataError(f"expected {what} with a column {name!r}, got {list(frame.columns)}{near}")
