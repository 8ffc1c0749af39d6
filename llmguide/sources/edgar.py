"""Fundamentals from the filings of US companies: the SEC's EDGAR, structured data (XBRL) since 2009 (extra `data`).

Through plain requests: edgartools gives the figures of the latest filing by default, and brings some twenty packages.

From one filing, of the quarter that it reports (a 10-K: the fourth):

| column | what it is |
|---|---|
| current_ratio | current assets / current liabilities |
| quick_ratio | (current assets - inventory) / current liabilities; a company that reports no inventory has none |
| debt_to_equity | total liabilities / shareholders' equity |
| gross_margin | (revenue - cost of revenue) / revenue, a fraction, as the other margins |
| operating_margin | operating income / revenue |
| net_margin | net income / revenue |
| eps | diluted earnings per share of the quarter, USD |
| revenue, net_income | of the quarter, USD |
| free_cash_flow | operating cash flow - purchases of property, plant and equipment, of the quarter, USD |

Where a filing reports only the year to date (cash flows always, the fourth quarter mostly), the quarter is the
difference to the year to date of the quarter before, as far as that was filed by then, under the same tag.
Which of several tags is the statement's line, `llmguide.sources.edgar_statement` decides. A year's earnings per share
minus three quarters' would be wrong after a split: then eps is net income over the year's diluted shares.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from llmguide._version import __version__
from llmguide.errors import DataError, did_you_mean
from llmguide.sources._http import JsonService, credential
from llmguide.sources.edgar_quarter import quarter
from llmguide.sources.edgar_statement import (
    QUARTER,
    SAME,
    TAGS,
    Known,
    Line,
    Span,
    agree,
    choose_lines,
    follows,
    period_of,
)
from llmguide.sources.tables import read_table

__all__ = ["download_fundamentals"]

BASE_URL = "https://data.sec.gov"
TICKERS_URL = "https://www.sec.gov"
WHERE = "the SEC asks every program for one: https://www.sec.gov/about/developer-resources"
FORMS = ("10-Q", "10-K", "10-QT", "10-KT")  # and their amendments, "/A"

UNITS = {"eps": "USD/shares", "shares": "shares"}  # the others: USD

# A count of shares that is restated by a factor in this range (or its reciprocal) has been split (or merged); beyond it
# a filing has mistaken thousands for units.
SPLIT = (1.2, 100.0)


class Filing(NamedTuple):
    filed: pd.Timestamp
    accession: str
    annual: bool
    figures: dict[str, dict[str, dict[Span, float]]]  # by item and tag


def download_fundamentals(
    ticker: str, *, contact: str | None = None, base_url: str = BASE_URL, tickers_url: str = TICKERS_URL
) -> pd.DataFrame:
    """Return the `fundamentals` table of a company, a row per quarter and filing that changed what was known of it.

    Columns: published_at (the end of the day of filing), period_end, and those of `llmguide.sources.tables` that the
    company reports, except P/E. NaN: not reported, or not defined (a ratio to what is not above zero).

    A row holds what was known of its quarter once the filing was public: nothing that was filed later. Amendments, and
    the previous year's quarter as a later filing restates it, are later rows of the same period. When a filing
    restates counts of shares after a split, the earlier eps follow, each as a row of that date.

    `ticker` may be one that the SEC lists today, or a CIK, which former companies keep too. `contact` is an e-mail
    address, the environment's SEC_CONTACT by default; the SEC turns away programs without one. Raises DataError without
    it, for an unknown ticker, for a company that files no quarterly figures, and when EDGAR cannot be reached or
    refuses; MissingExtra without requests.
    """
    if not isinstance(ticker, str) or len(ticker.split()) != 1:
        raise DataError(f"expected one ticker like 'AAPL', or a CIK, not {ticker!r}")
    contact = credential(contact, "SEC_CONTACT", what="an e-mail address for the SEC", where=WHERE)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", contact.split()[-1].strip("<>()")):
        raise DataError(f"expected an e-mail address as contact (SEC_CONTACT), got {contact!r}; {WHERE}")
    headers = {"User-Agent": f"llmguide/{__version__} {contact}"}
    access = f"check the contact ({WHERE}), and ask at most ten times a second"
    cik = re.fullmatch(r"(?:CIK)?(\d{1,10})", ticker.strip().upper())
    if cik is None:
        with JsonService("EDGAR", tickers_url, access=access, headers=headers) as service:
            number = _cik(service.get("/files/company_tickers.json"), ticker.strip().upper())
    else:
        number = int(cik[1])
    with JsonService("EDGAR", base_url, access=access, headers=headers) as service:
        facts = service.get(f"/api/xbrl/companyfacts/CIK{number:010d}.json")
    rows = _rows(_filings(facts))
    if not rows:
        raise DataError(
            f"{ticker} has no quarterly figures in US GAAP and dollars at the SEC; read a file of your own instead"
        )
    return read_table("fundamentals", pd.DataFrame(rows).dropna(axis=1, how="all"))


def _cik(answer: Any, ticker: str) -> int:
    """The company's number; the SEC writes BRK-B for what others write BRK.B."""
    try:
        numbers = {str(row["ticker"]).upper(): int(row["cik_str"]) for row in answer.values()}
    except (AttributeError, KeyError, TypeError, ValueError):
        numbers = {}
    if not numbers:
        raise DataError("EDGAR's list of tickers cannot be read; its format may have changed")
    name = ticker.replace(".", "-")
    if name not in numbers:
        raise DataError(
            f"the SEC lists no company with the ticker {ticker}{did_you_mean(name, numbers)}; give its CIK if it is no "
            "longer listed"
        )
    return numbers[name]


def _filings(facts: Any) -> list[Filing]:
    """Return what each quarterly and annual filing says, in the order of filing."""
    filings: dict[str, Filing] = {}
    readable = True
    try:
        gaap = facts["facts"].get("us-gaap", {})
        for item, tags in TAGS.items():
            for tag in tags:
                for fact in gaap.get(tag, {}).get("units", {}).get(UNITS.get(item, "USD"), ()):
                    _add(filings, item, tag, fact)
    except (KeyError, TypeError, ValueError, AttributeError):
        readable = False
    if not readable:
        raise DataError("EDGAR's facts of the company cannot be read; their format may have changed")
    return sorted(filings.values(), key=lambda filing: filing[:2])


def _add(filings: dict[str, Filing], item: str, tag: str, fact: dict[str, Any]) -> None:
    if str(fact["form"]).removesuffix("/A") not in FORMS:
        return
    filed, start = pd.Timestamp(fact["filed"]), pd.Timestamp(fact["start"]) if "start" in fact else None
    annual = str(fact["form"]).startswith("10-K") and not str(fact["form"]).startswith("10-KT")
    filing = filings.setdefault(fact["accn"], Filing(filed, fact["accn"], annual, {}))
    span, value = Span(start, pd.Timestamp(fact["end"])), float(fact["val"])
    if span.end < filed:
        values = filing.figures.setdefault(item, {}).setdefault(tag, {})
        # Rounded here and there a fact may stand twice; two that are not the same are no fact.
        values[span] = values.get(span, value) if agree((values.get(span, value), value), SAME) else np.nan


def _rows(filings: Iterable[Filing]) -> list[dict[str, Any]]:
    """Return the rows in the order of publication."""
    known: dict[str, dict[Span, Known]] = {item: {} for item in TAGS}  # as the latest filing so far has it
    told: dict[pd.Timestamp, dict[str, float]] = {}  # the last row of each period
    rows: dict[tuple[pd.Timestamp, pd.Timestamp], dict[str, Any]] = {}
    for filing in filings:
        own = period_of(filing.figures, annual=filing.annual)
        if own is None:
            continue
        lines = choose_lines(filing.figures, own)
        factor = _split(known["shares"], lines["shares"].values if "shares" in lines else {})
        for item, power in (("shares", factor), ("eps", 1 / factor)):
            known[item] = {span: Known(value * power, tags) for span, (value, tags) in known[item].items()}
        for item, line in lines.items():
            if follows(item, line, known[item], own):
                _learn(known[item], line, own)
        restated = _restated(lines, own, told)
        for end in sorted({own, *restated}):
            row = quarter(known, end)
            if not all(np.isnan(value) for value in row.values()):
                _tell(rows, told, filing.filed, end, row)
        if factor != 1:
            for end, row in list(told.items()):
                if end != own and end not in restated:
                    _tell(rows, told, filing.filed, end, {**row, "eps": row["eps"] / factor})
    return list(rows.values())


def _learn(known: dict[Span, Known], line: Line, own: pd.Timestamp) -> None:
    """Add a line's figures. What an amendment says of its own period under another tag replaces nothing."""
    for span, now in line.values.items():
        before = known.get(span)
        same = before is not None and agree((before.value, now.value), SAME)
        if before is None or same or span.end < own or before.tags & now.tags:
            known[span] = Known(now.value, now.tags | before.tags) if before is not None and same else now


def _restated(lines: Mapping[str, Line], own: pd.Timestamp, told: Iterable[pd.Timestamp]) -> set[pd.Timestamp]:
    """Return the ends of the earlier quarters that a filing tells of.

    Those told before, or some years before its own, or that two items have: a lone quarter between is not the
    company's.
    """
    ends = Counter(
        end
        for item in ("revenue", "net_income", "eps")
        if item in lines
        for end in {span.end for span in lines[item].values if span.lasts(QUARTER)}
    )
    return {
        end
        for end, items in ends.items()
        if items > 1 or end in told or abs((own - end).days - 365.25 * round((own - end).days / 365.25)) <= 10
    }


def _tell(
    rows: dict[tuple[pd.Timestamp, pd.Timestamp], dict[str, Any]],
    told: dict[pd.Timestamp, dict[str, float]],
    filed: pd.Timestamp,
    end: pd.Timestamp,
    row: dict[str, float],
) -> None:
    """Add a row unless it says nothing new. Of two filings of one day the later replaces the earlier."""
    before = told.get(end)
    if before is None or not np.array_equal(list(before.values()), list(row.values()), equal_nan=True):
        told[end] = row
        rows[filed, end] = {"published_at": filed, "period_end": end, **row}


def _split(before: Mapping[Span, Known], now: Mapping[Span, Known]) -> float:
    """By how much counts of shares of the same times and tags grew between filings, 1 where nothing was split."""
    factors = [
        count / before[span].value
        for span, (count, tags) in now.items()
        if span in before and count > 0 and before[span].value > 0 and tags & before[span].tags
    ]
    factor = float(np.median(factors)) if factors else 1.0
    return factor if SPLIT[0] < max(factor, 1 / factor) < SPLIT[1] else 1.0
