"""The economy, as changes; levels only of what is a difference or a balance already (10Y-2Y spread, PMI).

Relative levels round these two, to a tenth of a point and to a whole one: to the hundredth they belong to few days.

Each fact comes from the last period of which a figure is known, and from the latest figure of each period: a revision
counts from its own publication on.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import pandas as pd

from llmguide.features.fact import Fact, Meaning, as_percent, as_points
from llmguide.features.levels import Levels
from llmguide.features.vintages import DAILY_AGE, last_figures

__all__ = ["macro_facts", "macro_meanings"]


class _Line(NamedTuple):
    name: str
    series: str
    label: str
    as_: Literal["relative", "difference", "level"]
    months: int
    age: int  # days since the period, after which a figure counts as not known any more


_LINES = (
    _Line("gdp_qoq", "GDP", "gross domestic product, quarter on quarter", "relative", 3, 210),
    _Line("pmi", "PMI", "purchasing managers' index, above 50 is growth", "level", 0, 120),
    _Line("cci_qoq", "CCI", "consumer confidence, quarter on quarter", "relative", 3, 120),
    _Line("m2_qoq", "M2", "money supply M2, quarter on quarter", "relative", 3, 120),
    _Line("ppi_yoy", "PPI", "producer prices, year on year", "relative", 12, 120),
    _Line("dgs10_yoy", "DGS10", "10-year yield, year on year", "difference", 12, DAILY_AGE),
    _Line("t10y2y", "T10Y2Y", "10-year less 2-year yield", "level", 0, DAILY_AGE),
)


def macro_facts(macro: pd.DataFrame | None, moment: pd.Timestamp, levels: Levels = "relative") -> list[Fact]:
    """Return what the table, cut at `moment`, says; yields and their differences are in percentage points."""
    if macro is None:
        return []
    facts = []
    for line in _LINES:
        figures = last_figures(macro[macro["series"] == line.series], "value", per="period_end")
        if not figures.is_fresh(moment, days=line.age):
            continue
        if line.as_ == "level":
            value: float | None = figures.last
        else:
            value = figures.change(months=line.months, relative=line.as_ == "relative")
        if value is not None:
            facts.append(Fact(f"macro.{line.name}", value, _write(line, value, levels)))
    return facts


def macro_meanings(levels: Levels) -> list[Meaning]:
    """Return what the names of these facts mean."""
    rounded = ", rounded" if levels == "relative" else ""
    return [
        Meaning(name, f"{line.label}{rounded if line.as_ == 'level' else ''}", (name,))
        for line in _LINES
        for name in [f"macro.{line.name}"]
    ]


def _write(line: _Line, value: float, levels: Levels) -> str:
    if line.as_ == "relative":
        return as_percent(value)
    rounded = line.as_ == "level" and levels == "relative"
    if line.series == "PMI":
        return f"{value:.{0 if rounded else 1}f}"
    return as_points(value, decimals=1 if rounded else 2)
