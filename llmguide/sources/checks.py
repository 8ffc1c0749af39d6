"""What the rows of an external table cannot say: a close below zero, percent for fractions, news from the future."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.errors import DataError, did_you_mean
from llmguide.sources.cells import refuse
from llmguide.sources.kinds import INDICES, LAYOUTS, MARGINS, SERIES, Kind

__all__ = ["check_rows"]

_NOON = pd.Timedelta(hours=12)
_SURVEYS = ("PMI", "CCI")
_DAILY = ("DGS10", "T10Y2Y")


def check_rows(where: str, kind: Kind, table: pd.DataFrame) -> None:
    """Raise DataError for what cannot be true, as far as the rows show it; `where` names the table."""
    if kind == "market":
        for name in INDICES:
            if name in table:
                refuse(where, table[name], table[name] <= 0, "a close above zero")
    elif kind == "macro":
        for row, series in enumerate(table["series"]):
            if series not in SERIES:
                raise DataError(
                    f"{where}, row {row + 1}: expected a series of {', '.join(SERIES)}, got {series!r}"
                    f"{did_you_mean(series, SERIES)}"
                )
        refuse(where, table["value"], table["value"].isna(), "a number", "leave the row out")
    elif kind == "fundamentals":
        _check_margins(where, table)
    elif kind == "options":
        if "implied_volatility" in table:
            volatility = table["implied_volatility"]
            refuse(where, volatility, (volatility <= 0) | (volatility > 5), "a fraction a year, 0.25 for 25 %")
    else:
        refuse(where, table["headline"], table["headline"] == "", "a headline", "leave the row out")
    _check_publication(where, kind, table)
    if unique := LAYOUTS[kind].unique:
        twice = table.duplicated(["published_at", *unique])
        if twice.any():
            raise DataError(
                f"{where}: row {int(twice.to_numpy().argmax()) + 1} has the same {', '.join(unique)} and "
                "published_at as one before it; keep one of them"
            )


def _check_margins(where: str, table: pd.DataFrame) -> None:
    """Refuse margins in percent.

    A quarter's margin may be beyond 1 or -1 in truth, that of most quarters only where revenue is next to nothing:
    which the columns revenue and net_income tell, and percent are a hundred times more than they do. Those two tell of
    a net margin below 1 as well.
    """
    fraction = "a fraction, 0.38 for 38 %"
    if "gross_margin" in table:
        refuse(where, table["gross_margin"], table["gross_margin"] > 1, fraction)
    worked = np.nan
    if {"revenue", "net_income"} <= set(table.columns):
        worked = (table["net_income"] / table["revenue"].where(table["revenue"] > 0)).abs().median()
    for name in MARGINS:
        middle = table[name].abs().median() if name in table else np.nan
        contradicted = name == "net_margin" and middle > 10 * worked > 0
        if contradicted or (middle > 1 and not middle <= 10 * worked):
            refuse(
                where,
                table[name],
                table[name].abs() >= min(middle, 1.0),
                fraction,
                "divide the column by 100, or leave it out; margins that are beyond 100 % in most quarters need the "
                "columns revenue and net_income beside them",
            )


def _check_publication(where: str, kind: Kind, table: pd.DataFrame) -> None:
    """Refuse what was published before it can have been known."""
    published = table["published_at"]
    if "date" in table:
        refuse(
            where,
            published,
            published < table["date"] + _NOON,
            "noon of the row's own date, or later",
            "give the close, 12:00 at least",
        )
    elif kind == "fundamentals":
        refuse(where, published, published.dt.normalize() <= table["period_end"], "a filing after its period's end")
    elif kind == "macro":
        ends = table["period_end"]
        daily, survey = table["series"].isin(_DAILY), table["series"].isin(_SURVEYS)
        months = ends.dt.to_period("M").dt.start_time
        refuse(where, published, daily & (published < ends + _NOON), "noon of its period_end, or later")
        refuse(where, published, survey & (published < months), "a release in the month of its period_end, or later")
        early = ~daily & ~survey & (published.dt.normalize() <= ends)
        refuse(where, published, early, "a release after its period_end")
