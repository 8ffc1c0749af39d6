"""The report of a comparison: one HTML file that says who won, by how much, and whether that means anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.files import write_text
from llmguide.report import figures, interactive, run_figures
from llmguide.report.html import document, figure, fold, items, number, paragraph, percent, section, table
from llmguide.report.placebo import placebo_section, placebo_sentence
from llmguide.report.report_data import QCurves, ReportData
from llmguide.report.verdict import doubts, p_text, summary, tiles

__all__ = ["QCurves", "ReportData", "render_report", "summary", "write_report"]

_MEASURES = {"sr": "Sharpe ratio", "mdd": "maximum drawdown"}
_USAGE = {
    "agreement_train": "Agrees with the guidance, train bars",
    "agreement_test": "Agrees with the guidance, test bars",
    "changed_inverted": "Decisions that change when it is inverted",
    "changed_permuted": "Decisions that change when its months are permuted",
}
_TEXTS = (("sr", number), ("mdd", percent))
_MONTH = ("Issued", "Direction", "Confidence", "Entropy", "Strength", "Price until the next", "Right")
_BAND = "Line: mean over seeds; band: lowest to highest seed."
_STYLE = """
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(13rem, 100%), 1fr)); gap: .8rem;
  margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .88rem; }
.months thead th { min-width: 0; padding: .4rem .6rem; } .months tbody th, .months td { padding: .4rem .6rem;
  vertical-align: top; }
.months th:last-child, .months td:last-child { white-space: normal; min-width: 16rem; text-align: left; }
.months summary { cursor: pointer; }
@media print {
  .months th:last-child, .months td:last-child { min-width: 0; } .tiles { display: flex; }
  .tile { flex: 1; } .tile b { font-size: 1.1rem; }
}
@media screen and (max-width: 40rem) {
  .months thead { display: none; } .months, .months tbody, .months tr, .months th { display: block; }
  .months tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .months tbody th, .months td { padding: 0; border: 0; }
  .months td { display: inline-block; margin-right: .8rem; }
  .months td::before { content: attr(data-name) " "; color: var(--soft); font-size: .85rem; }
  .months tr > td:last-child { display: block; min-width: 0; } .months td:last-child::before { content: none; }
}
.said { white-space: pre-line; max-width: 40rem; margin: .4rem 0; }
"""


def write_report(data: ReportData, path: Path | str) -> Path:
    """Write the report of `data` to `path` as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_report(data))


def render_report(data: ReportData) -> str:
    """The report as HTML; the same data give the same text."""
    body = [*_head(data)]
    sections = [*_sections(data)]
    links = " ".join(f'<a href="#s{at}">{escape(title)}</a>' for at, (title, _) in enumerate(sections))
    body.append(f'<nav aria-label="Sections">{links}</nav>')
    for at, (title, parts) in enumerate(sections):
        body += [section(title, f"s{at}"), *parts]
    body.append(f"<footer>llmguide {__version__}</footer>")
    return document(data.title, "\n".join(body), style=_STYLE, script=interactive.embed(_plots(data)))


def _head(data: ReportData) -> Iterator[str]:
    if data.uses_future:
        yield paragraph(
            "The guidance was made with knowledge of later bars. Nothing on this page is a result that could have been "
            "had at the time: it shows what an agent makes of guidance of known quality.",
            "warning",
        )
    yield paragraph(summary(data), "lead")
    if data.placebo is not None and len(data.placebo):
        yield paragraph(placebo_sentence(data.placebo), "lead")
    cells = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(more)}</span></div>'
        for name, value, more in tiles(data)
    )
    yield f'<div class="tiles">{cells}</div>' if cells else ""
    reasons = list(doubts(data))
    if reasons:
        yield paragraph("Before you believe it:")
        yield items(reasons)
    yield "".join(paragraph(note, "soft") for note in data.notes)


def _sections(data: ReportData) -> Iterator[tuple[str, list[str]]]:
    """Title and parts of every section that there is something to show in."""
    parts = {
        "Arms": _arms(data),
        "Are the differences more than luck?": _significance(data),
        "Is the guidance worth more than its shuffled self?": placebo_section(data),
        "Portfolio value": _equity(data),
        "Drawdown": _drawdown(data),
        "Price, guidance and positions": _market(data),
        "Guidance month by month": _months(data),
        "How the arms use the guidance": _usage(data),
        "Whom the mixture trusts": _weights(data),
        "Training": _training(data),
        "Q-values": _q_values(data),
        "Every run": _runs(data),
        "Other costs, slippage and fills": _sensitivity(data),
        "Settings": _settings(data),
        "Make it again": _reproduce(data),
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
        plots["q-values"] = interactive.q_values(data.q_values)
    if data.runs is not None and len(data.runs.dropna(subset=["sr", "mdd"])):
        plots["runs"] = interactive.scatter(data.runs)
    return plots


def _arms(data: ReportData) -> Iterator[str]:
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
    interval = [] if data.intervals is None else ["95 % interval"]
    yield table(["Arm", "Sharpe ratio", *interval, "Maximum drawdown", *interval, "Trades", "Exposure", "Seeds"], rows)
    text = (
        "Mean over seeds on the test bars, standard deviation over seeds in brackets. Trades are positions opened, "
        "exposure is the share of bars in the market."
    )
    if interval:
        text += (
            " The intervals are over bars: how far the same decisions would have come out otherwise on other stretches "
            "of the same market (stationary block bootstrap, percentiles)."
        )
    yield paragraph(text, "soft")


def _significance(data: ReportData) -> Iterator[str]:
    if data.tests.empty:
        return
    more = {name: head for name, head in (("p_wilcoxon", "p (Wilcoxon)"), ("p_holm", "p (Holm)")) if name in data.tests}
    rows = [
        [
            f"{row['arm_a']} − {row['arm_b']}",
            _MEASURES.get(row["measure"], str(row["measure"])),
            percent(row["mean_difference"]) if row["measure"] == "mdd" else number(row["mean_difference"]),
            number(row["t"]),
            p_text(float(row["p"])),
            *(p_text(float(row[name])) for name in more),
            number(row["n"], 0),
        ]
        for _, row in data.tests.iterrows()
    ]
    yield table(["Arms", "Measure", "Mean difference", "t", "p", *more.values(), "Pairs"], rows)
    corrected = "Holm's p corrects it for the number of arms" if "p_holm" in more else "not corrected for their number"
    yield paragraph(
        f"Two-sided paired t tests over seeds; {corrected}. They tell whether other seeds would show the same on these "
        "bars, and nothing about other instruments or years.",
        "soft",
    )
    between = None if data.intervals is None else data.intervals[data.intervals["minus"].notna()]
    if between is None or between.empty:
        return
    rows = [
        [
            f"{row['arm']} − {row['minus']}",
            *(cell for measure, text in _TEXTS for cell in (text(row[measure]), _range(row, measure))),
        ]
        for _, row in between.iterrows()
    ]
    yield table(["Arms", "Sharpe ratio", "95 % interval", "Maximum drawdown", "95 % interval"], rows)
    yield paragraph(
        "Intervals of the difference over bars, both arms on the same resampled bars. One that holds 0 says that "
        "another stretch of the same market could have turned the difference round.",
        "soft",
    )


def _equity(data: ReportData) -> Iterator[str]:
    yield figure(figures.equity(data.values), "Portfolio value of each arm on the test bars", _BAND, "equity")


def _drawdown(data: ReportData) -> Iterator[str]:
    yield figure(figures.drawdown(data.values), "Drawdown of each arm on the test bars", _BAND, "drawdown")


def _market(data: ReportData) -> Iterator[str]:
    yield figure(
        figures.guidance(data.price, data.guidance, data.decisions, trades_of=_trader(data)),
        "Close with the guidance, its tau, and the positions of each arm's first seed",
        "The background is shaded by the guidance, deeper for greater strength. Marks on the price are trades, the "
        "strips at the bottom show what each arm held; both of the first seed.",
        "market",
    )


def _months(data: ReportData) -> Iterator[str]:
    months = data.months
    if months is None or not len(months):
        return
    rows = []
    for _, row in months.iterrows():
        direction = "abstained" if pd.isna(row["direction"]) else "long" if row["direction"] == 1 else "short"
        cells = [
            direction,
            "–" if pd.isna(row["confidence"]) else f"{int(row['confidence'])} of 3",
            number(row["entropy"]),
            number(row["strength"]),
            percent(row["realised"]),
            _right(row),
        ]
        text = "".join(
            f'<td data-name="{name}">{escape(cell)}</td>' for name, cell in zip(_MONTH[1:], cells, strict=True)
        )
        issued, said = f"{row['issued_at']:%Y-%m-%d}", _said(row["explanation"])
        rows.append(f'<tr><th scope="row">{issued}</th>{text}<td>{said}</td></tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in (*_MONTH, "Explanation"))
    lines = "\n".join(rows)
    yield (
        f'<div class="scroll" tabindex="0"><table class="months">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )
    answers = [_right(row) for _, row in months.iterrows()]
    yield paragraph(
        f"{answers.count('yes')} of {len(answers) - answers.count('–')} directions were those of the price until the "
        "next guidance. Entropy is from 0 (certain) to 1, n/a where the guidance has none. What became of a month was "
        "not known when its guidance was issued.",
        "soft",
    )


def _right(row: pd.Series[Any]) -> str:
    if pd.isna(row["direction"]) or pd.isna(row["realised"]):
        return "–"
    return "yes" if (row["realised"] > 0 if row["direction"] == 1 else row["realised"] < 0) else "no"


def _said(explanation: Any) -> str:
    """An explanation, folded behind its beginning where it is long."""
    text = "" if pd.isna(explanation) else str(explanation).strip()
    if len(text) <= 90:
        return escape(text)
    return fold(f"{escape(text[:70].rsplit(' ', 1)[0])} …", f'<p class="said">{escape(text)}</p>')


def _usage(data: ReportData) -> Iterator[str]:
    if data.usage is None or data.usage.empty:
        return
    head = ["Arm", *(_USAGE.get(str(name), str(name)) for name in data.usage.columns)]
    yield table(head, [[str(arm), *(percent(x) for x in row)] for arm, row in data.usage.iterrows()])
    yield paragraph(
        "Agreement is the share of bars on which the side is the one that the guidance says. An arm that never sees "
        "the guidance shows how far one agrees with it without being told, since both read the same prices; an arm "
        "whose decisions do not change with the guidance ignores it.",
        "soft",
    )


def _training(data: ReportData) -> Iterator[str]:
    if data.curves is not None and len(data.curves):
        yield figure(
            figures.training(data.curves),
            "Sharpe ratio per training episode",
            f"{_BAND} The test curve is recorded to be looked at; nothing is selected by it.",
            "training",
        )
    if data.rollouts is not None and len(data.rollouts):
        yield figure(
            figures.learning(data.rollouts),
            "How the arm flag learned",
            f"The arm flag on the training bars, running means over ten rollouts. {_BAND} Nothing is selected by them.",
        )


def _weights(data: ReportData) -> Iterator[str]:
    if data.weights:
        yield figure(
            figures.weights(data.weights),
            "Weight of each expert of the mixture",
            "An expert's weight is its share in the mixture's position. It follows what the expert has earned up to "
            f"the bar before, after cost, on bars that it did not learn from. {_BAND}",
            "weights",
        )


def _q_values(data: ReportData) -> Iterator[str]:
    if data.q_values:
        yield figure(
            figures.q_values(data.q_values),
            "Estimated values of the actions",
            f"The agents' estimates for their actions on each test bar; each takes its highest one. {_BAND}",
            "q-values",
        )


def _runs(data: ReportData) -> Iterator[str]:
    drawing = "" if data.runs is None else run_figures.scatter(data.runs)
    if not drawing:
        return
    yield figure(
        drawing,
        "Sharpe ratio against maximum drawdown of every run",
        "One point per seed; an angular one is an arm in which nothing is random. How far the points of an arm lie "
        "apart is what the seed alone can do.",
        "runs",
    )


def _sensitivity(data: ReportData) -> Iterator[str]:
    found = data.sensitivity
    if found is None or found.empty:
        return
    runs = found[found["seed"] >= 0].groupby("arm")["seed"].nunique()
    text = "Each point is run again in Backtrader, one condition changed at a time; no agent is trained again."
    if not runs.empty:
        text += f" Trained arms: mean of the first {int(runs.max())} seeds."
    drawing = run_figures.sensitivity(found)
    if drawing:
        yield figure(drawing, "Sharpe ratio of each arm under other costs, slippages and fills", text)
    arms = list(dict.fromkeys(found["arm"]))
    mean = found.groupby(["what", "level", "arm"], sort=False)[["sr", "mdd"]].mean()
    rows = [
        [
            _condition(what, level),
            *(
                f"{number(mean.loc[(what, level, arm), 'sr'])} · {percent(mean.loc[(what, level, arm), 'mdd'])}"
                for arm in arms
            ),
        ]
        for what, level in dict.fromkeys((what, level) for what, level, _ in mean.index)
    ]
    yield table(["Condition", *arms], rows)
    yield paragraph("Sharpe ratio · maximum drawdown.", "soft")


def _condition(what: str, level: float) -> str:
    if what == "fill":
        return "fill at the next open" if level else "fill at the close"
    return f"{what} {percent(level, 2)}"


def _settings(data: ReportData) -> Iterator[str]:
    if data.settings:
        yield table(["Setting", "Value"], _flat(data.settings), text=True)


def _reproduce(data: ReportData) -> Iterator[str]:
    if data.reproduce:
        yield f"<pre>{escape(data.reproduce)}</pre>"


def _trader(data: ReportData) -> str | None:
    """The arm whose trades are drawn."""
    return "hybrid" if "hybrid" in data.decisions else next(iter(data.decisions), None)


def _interval(data: ReportData, measure: str, arm: str) -> list[str]:
    """The cell with an arm's own interval; none where there are no intervals at all."""
    if data.intervals is None:
        return []
    own = data.intervals[(data.intervals["arm"] == arm) & data.intervals["minus"].isna()]
    return [_range(own.iloc[0], measure) if len(own) else "n/a"]


def _range(row: Any, measure: str) -> str:
    text = dict(_TEXTS)[measure]
    low, high = float(row[f"{measure}_low"]), float(row[f"{measure}_high"])
    return "n/a" if math.isnan(low) or math.isnan(high) else f"{text(low)} to {text(high)}"


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
