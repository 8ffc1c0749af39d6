"""Which of a filing's figures is the statement's: totals, not parts, of the period that the filing reports.

Companies differ in their tags, the taxonomy changed (revenue in 2018), and a filing may use one tag for a line of its
statement and another for a part of it in a note. Where the tags of an item disagree about a span, the statement's logic
decides: revenue less cost is gross profit, and less all costs operating income; a total is not smaller than its parts;
net income is earnings per share times shares. A revenue below gross profit is none, even if it is the only one. What
cannot be decided is absent: a quarter without revenue misleads less than one with a tenth of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = [
    "QUARTER",
    "SAME",
    "TAGS",
    "YEAR",
    "Figures",
    "Known",
    "Line",
    "Span",
    "agree",
    "choose_lines",
    "follows",
    "period_of",
]

# In order of preference where they agree.
TAGS = {
    "revenue": (
        "Revenues",
        "RevenueFromContractWithCustomerExcludingAssessedTax",
        "RevenueFromContractWithCustomerIncludingAssessedTax",
        "SalesRevenueNet",
    ),
    "cost": ("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold"),
    "all_costs": ("CostsAndExpenses",),
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
    "mezzanine": (  # between liabilities and equity
        "TemporaryEquityCarryingAmountAttributableToParent",
        "RedeemableNoncontrollingInterestEquityCarryingAmount",
    ),
    "equity": ("StockholdersEquity", "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest"),
    "all_equity": ("StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest", "StockholdersEquity"),
}

# Lengths in days: quarters of 12 to 17 weeks, years of 52 or 53.
QUARTER = (75, 125)
YEAR = (340, 380)

_TOTALS = ("revenue", "cost", "capital_spending")  # sums, of which another tag can be a part
_WITH_TAX = "RevenueFromContractWithCustomerIncludingAssessedTax"
_WITHOUT_TAX = "RevenueFromContractWithCustomerExcludingAssessedTax"
SAME = 0.01  # relative: rounding, and what reclassifications move
_NEAR = 0.35  # relative, of what is the same but for minorities, dilution or discontinued operations
_SLACK = 0.1  # of revenue: operating income beside revenue less cost, as from a sale of property
_HALF = 0.5  # below it, and above its reciprocal, a new tag's quarter does not continue the old one's
_RECENT = pd.Timedelta(days=400)
_SCALES = (1e3, 1e6)  # thousands or millions, taken for units
_PERIOD_ITEMS = ("revenue", "cost", "operating_income", "net_income", "eps", "operating_cash", "capital_spending")


class Span(NamedTuple):
    """The time that a figure is about; `start` is None for a balance."""

    start: pd.Timestamp | None
    end: pd.Timestamp

    def lasts(self, days: tuple[int, int]) -> bool:
        return self.start is not None and days[0] <= (self.end - self.start).days <= days[1]


Figures = Mapping[str, Mapping[str, Mapping[Span, float]]]
"""What a filing says: by item, by tag, by span."""


class Known(NamedTuple):
    """A figure, and the tags under which it was told."""

    value: float
    tags: frozenset[str]


class Line(NamedTuple):
    """One item of a filing's statements: the tag that it has there, and its figures."""

    tag: str
    values: Mapping[Span, Known]


def period_of(figures: Figures, *, annual: bool = False) -> pd.Timestamp | None:
    """Return the end of the period that a filing reports; None where it says nothing.

    Durations of a quarter or more vote, those of a year where there are any and the filing is `annual`; balances of the
    same date vote with them, and alone where there is no duration. The period is the latest that at least half as many
    items have as the best attested: comparatives may have more items than an amendment's own period, but an event after
    it, a note or a mistake has few. Of two dates within a quarter the better attested counts, else the earlier one.
    """
    durations, balances = Counter[pd.Timestamp](), Counter[pd.Timestamp]()
    years = {end for item in _PERIOD_ITEMS for end in _ends(figures, item, YEAR)} if annual else set()
    for item in figures:
        if item in _PERIOD_ITEMS:
            durations.update(_ends(figures, item, YEAR if years else (QUARTER[0], 1_000_000)))
        balances.update({span.end for values in figures[item].values() for span in values if span.start is None})
    votes = {end: durations[end] + balances[end] for end in durations or balances}
    if not votes:
        return None
    attested = [end for end in votes if 2 * votes[end] >= max(votes.values())]
    latest = max(attested)
    close = [end for end in attested if (latest - end).days < QUARTER[0]]
    return min(close, key=lambda end: (-votes[end], end))


def choose_lines(figures: Figures, end: pd.Timestamp) -> dict[str, Line]:
    """Return each item's line of the statements of the period that ends on `end`.

    One tag is chosen for an item by its figures of that period, and all of the item's figures are of that tag: those of
    earlier periods are the line's own comparatives. Each figure names the other tags too that say the same. An item
    whose tags disagree beyond what the logic decides is absent.
    """
    lines: dict[str, Line] = {}
    for item in TAGS:
        by_tag = figures.get(item, {})
        tag = _tag(item, by_tag, end, figures)
        if tag is not None:
            told = {span: value for span, value in by_tag[tag].items() if span.end <= end and not np.isnan(value)}
            lines[item] = Line(
                tag, {span: Known(value, _saying(by_tag, span, value) | {tag}) for span, value in told.items()}
            )
    return lines


def follows(item: str, line: Line, known: Mapping[Span, Known], end: pd.Timestamp) -> bool:
    """Whether a line can be the one that earlier filings had under another tag: its comparatives say much the same.

    Counts of shares and earnings per share have to say the same: diluted and basic ones are near each other, and yet
    two things. Revenue or cost without comparatives must be of the size of the latest quarter known; what is over 400
    days old tells nothing. A line under the same tag is taken as it is.
    """
    within = SAME if item in ("shares", "eps") else _NEAR
    shared = [(value, known[span]) for span, value in line.values.items() if span in known]
    if shared:
        return all(agree((now.value, before.value), within) for now, before in shared if not now.tags & before.tags)
    quarter = next((figure for span, figure in line.values.items() if span.end == end and span.lasts(QUARTER)), None)
    recent = [span for span in known if span.lasts(QUARTER) and end - _RECENT < span.end < end]
    if item not in ("revenue", "cost") or quarter is None or not recent:
        return True
    before = known[max(recent, key=lambda span: span.end)]
    return bool(quarter.tags & before.tags) or agree((quarter.value, before.value), _HALF)


def _ends(figures: Figures, item: str, days: tuple[int, int]) -> set[pd.Timestamp]:
    return {span.end for values in figures.get(item, {}).values() for span in values if span.lasts(days)}


def _saying(by_tag: Mapping[str, Mapping[Span, float]], span: Span, value: float) -> frozenset[str]:
    """The tags under which a filing says the same of a span."""
    return frozenset(tag for tag, values in by_tag.items() if span in values and agree((values[span], value), SAME))


def _tag(item: str, by_tag: Mapping[str, Mapping[Span, float]], end: pd.Timestamp, figures: Figures) -> str | None:
    """Return the tag of an item's line, None where it has none or where that cannot be told.

    Every span of the period leaves the tags that can be the line's; it is the first that all of them leave. A quarter
    under one tag and the year to date under another, which nothing connects, leave none.
    """
    spans = {span for values in by_tag.values() for span in values if span.end == end}
    if not spans:
        return next((tag for tag in TAGS[item] if by_tag.get(tag)), None)
    left = frozenset(by_tag)
    for span in spans:
        left &= _left(
            item, {tag: by_tag[tag][span] for tag in TAGS[item] if span in by_tag.get(tag, {})}, span, figures
        )
    return next((tag for tag in TAGS[item] if tag in left), None)


def _left(item: str, told: dict[str, float], span: Span, figures: Figures) -> frozenset[str]:
    """Return the tags that can be the line's by their values of one span: one of them, and those that say the same."""
    possible = {tag: value for tag, value in told.items() if not _refuted(item, value, span, figures)}
    if not possible:
        return frozenset()
    if agree(possible.values(), SAME):
        return frozenset(possible)
    chosen = _decided(item, possible, span, figures)
    if chosen is None:
        return frozenset()
    return frozenset(tag for tag, value in possible.items() if agree((value, possible[chosen]), SAME))


def _refuted(item: str, value: float, span: Span, figures: Figures) -> bool:
    """Whether a revenue is below gross profit, or below cost and operating income together: then it is a part."""
    if item != "revenue":
        return False
    gross, income = _only("gross_profit", span, figures), _only("operating_income", span, figures)
    costs = [values[span] for values in figures.get("cost", {}).values() if span in values]
    below_gross = gross is not None and value < gross - SAME * abs(gross)
    return below_gross or (income is not None and bool(costs) and min(costs) + income > value + _SLACK * abs(value))


def _decided(item: str, values: dict[str, float], span: Span, figures: Figures) -> str | None:
    """Return the tag whose value fits the rest of the statement, None where nothing decides."""
    expected = _expected(item, span, figures)
    fitting = {tag: value for tag, value in values.items() if any(agree((value, each), SAME) for each in expected)}
    if fitting:
        return next(iter(fitting)) if agree(fitting.values(), SAME) else None
    if np.isnan(list(values.values())).any():
        return None
    if item in _TOTALS:
        if _WITH_TAX in values and _WITHOUT_TAX in values and len(values) == 2:
            return _WITHOUT_TAX if values[_WITHOUT_TAX] > values[_WITH_TAX] * (1 - _NEAR) else _WITH_TAX
        largest = max(values.values())
        scaled = any(agree((largest, value * scale), 1e-4) for value in values.values() for scale in _SCALES)
        return None if scaled else max(values, key=lambda tag: values[tag])
    return next(iter(values)) if agree(values.values(), _NEAR) else None


def _only(item: str, span: Span, figures: Figures) -> float | None:
    """An item's value where its tags agree, None where they do not or there is none."""
    found = [values[span] for values in figures.get(item, {}).values() if span in values]
    return found[0] if found and agree(found, SAME) else None


def _expected(item: str, span: Span, figures: Figures) -> list[float]:
    """Return what the rest of the statement says an item must be, by each way in which it says so."""

    def only(name: str) -> float | None:
        return _only(name, span, figures)

    def plus(first: str, second: str, sign: int = 1) -> list[float]:
        one, other = only(first), only(second)
        return [] if one is None or other is None else [one + sign * other]

    match item:
        case "revenue":
            return plus("gross_profit", "cost") + plus("all_costs", "operating_income")
        case "cost":
            return plus("revenue", "gross_profit", -1)
        case "net_income":
            eps, shares = only("eps"), only("shares")
            return [] if eps is None or shares is None else [eps * shares]
        case "eps":
            income, shares = only("net_income"), only("shares")
            return [] if income is None or not shares else [income / shares]
        case "all_equity":
            return plus("assets", "liabilities", -1)
    return []


def agree(values: Iterable[float], within: float) -> bool:
    """Whether all values are of one sign and lie within a share of the largest of them."""
    numbers = np.asarray(list(values), dtype=np.float64)
    largest = float(np.abs(numbers).max())
    return bool(float(np.ptp(numbers)) <= within * largest)
