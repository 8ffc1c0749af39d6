"""A quarter's columns of `fundamentals` from what a company's filings have said so far: amounts, margins, ratios."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from llmguide.sources.edgar_statement import QUARTER, SAME, YEAR, Known, Span, agree
from llmguide.sources.kinds import FUNDAMENTALS

__all__ = ["quarter"]

# A quarter taken out of two sums, of at most this share of each quarter known, comes of sums on different bases.
TINY = 0.1
RECENT = pd.Timedelta(days=400)
NEAR = 0.35  # liabilities beside assets less equity, which may leave out minorities


def quarter(known: Mapping[str, Mapping[Span, Known]], end: pd.Timestamp) -> dict[str, float]:
    """Return the columns of the quarter that ends on `end`, NaN where they are not known."""
    flow = {item: _amount(known[item], end) for item in ("revenue", "cost")}
    flow |= {item: _flow(known[item], end) for item in ("gross_profit", "operating_income", "net_income")}
    flow |= {item: _flow(known[item], end) for item in ("operating_cash", "capital_spending")}
    nothing = Known(np.nan, frozenset())
    stock = {item: figures.get(Span(None, end), nothing).value for item, figures in known.items()}
    gross = flow["gross_profit"] if not np.isnan(flow["gross_profit"]) else flow["revenue"] - flow["cost"]
    inventory = 0.0 if np.isnan(stock["inventory"]) else stock["inventory"]
    implied = stock["assets"] - stock["all_equity"]
    liabilities = stock["liabilities"]
    between = 0.0 if np.isnan(stock["mezzanine"]) else stock["mezzanine"]
    if np.isnan(liabilities):
        liabilities = implied - between
    elif not np.isnan(implied) and not agree((liabilities, implied - between), NEAR):
        liabilities = np.nan
    # A part that exceeds its total is of something else.
    if stock["current_assets"] > (1 + SAME) * stock["assets"]:
        stock["current_assets"] = np.nan
    if stock["current_liabilities"] > (1 + SAME) * stock["liabilities"]:
        stock["current_liabilities"] = np.nan
    if inventory > (1 + SAME) * stock["current_assets"]:
        inventory = np.nan
    gross_margin = _ratio(gross, flow["revenue"])
    row = {
        "current_ratio": _ratio(stock["current_assets"], stock["current_liabilities"]),
        "quick_ratio": _ratio(stock["current_assets"] - inventory, stock["current_liabilities"]),
        "debt_to_equity": _ratio(liabilities, stock["equity"]),
        "gross_margin": gross_margin if gross_margin <= 1 else np.nan,
        "operating_margin": _ratio(flow["operating_income"], flow["revenue"]),
        "net_margin": _ratio(flow["net_income"], flow["revenue"]),
        "eps": _earnings_per_share(known, end, flow["net_income"]),
        "revenue": flow["revenue"],
        "net_income": flow["net_income"],
        "free_cash_flow": flow["operating_cash"] - flow["capital_spending"],
    }
    return {name: row[name] for name in FUNDAMENTALS if name in row}


def _direct(figures: Mapping[Span, Known], end: pd.Timestamp, days: tuple[int, int]) -> float:
    found = [figure.value for span, figure in figures.items() if span.end == end and span.lasts(days)]
    return found[0] if found and agree(found, SAME) else np.nan


def _flow(figures: Mapping[Span, Known], end: pd.Timestamp) -> float:
    """An amount of the quarter that ends on `end`: as reported, or the difference of two years to date of one tag."""
    if any(span.end == end and span.lasts(QUARTER) for span in figures):
        return _direct(figures, end, QUARTER)
    found = [
        total.value - part.value
        for long, total in figures.items()
        if long.end == end and long.start is not None
        for short, part in figures.items()
        if short.start == long.start and Span(short.end, end).lasts(QUARTER) and part.tags & total.tags
    ]
    return found[0] if found and agree(found, SAME) else np.nan


def _amount(figures: Mapping[Span, Known], end: pd.Timestamp) -> float:
    """As `_flow`, of what is not negative: NaN where a difference of sums on different bases shows."""
    value = _flow(figures, end)
    if any(span.end == end and span.lasts(QUARTER) for span in figures):
        return value
    others = [figure.value for span, figure in figures.items() if span.lasts(QUARTER) and end - RECENT < span.end < end]
    return value if value >= 0 and not (others and value <= TINY * min(others)) else np.nan


def _earnings_per_share(known: Mapping[str, Mapping[Span, Known]], end: pd.Timestamp, net_income: float) -> float:
    value = _direct(known["eps"], end, QUARTER)
    return value if not np.isnan(value) else _ratio(net_income, _direct(known["shares"], end, YEAR))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else np.nan
