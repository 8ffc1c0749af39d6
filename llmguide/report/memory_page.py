"""The page of a study of memory: each measure against chance, and every month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.counting import counted
from llmguide.files import write_text
from llmguide.report.figures import house_style, new_figure, svg
from llmguide.report.html import document, figure, fold, items, number, paragraph, percent, section, table
from llmguide.report.intervals import Line, between, draw_lines, widest

__all__ = ["render_memory_page", "summary", "write_memory_page"]

_TITLE = "What the model remembers"
_STYLE = """
body { max-width: 78rem; } figure { max-width: 60rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
summary { cursor: pointer; padding: .3rem 0; }
"""
_MEANT = {
    "recall, named": "the direction for a name and a date, without any data",
    "recall, anonymous": "the same without name and date: the share of a constant answer",
    "instrument": "the instrument that an anonymous prompt describes, from a list",
    "month, exact": "the month of an anonymous prompt",
    "month, within 3": "the same, at most three months off",
    "follows flipped returns": "with name and date, the direction changes when the returns' signs are flipped",
    "follows swapped months": "with name and date, the direction follows the bars shown, not the date given",
}


def write_memory_page(
    months: pd.DataFrame, nulls: pd.DataFrame, measures: pd.DataFrame, settings: Mapping[str, Any], path: Path | str
) -> Path:
    """Write the page as one self-contained HTML file, atomically; return the path. The frames are `MemoryResult`'s."""
    return write_text(path, render_memory_page(months, nulls, measures, settings))


def render_memory_page(
    months: pd.DataFrame, nulls: pd.DataFrame, measures: pd.DataFrame, settings: Mapping[str, Any]
) -> str:
    """The page as HTML."""
    return document(_TITLE, "\n".join(_parts(months, nulls, measures, settings)), style=_STYLE)


def summary(measures: pd.DataFrame) -> str:
    """One sentence on recall, and one on changed facts where they were asked about."""
    pooled = measures[(measures["symbol"] == "all") & (measures["period"] != "after")].set_index("measure")
    texts = []
    if "recall, named" in pooled.index and pooled.loc["recall, named", "n"]:
        row: Any = pooled.loc["recall, named"]
        low, high = widest(_line(row, "recall, named"))
        base = float(row["base_rate"])
        verdict = (
            "more than chance and the base rate explain"
            if low > max(0.5, base)
            else "not more than chance or the base rate explain"
        )
        texts.append(
            "Given only a name and a date, the model states the realised direction in "
            f"{percent(row['share'], 0)} of {row['n']} months (95 % interval {percent(low, 0)} to "
            f"{percent(high, 0)}): {verdict}."
        )
    if "follows flipped returns" in pooled.index and pooled.loc["follows flipped returns", "n"]:
        row = pooled.loc["follows flipped returns"]
        texts.append(f"When the returns are flipped, its direction follows in {percent(row['share'], 0)} of months.")
    return " ".join(texts) or "No month has an answer that can be judged."


def _parts(
    months: pd.DataFrame, nulls: pd.DataFrame, measures: pd.DataFrame, settings: Mapping[str, Any]
) -> Iterator[str]:
    yield paragraph(summary(measures), "lead")
    yield items(_remarks(months, settings))
    pooled = measures[measures["symbol"] == "all"]
    yield section("All instruments")
    yield _table(pooled, "period")
    yield figure(_drawing(pooled), "Share of each measure with its interval", _CAPTION)
    yield section("Definitions")
    yield items(f"{name}: {_MEANT[name]}." for name in dict.fromkeys(measures["measure"]) if name in _MEANT)
    yield paragraph(
        "Chance: a half for directions, one over the number listed for instruments; for months, the share of "
        "hits if the same answers were assigned to the months at random. The base rate is the share of months "
        "with the more frequent direction. Wilson's interval treats months as independent; those of several "
        "instruments in one calendar month are not, so the second interval resamples whole calendar months. "
        "All of it is measured with realised returns: none of it may guide an agent.",
        "soft",
    )
    if len(nulls):
        yield section("Without name and date")
        rows = [
            [str(row.order), "n/a" if pd.isna(row.direction) else _direction(row.direction), number(row.p_long, 3)]
            for row in _rows(nulls)
        ]
        yield table(["Order of the directions", "Answer", "p(LONG)"], rows)
    yield section("By instrument")
    for name, rows_of in measures[measures["symbol"] != "all"].groupby("measure", sort=False):
        yield f"<h3>{name}</h3>"
        yield _table(rows_of, "symbol")
    yield section("Month by month")
    for symbol, rows_of in months.groupby("symbol", sort=False):
        yield fold(escape(str(symbol)), _month_table(rows_of))
    yield f"<footer>llmguide {__version__}</footer>"


_CAPTION = (
    "Share of months, with the 95 % interval by Wilson (thick) and over calendar months (thin); the vertical marks are "
    "chance."
)


def _remarks(months: pd.DataFrame, settings: Mapping[str, Any]) -> Iterator[str]:
    first, last = months["issued_at"].min(), months["issued_at"].max()
    yield (
        f"{counted(len(months), 'month')} of {counted(months['symbol'].nunique(), 'instrument')}, {first:%Y-%m-%d} to "
        f"{last:%Y-%m-%d}, put to {settings['model'] or 'an unnamed model'} with prompt {settings['prompt']}, "
        f"seed {settings['seed']}."
    )
    if settings["cutoff"] is None:
        yield "No knowledge cut-off was given: every month counts as before it, or unknown."
    else:
        yield f"The model's knowledge ends on {settings['cutoff']}, as stated; later decisions are shown separately."
    if settings["failures"]:
        yield f"{settings['failures']} of {settings['questions']} questions have no usable answer and are left out."
    if settings["without_logprobs"]:
        yield (
            f"{settings['without_logprobs']} answers came without log-probabilities: their recall score is 0 or 1 by "
            "the direction said."
        )


def _table(rows: pd.DataFrame, second: str) -> str:
    lines = []
    for row in _rows(rows):
        label = row.measure if second == "period" else row.symbol
        lines.append(
            [
                f"{label}",
                f"{row.period}",
                f"{row.hits} of {row.n}",
                percent(row.share),
                percent(row.chance),
                percent(row.base_rate),
                between(row.low, row.high),
                between(row.cluster_low, row.cluster_high),
                f"{row.left_out}",
            ]
        )
    head = ["Measure" if second == "period" else "Instrument", "Cut-off", "Months", "Share", "Chance", "Base rate"]
    return table([*head, "95 % (Wilson)", "95 % (calendar months)", "Left out"], lines)


def _month_table(rows: pd.DataFrame) -> str:
    lines = [
        [
            f"{row.issued_at:%Y-%m-%d}",
            row.period,
            percent(row.realised),
            _direction(row.named),
            number(row.p_named, 3),
            number(row.recall, 3),
            "n/a" if pd.isna(row.said_instrument) else str(row.said_instrument),
            "n/a" if pd.isna(row.said_month) else str(row.said_month),
            _direction(row.base),
            _direction(row.mirrored),
            _direction(row.swapped),
        ]
        for row in _rows(rows)
    ]
    head = ["Issued", "Cut-off", "Price", "Recalled", "p(LONG)", "Recall", "Instrument said", "Month said"]
    return table([*head, "Named, with data", "Returns flipped", "Months swapped"], lines)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)


def _direction(value: Any) -> str:
    return "n/a" if pd.isna(value) else "long" if value else "short"


def _drawing(pooled: pd.DataFrame) -> str:
    """One line per measure and period: share, both intervals, chance."""
    several = pooled["period"].nunique() > 1
    with house_style():
        canvas = new_figure(8, 1.0 + 0.42 * len(pooled))
        axes = canvas.subplots()
        draw_lines(axes, [_line(row, f"{row.measure} ({row.period})" if several else "") for row in _rows(pooled)])
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("share of months")
        return svg(canvas)


def _line(row: Any, name: str = "") -> Line:
    intervals = (row.low, row.high, row.cluster_low, row.cluster_high)
    return Line(name or str(row.measure), row.share, *intervals, row.chance)
