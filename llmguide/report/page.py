"""The report of a comparison: one HTML file that says who won, by how much, and whether that means anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from llmguide._version import __version__
from llmguide.files import write_text
from llmguide.report import figures, interactive
from llmguide.report.arm_tables import (
    arms_section,
    runs_section,
    sensitivity_section,
    significance_section,
    usage_section,
)
from llmguide.report.arm_tiles import draw_tiles
from llmguide.report.html import document, figure, fold, items, paragraph, section, table
from llmguide.report.months import months_section
from llmguide.report.placebo import placebo_section, placebo_sentence
from llmguide.report.report_data import QCurves, ReportData
from llmguide.report.thinning import POINTS
from llmguide.report.verdict import doubts, summary

__all__ = ["QCurves", "ReportData", "render_report", "summary", "write_report"]

_BAND = "Line: mean over seeds; band: lowest to highest seed."
_SCOPE = "These results are for one instrument in one period; they say nothing about others."


def write_report(data: ReportData, path: Path | str) -> Path:
    """Write the report of `data` to `path` as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_report(data))


def render_report(data: ReportData) -> str:
    """The report as HTML; the same data give the same text."""
    sections = [*_sections(data)]
    links = " ".join(f'<a href="#s{at}">{escape(title)}</a>' for at, (title, _) in enumerate(sections))
    body = [*_head(data), f'<nav aria-label="Sections">{links}</nav>']
    for at, (title, parts) in enumerate(sections):
        body += [section(title, f"s{at}"), *parts]
    body.append(f"<footer>llmguide {__version__}</footer>")
    style = "".join(
        files("llmguide.report").joinpath(f"{name}.css").read_text("utf-8") for name in ("report", "viewer")
    )
    return document(data.title, "\n".join(body), style=style, script=interactive.embed(_plots(data)))


def _head(data: ReportData) -> Iterator[str]:
    """The answer: a sentence, the arms side by side, their curves, and what speaks against it."""
    if data.about:
        yield paragraph(data.about, "under")
    if data.uses_future:
        yield paragraph(
            "The guidance was made with knowledge of later bars. Nothing on this page could have been "
            "achieved at the time: it shows what an agent makes of guidance of known quality.",
            "warning",
        )
    yield paragraph(summary(data), "lead")
    if data.placebo is not None and len(data.placebo):
        yield paragraph(placebo_sentence(data.placebo))
    yield draw_tiles(data)
    caption = f"Portfolio value on the test bars. {_band(data)}{_thinned(data)}".strip()
    yield figure(figures.equity(data.values), "Portfolio value of each arm on the test bars", caption, "equity")
    yield section("Before you trust it")
    yield items(text.replace(" %", "\u00a0%") for text in (*doubts(data), _SCOPE))


def _sections(data: ReportData) -> Iterator[tuple[str, list[str]]]:
    """Title and parts of every section that there is something to show in."""
    parts = {
        "Arms": arms_section(data),
        "Are the differences significant?": significance_section(data),
        "Is the guidance worth more than its shuffled self?": placebo_section(data),
        "Drawdown": _drawdown(data),
        "Price, guidance and positions": _market(data),
        "Guidance by month": months_section(data),
        "How the arms use the guidance": usage_section(data),
        "Expert weights of the mixture": _weights(data),
        "Training": _training(data),
        "Q-values": _q_values(data),
        "Every run": runs_section(data),
        "Other costs, slippage and fills": sensitivity_section(data),
        "Settings": _measured(data),
        "Reproduce this run": _reproduce(data),
    }
    for title, texts in parts.items():
        found = list(texts)
        if found:
            yield title, found


def _plots(data: ReportData) -> dict[str, interactive.Plot]:
    """The interactive form of each figure, by the name that the figure bears."""
    plots = {
        "equity": interactive.equity(data.values),
        "drawdown": interactive.drawdown(data.values),
        "market": interactive.market(data.price, data.guidance, data.decisions, trades_of=_trader(data)),
    }
    if data.curves is not None and len(data.curves):
        plots["training"] = interactive.training(data.curves)
    if data.weights:
        plots["weights"] = interactive.weights(data.weights)
    if data.q_values:
        plots["q-gap"] = interactive.q_gap(data.q_values)
    return plots


def _drawdown(data: ReportData) -> Iterator[str]:
    yield figure(figures.drawdown(data.values), "Drawdown of each arm on the test bars", _band(data), "drawdown")


def _market(data: ReportData) -> Iterator[str]:
    shown, said = [], []
    if data.guidance is not None:
        shown += ["the guidance", "its tau"]
        said.append("The background shows the guidance, darker for greater strength; tau is what agents observe.")
    if data.decisions:
        shown.append("the positions of each arm")
        said.append("The strips show what each arm held (its first seed if there are several).")
    label = f"Close with {', '.join(shown)}" if shown else "Close"
    drawing = figures.guidance(data.price, data.guidance, data.decisions)
    yield figure(drawing, label, " ".join(said) or "Close of each test bar.", "market")


def _training(data: ReportData) -> Iterator[str]:
    if data.curves is not None and len(data.curves):
        yield figure(
            figures.training(data.curves),
            "Sharpe ratio per training episode",
            f"{_band(data)} The test curve is for information only; nothing is selected on it.".strip(),
            "training",
        )
    if data.rollouts is not None and len(data.rollouts):
        yield figure(
            figures.learning(data.rollouts),
            "How the arm flag learned",
            f"The arm flag on the training bars, running means over ten rollouts. {_band(data)} Nothing is "
            "selected on them.",
        )


def _weights(data: ReportData) -> Iterator[str]:
    if data.weights:
        yield figure(
            figures.weights(data.weights),
            "Weight of each expert of the mixture",
            "An expert's weight is its share of the mixture's position. It depends on what the expert earned "
            f"up to the previous bar, after cost, on bars that it was not trained on. {_band(data)}".strip(),
            "weights",
        )


def _q_values(data: ReportData) -> Iterator[str]:
    if data.q_values:
        yield figure(
            figures.q_gap(data.q_values),
            "Difference between the agents' Q-values for long and short",
            "The agents' Q-value for long minus that for short, 21-bar mean: above zero they favour long, "
            f"below zero short. {_band(data)}".strip(),
            "q-gap",
        )


def _measured(data: ReportData) -> Iterator[str]:
    if data.notes:
        yield items(data.notes)
    if data.settings:
        rows = list(_flat(data.settings))
        yield fold(f"Show all {len(rows)} settings", table(["Setting", "Value"], rows, text=True), "more")


def _reproduce(data: ReportData) -> Iterator[str]:
    if data.reproduce:
        yield f"<pre>{escape(data.reproduce)}</pre>"


def _band(data: ReportData) -> str:
    """How to read lines and bands; nothing where there is one seed of everything."""
    return _BAND if any(frame.shape[1] > 1 for frame in data.values.values()) else ""


def _thinned(data: ReportData) -> str:
    bars = len(data.price)
    if bars <= POINTS:
        return ""
    return f" Lines of {bars:,} bars are drawn with {POINTS:,} points, which preserve every high and low."


def _trader(data: ReportData) -> str | None:
    """The arm whose trades are drawn."""
    return "hybrid" if "hybrid" in data.decisions else next(iter(data.decisions), None)


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
