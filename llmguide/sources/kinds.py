"""The kinds of external tables: their columns, and what may stand in them. See `llmguide.sources.tables`."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pandas as pd

__all__ = ["CLOSE", "FUNDAMENTALS", "INDICES", "LAYOUTS", "MARGINS", "OPTIONS", "SERIES", "Kind", "Layout"]

Kind = Literal["market", "macro", "fundamentals", "options", "news"]

INDICES = ("SPX", "NDX", "VIX")
SERIES = ("GDP", "PMI", "PPI", "CCI", "M2", "DGS10", "T10Y2Y")
MARGINS = ("gross_margin", "operating_margin", "net_margin")
FUNDAMENTALS = (
    *("current_ratio", "quick_ratio", "debt_to_equity", "pe"),
    *MARGINS,
    *("eps", "revenue", "net_income", "free_cash_flow"),
)
OPTIONS = ("otm_skew", "atm_skew", "itm_skew", "implied_volatility")

CLOSE = pd.Timedelta(hours=16)
"""Time of day at which daily bars, and daily rows of market and options, are complete."""


class Layout(NamedTuple):
    """The columns of a kind: those that every row needs, and what each holds; all others are stamps."""

    required: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()  # together with published_at

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, in the order in which a table has them."""
        rest = (*self.required, *self.numbers, *self.texts)
        return tuple(dict.fromkeys(("published_at", *rest)))


LAYOUTS: dict[Kind, Layout] = {
    "market": Layout(("date",), INDICES, unique=("date",)),
    "macro": Layout(
        ("published_at", "series", "period_end", "value"), ("value",), ("series",), ("series", "period_end")
    ),
    "fundamentals": Layout(("published_at", "period_end"), FUNDAMENTALS, unique=("period_end",)),
    "options": Layout(("date",), OPTIONS, unique=("date",)),
    "news": Layout(("published_at", "headline"), texts=("headline", "summary", "source")),
}
