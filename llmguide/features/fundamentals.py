"""What a company's filings say, as changes: a model may remember whose figures the levels are."""

from __future__ import annotations

import pandas as pd

from llmguide.features.fact import Fact, Meaning, as_percent, as_points
from llmguide.features.vintages import last_figures
from llmguide.sources.kinds import FUNDAMENTALS, MARGINS

__all__ = ["fundamental_facts", "fundamental_meanings"]

AGE = 400  # days since the period ended: an annual report is the last one until the next

_MONTHS = {"qoq": 3, "yoy": 12}


def fundamental_facts(fundamentals: pd.DataFrame | None, moment: pd.Timestamp) -> list[Fact]:
    """Return the changes of the last period filed, against the quarter and against the year before.

    Relative for ratios and amounts; for margins the difference, a fraction (0.01 is a percentage point). The table is
    cut at `moment`.
    """
    facts: list[Fact] = []
    for column in FUNDAMENTALS:
        if fundamentals is None or column not in fundamentals:
            continue
        figures = last_figures(fundamentals, column, per="period_end")
        if not figures.is_fresh(moment, days=AGE):
            continue
        for suffix, months in _MONTHS.items():
            change = figures.change(months=months, relative=column not in MARGINS)
            if change is not None:
                text = as_points(100 * change) if column in MARGINS else as_percent(change)
                facts.append(Fact(f"fundamentals.{column}_{suffix}", change, text))
    return facts


def fundamental_meanings() -> list[Meaning]:
    """Return what the names of these facts mean."""
    spans = {
        "qoq": "change from the quarter before (pe: price to earnings; eps: earnings per share)",
        "yoy": "change from the same quarter a year before",
    }
    return [
        Meaning(f"fundamentals.*_{suffix}", text, tuple(f"fundamentals.{column}_{suffix}" for column in FUNDAMENTALS))
        for suffix, text in spans.items()
    ]
