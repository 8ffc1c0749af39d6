"""The guidance of a comparison's test bars, issue by issue, with what the price did after it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import pandas as pd

from llmguide.counting import counted
from llmguide.report.html import fold, number, paragraph, percent
from llmguide.report.report_data import ReportData

__all__ = ["months_section"]

_COLUMNS = ("Issued", "Direction", "Confidence", "Entropy", "Strength", "Price change", "Right", "Explanation")
_SHOWN = 6


def months_section(data: ReportData) -> Iterator[str]:
    """Yield the parts of the section: how often it was right, the first issues, the others folded away."""
    months = data.months
    if months is None or not len(months):
        return
    answers = [_right(row) for _, row in months.iterrows()]
    known = len(answers) - answers.count("–")
    if known:
        was = "was" if known == 1 else "were"
        directions = counted(known, "direction")
        yield paragraph(f"{answers.count('yes')} of {directions} {was} right.", "score")
    rows = [_row(row, answer) for (_, row), answer in zip(months.iterrows(), answers, strict=True)]
    yield _table(rows[:_SHOWN])
    if rows[_SHOWN:]:
        yield fold(f"Show the other {len(rows) - _SHOWN}", _table(rows[_SHOWN:]), "more")
    yield paragraph(
        "Price change runs until the next guidance, and was unknown when the row was issued; a direction is "
        "right if the price then moved that way. Entropy runs from 0 (certain) to 1, and is n/a if the "
        "guidance has none.",
        "soft",
    )


def _table(rows: list[str]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    lines = "\n".join(rows)
    return f'<table class="months">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>'


def _row(row: pd.Series[Any], right: str) -> str:
    direction = "abstained" if pd.isna(row["direction"]) else "long" if row["direction"] == 1 else "short"
    cells = [
        direction,
        "–" if pd.isna(row["confidence"]) else f"{int(row['confidence'])} of 3",
        number(row["entropy"]),
        number(row["strength"]),
        percent(row["realised"]),
        right,
    ]
    text = "".join(
        f'<td data-name="{name}">{escape(cell)}</td>' for name, cell in zip(_COLUMNS[1:-1], cells, strict=True)
    )
    return f'<tr><th scope="row">{row["issued_at"]:%Y-%m-%d}</th>{text}<td>{_said(row["explanation"])}</td></tr>'


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
