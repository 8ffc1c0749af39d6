"""Which of a filing's figures is the statement's: totals, not parts, of the period that the filing reports.

Companies differ in their tags, the taxonomy changed (revenue in 2018), and a filing may use one tag for a line of its
statement and another for a part of it in a note. Where the tags of an item disagree about a span, the statement's logic
decides: revenue less cost is gross profit, a total is not smaller than its parts, net income is earnings per share
times shares. What it cannot decide is absent: a quarter without revenue misleads less than one with a tenth of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["QUARTER", "TAGS", "YEAR", "Figures", "Line", "Span", "agree", "choose_lines", "follows", "period_of"]

# In order of preference where they agree.
TAGS = {
    "revenue": (
        "Revenues",
        "RevenueFromContractWithCustomerExcludingAssessedTax",
        "RevenueFromContractWithCustomerIncludingAssessedTax",
        "SalesRevenueNet",
    ),
    "cost": ("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold"),
    "gross_profit": ("GrossProfit",),
    "operating_income": ("OperatingIncomeLoss",),
    "net_income": ("NetIncomeLoss", "ProfitLoss"),
    "eps": ("EarningsPerShareDiluted", "EarningsPerShareBasicAndDiluted", "EarningsPerShareBasic"),
    "shares": (
        "WeightedAverageNumberOfDilutedSharesOutstanding",
        "WeightedAverageNumberOfShareOutstandingBasicAndDiluted",
        "WeightedAverageNumberOfSharesOutstandingBasic",
    ),
    "operating_cash": (
        "NetCashProvidedByUsedInOperatingActivities",
        "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations",
    ),
    "capital_spending": ("PaymentsToAcquirePropertyPlantAndEquipment", "PaymentsToAcquireProductiveAssets"),
    "current_assets": ("AssetsCurrent",),
    "current_liabilities": ("LiabilitiesCurrent",),
    "inventory": ("InventoryNet",),
    "assets": ("Assets",),
    "liabilities": ("Liabilities",),
    "equity": ("StockholdersEquity", "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest"),
    "all_equity": ("StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest", "StockholdersEquity"),
}

# Lengths in days: quarters of 12 to 17 weeks, years of 52 or 53.
QUARTER = (75, 125)
YEAR = (340, 380)

_TOTALS = ("revenue", "cost", "capital_spending")  # sums, of which another tag can be a part
_WITH_TAX = "RevenueFromContractWithCustomerIncludingAssessedTax"
_WITHOUT_TAX = "RevenueFromContractWithCustomerExcludingAssessedTax"
_SAME = 0.01  # relative: rounding, and what reclassifications move
_NEAR = 0.35  # relative, of what is the same but for minorities, dilution or discontinued operations
_PERIOD_ITEMS = ("revenue", "cost", "operating_income", "net_income", "eps", "operating_cash", "capital_spending")


class Span(NamedTuple):
    """The time that a figure is about; `start` is None for a balance."""

    start: pd.Timestamp | None
    end: pd.Timestamp

    def lasts(self, days: tuple[int, int]) -> bool:
        return self.start is not None and days[0] <= (self.end - self.start).days <= days[1]


Figures = Mapping[str, Mapping[str, Mapping[Span, float]]]
"""What a filing says: by item, by tag, by span."""


class Line(NamedTuple):
    """One item of a filing's statements: the tag that it has there, and its figures."""

    tag: str
    values: Mapping[Span, float]


def period_of(figures: Figures) -> pd.Timestamp | None:
    """Return the end of the period that a filing reports; None where it says nothing.

    It is the end on which most items of the income and cash flow statements agree, the latest of equally many: a later
    date that only one of them has is of a note, of an event after the period, or a mistake. Balances count where there
    are no such items.
    """
    ends = Counter(
        end
        for item in _PERIOD_ITEMS
        for end in {span.end for values in figures.get(item, {}).values() for span in values if span.start is not None}
    )
    if not ends:
        ends = Counter(
            end for by_tag in figures.values() for end in {span.end for values in by_tag.values() for span in values}
        )
    return max(ends, key=lambda end: (ends[end], end)) if ends else None


def choose_lines(figures: Figures, end: pd.Timestamp) -> dict[str, Line]:
    """Return each item's line of the statements of the period that ends on `end`.

    One tag is chosen for an item by its figures of that period, and all of the item's figures are of that tag: those of
    earlier periods are the line's own comparatives. An item whose tags disagree beyond what the logic decides is
    absent.
    """
    lines: dict[str, Line] = {}
    for item in TAGS:
        by_tag = figures.get(item, {})
        tag = _tag(item, by_tag, end, figures)
        if tag is not None:
            lines[item] = Line(tag, by_tag[tag])
    return lines


def follows(line: Line, known: Mapping[Span, tuple[float, str]]) -> bool:
    """Whether a line can be the one that earlier filings had under another tag: its comparatives say about the same.

    `known` are value and tag by span. A line without comparatives, or under the same tag, is taken as it is.
    """
    return all(
        agree((value, known[span][0]), _NEAR)
        for span, value in line.values.items()
        if span in known and known[span][1] != line.tag
    )


def _tag(item: str, by_tag: Mapping[str, Mapping[Span, float]], end: pd.Timestamp, figures: Figures) -> str | None:
    """Return the tag of an item's line, None where it has none or where that cannot be told."""
    own = {
        tag: {span: value for span, value in values.items() if span.end == end}
        for tag in TAGS[item]
        if (values := by_tag.get(tag))
    }
    present = [tag for tag in own if own[tag]] or list(own)
    if len(present) < 2:
        return present[0] if present else None
    spans = set.intersection(*(set(own[tag]) for tag in present))
    if not spans:  # each is about other spans: the one with most of them is the statement's
        return max(present, key=lambda tag: len(own[tag]))
    span = min(spans, key=lambda each: (not each.lasts(QUARTER), each))
    told = {tag: own[tag][span] for tag in present}
    if agree(told.values(), _SAME):
        return present[0]
    return _decided(item, told, span, figures)


def _decided(item: str, values: dict[str, float], span: Span, figures: Figures) -> str | None:
    """Return the tag whose value fits the rest of the statement, None where nothing decides."""
    if (expected := _expected(item, span, figures)) is not None:
        fitting = [tag for tag, value in values.items() if agree((value, expected), _SAME)]
        if fitting:
            return fitting[0]
    if item in _TOTALS:
        if _WITH_TAX in values and _WITHOUT_TAX in values and len(values) == 2:
            return _WITHOUT_TAX if values[_WITHOUT_TAX] > values[_WITH_TAX] * (1 - _NEAR) else _WITH_TAX
        return max(values, key=lambda tag: values[tag])
    if item in ("equity", "all_equity", "operating_cash"):  # with and without minorities, discontinued operations
        first, second = list(values)[:2]
        return first if agree((values[first], values[second]), _NEAR) else None
    return next(iter(values)) if agree(values.values(), _NEAR) else None


def _expected(item: str, span: Span, figures: Figures) -> float | None:
    """Return what the rest of the statement says an item must be, None where it does not say."""

    def only(name: str) -> float | None:
        found = [values[span] for values in figures.get(name, {}).values() if span in values]
        return found[0] if found and agree(found, _SAME) else None

    match item:
        case "revenue":
            gross, cost = only("gross_profit"), only("cost")
            return None if gross is None or cost is None else gross + cost
        case "cost":
            gross, revenue = only("gross_profit"), only("revenue")
            return None if gross is None or revenue is None else revenue - gross
        case "net_income":
            eps, shares = only("eps"), only("shares")
            return None if eps is None or shares is None else eps * shares
        case "eps":
            income, shares = only("net_income"), only("shares")
            return None if income is None or not shares else income / shares
        case "all_equity":
            assets, liabilities = only("assets"), only("liabilities")
            return None if assets is None or liabilities is None else assets - liabilities
    return None


def agree(values: Iterable[float], within: float) -> bool:
    """Whether all values are of one sign and lie within a share of the largest of them."""
    numbers = np.asarray(list(values), dtype=np.float64)
    largest = float(np.abs(numbers).max())
    return bool(float(np.ptp(numbers)) <= within * largest)
