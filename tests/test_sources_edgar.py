"""Fundamentals are what each filing said on the day it was filed: quarters, ratios, amendments, splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from recorded_http import Answer, Asked, RecordedHttp

from llmguide._version import __version__
from llmguide.errors import DataError
from llmguide.sources import _http, edgar
from llmguide.sources.edgar import download_fundamentals
from llmguide.sources.tables import Tables, read_table

CONTACT = "Jane Doe jane@example.org"
TICKERS = {
    "0": {"cik_str": 320193, "ticker": "MADE", "title": "Made Inc."},
    "1": {"cik_str": 1067983, "ticker": "BRK-B", "title": "Berkshire Hathaway Inc"},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.delenv("SEC_CONTACT", raising=False)


class Company:
    """Facts of a company in the shape of https://data.sec.gov/api/xbrl/companyfacts, filing by filing."""

    def __init__(self) -> None:
        self.gaap: dict[str, Any] = {}

    def file(self, accession: str, filed: str, form: str, figures: dict[str, dict[str, float]]) -> Company:
        """`figures`: tag -> {"2019-01-01/2019-03-31" or "2019-03-31": value}."""
        for tag, values in figures.items():
            unit = "USD/shares" if tag.startswith("Earnings") else "shares" if tag.startswith("Weighted") else "USD"
            facts = self.gaap.setdefault(tag, {"label": tag, "description": "", "units": {}})["units"]
            for span, value in values.items():
                start, _, end = span.rpartition("/")
                fact = {
                    "end": end,
                    "val": value,
                    "accn": accession,
                    "fy": 2019,
                    "fp": "Q1",
                    "form": form,
                    "filed": filed,
                }
                facts.setdefault(unit, []).append({"start": start, **fact} if start else fact)
        return self

    @property
    def facts(self) -> dict[str, Any]:
        shares = {
            "units": {"shares": [{"end": "2019-04-20", "val": 1, "accn": "z1", "form": "10-Q", "filed": "2019-05-01"}]}
        }
        dei = {"EntityCommonStockSharesOutstanding": shares}
        return {"cik": 320193, "entityName": "Made Inc.", "facts": {"dei": dei, "us-gaap": self.gaap}}


Q1, Q2, Q3, H1, M9, FY = (
    "2019-01-01/2019-03-31",
    "2019-04-01/2019-06-30",
    "2019-07-01/2019-09-30",
    "2019-01-01/2019-06-30",
    "2019-01-01/2019-09-30",
    "2019-01-01/2019-12-31",
)
CASH, CAPEX = "NetCashProvidedByUsedInOperatingActivities", "PaymentsToAcquirePropertyPlantAndEquipment"
SHARES = "WeightedAverageNumberOfDilutedSharesOutstanding"


def a_year() -> Company:
    """Four filings of 2019: income by quarter and to date, cash to date only, and in the 10-K the year only."""
    return (
        Company()
        .file(
            "z1",
            "2019-05-01",
            "10-Q",
            {
                "Revenues": {Q1: 100.0, "2018-01-01/2018-03-31": 80.0},
                "CostOfRevenue": {Q1: 60.0},
                "OperatingIncomeLoss": {Q1: 25.0},
                "NetIncomeLoss": {Q1: 20.0, "2018-01-01/2018-03-31": 10.0},
                "EarningsPerShareDiluted": {Q1: 2.0, "2018-01-01/2018-03-31": 1.0},
                SHARES: {Q1: 10.0},
                CASH: {Q1: 30.0},
                CAPEX: {Q1: 5.0},
                "AssetsCurrent": {"2019-03-31": 150.0, "2018-12-31": 140.0},
                "LiabilitiesCurrent": {"2019-03-31": 100.0, "2018-12-31": 100.0},
                "InventoryNet": {"2019-03-31": 30.0},
                "Assets": {"2019-03-31": 400.0},
                "Liabilities": {"2019-03-31": 240.0},
                "StockholdersEquity": {"2019-03-31": 160.0},
            },
        )
        .file(
            "a2",
            "2019-08-01",
            "10-Q",
            {
                "Revenues": {Q2: 110.0, H1: 210.0},
                "NetIncomeLoss": {Q2: 22.0, H1: 42.0},
                "EarningsPerShareDiluted": {Q2: 2.2, H1: 4.2},
                CASH: {H1: 50.0},
                CAPEX: {H1: 12.0},
                "Assets": {"2019-06-30": 420.0},
                "StockholdersEquity": {"2019-06-30": 175.0},
            },
        )
        .file(
            "a3",
            "2019-11-01",
            "10-Q",
            {
                "Revenues": {Q3: 120.0, M9: 330.0},
                "NetIncomeLoss": {Q3: 24.0, M9: 66.0},
                "EarningsPerShareDiluted": {Q3: 2.4, M9: 6.6},
                SHARES: {Q3: 10.0, M9: 10.0},
                CASH: {M9: 90.0},
                CAPEX: {M9: 20.0},
                "StockholdersEquity": {"2019-09-30": 200.0},
            },
        )
        .file(
            "a4",
            "2020-02-03",
            "10-K",
            {
                "Revenues": {FY: 480.0},
                "NetIncomeLoss": {FY: 96.0},
                "EarningsPerShareDiluted": {FY: 9.6},
                SHARES: {FY: 10.0},
                CASH: {FY: 140.0},
                CAPEX: {FY: 35.0},
                "StockholdersEquity": {"2019-12-31": 230.0},
            },
        )
    )


def server_of(company: Company) -> RecordedHttp:
    def reply(asked: Asked) -> Answer:
        if asked.path == "/files/company_tickers.json":
            return Answer(TICKERS)
        if asked.path == "/api/xbrl/companyfacts/CIK0000320193.json":
            return Answer(company.facts)
        return Answer(b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", 404)

    return RecordedHttp(reply)


def fundamentals(company: Company) -> pd.DataFrame:
    with server_of(company) as server:
        return download_fundamentals("MADE", contact=CONTACT, base_url=server.url, tickers_url=server.url)


def rows(table: pd.DataFrame, period: str) -> pd.DataFrame:
    """The rows of the period that ends on a date, by the day of their publication."""
    chosen = table[table["period_end"] == period]
    return chosen.set_index(chosen["published_at"].dt.strftime("%Y-%m-%d"))


def test_a_first_quarter_by_hand():
    row = rows(fundamentals(a_year()), "2019-03-31").loc["2019-05-01"]
    expected = {
        "current_ratio": 1.5,
        "quick_ratio": 1.2,
        "debt_to_equity": 1.5,
        "gross_margin": 0.4,
        "operating_margin": 0.25,
        "net_margin": 0.2,
        "eps": 2.0,
        "revenue": 100.0,
        "net_income": 20.0,
        "free_cash_flow": 25.0,
    }
    assert row.drop(["published_at", "period_end"]).to_dict() == pytest.approx(expected)


def test_quarters_are_taken_out_of_years_to_date():
    table = fundamentals(a_year())
    second, third = rows(table, "2019-06-30").loc["2019-08-01"], rows(table, "2019-09-30").loc["2019-11-01"]
    fourth = rows(table, "2019-12-31").loc["2020-02-03"]
    assert [second["free_cash_flow"], third["free_cash_flow"], fourth["free_cash_flow"]] == [13.0, 32.0, 35.0]
    assert [fourth["revenue"], fourth["net_income"], fourth["net_margin"]] == [150.0, 30.0, 0.2]
    assert fourth["eps"] == 3.0  # 30 over the year's 10 diluted shares


def test_what_a_filing_does_not_say_is_absent_and_total_liabilities_follow_from_the_balance():
    row = rows(fundamentals(a_year()), "2019-06-30").loc["2019-08-01"]
    assert row["debt_to_equity"] == pytest.approx((420 - 175) / 175)
    assert np.isnan(row[["current_ratio", "quick_ratio", "gross_margin", "operating_margin"]].astype(float)).all()


def test_a_filing_is_public_from_the_end_of_its_day_and_never_before():
    table = fundamentals(a_year())
    assert_frame_equal(read_table("fundamentals", table), table)
    known = Tables(fundamentals=table)
    assert list(known.until(pd.Timestamp("2019-05-01 16:00")).fundamentals.index) == []
    assert set(known.until(pd.Timestamp("2019-05-02")).fundamentals["period_end"].dt.strftime("%Y-%m-%d")) == {
        "2018-03-31",  # the year before, which the first filing compares with
        "2019-03-31",
    }


def test_the_year_before_is_known_from_the_filing_that_compares_with_it():
    row = rows(fundamentals(a_year()), "2018-03-31").loc["2019-05-01"]
    assert [row["revenue"], row["net_income"], row["eps"]] == [80.0, 10.0, 1.0]


def test_later_filings_change_nothing_before_they_are_filed():
    before = Tables(fundamentals=fundamentals(a_year()))
    changed = (
        a_year()
        .file("a5", "2020-03-10", "10-K/A", {"NetIncomeLoss": {FY: 90.0}})
        .file("b1", "2020-05-04", "10-Q", {"Revenues": {"2020-01-01/2020-03-31": 130.0, Q1: 99.0}})
    )
    after = Tables(fundamentals=fundamentals(changed))
    for moment in pd.date_range("2019-04-01 12:00", "2020-03-10 12:00", freq="5D"):
        assert_frame_equal(before.until(moment).fundamentals, after.until(moment).fundamentals)
    table = after.fundamentals
    assert list(rows(table, "2019-12-31")["net_income"].items()) == [("2020-02-03", 30.0), ("2020-03-10", 24.0)]
    assert list(rows(table, "2019-03-31")["revenue"].items()) == [("2019-05-01", 100.0), ("2020-05-04", 99.0)]


def test_a_filing_that_says_nothing_new_adds_no_row():
    again = a_year().file("a5", "2020-03-10", "10-K/A", {"NetIncomeLoss": {FY: 96.0}, "Revenues": {Q1: 100.0}})
    assert_frame_equal(fundamentals(again), fundamentals(a_year()))


def test_two_filings_of_one_day_make_one_row():
    table = fundamentals(a_year().file("a5", "2020-02-03", "10-K/A", {"NetIncomeLoss": {FY: 90.0}}))
    assert list(rows(table, "2019-12-31")["net_income"].items()) == [("2020-02-03", 24.0)]


def a_split() -> Company:
    """Four for one after the third quarter: the 10-K restates the year, a later 10-Q restates the first quarter."""
    company = a_year()
    for tag, number in (("EarningsPerShareDiluted", 2.4), (SHARES, 40.0)):
        facts = next(iter(company.gaap[tag]["units"].values()))
        next(fact for fact in facts if fact["accn"] == "a4")["val"] = number
    company.file("a4", "2020-02-03", "10-K", {SHARES: {M9: 40.0}})
    company.file(
        "b1",
        "2020-05-04",
        "10-Q",
        {
            "EarningsPerShareDiluted": {"2020-01-01/2020-03-31": 0.8, Q1: 0.5},
            SHARES: {"2020-01-01/2020-03-31": 40.0, Q1: 40.0},
        },
    )
    company.file("b2", "2020-08-03", "10-Q", {"Revenues": {Q2: 111.0}})  # restated, its earnings are not
    return company


def test_after_a_split_earnings_per_share_of_all_quarters_are_of_the_same_shares():
    company = a_split()
    table = fundamentals(company)
    known = table.groupby("period_end")["eps"].last()
    assert known.to_dict() == pytest.approx(
        {
            pd.Timestamp("2018-03-31"): 0.25,
            pd.Timestamp("2019-03-31"): 0.5,
            pd.Timestamp("2019-06-30"): 0.55,
            pd.Timestamp("2019-09-30"): 0.6,
            pd.Timestamp("2019-12-31"): 0.75,
            pd.Timestamp("2020-03-31"): 0.8,
        }
    )
    # Until the filing that tells of the split, the old shares count.
    assert rows(table, "2019-06-30").loc["2019-08-01", "eps"] == 2.2
    assert rows(table, "2019-06-30").loc["2020-02-03", "eps"] == pytest.approx(0.55)


@pytest.mark.parametrize("made", [a_year, a_split])
def test_a_table_cut_at_a_moment_is_the_table_of_what_was_filed_by_then(made: Callable[[], Company]):
    full = Tables(fundamentals=fundamentals(made()))
    for filed in ("2019-05-01", "2019-08-01", "2019-11-01", "2020-02-03", "2020-05-04"):
        then = made()
        for tag in then.gaap.values():
            for unit, facts in tag["units"].items():
                tag["units"][unit] = [fact for fact in facts if fact["filed"] <= filed]
        cut = full.until(pd.Timestamp(filed) + pd.Timedelta(days=1)).fundamentals
        assert_frame_equal(cut.dropna(axis=1, how="all"), fundamentals(then))


def test_shares_mistaken_for_thousands_are_no_split():
    table = fundamentals(a_year().file("a5", "2020-03-10", "10-K/A", {SHARES: {Q1: 10_000.0, M9: 10_000.0}}))
    assert rows(table, "2019-06-30")["eps"].to_list() == [2.2]


def test_revenue_has_had_several_tags_and_the_total_comes_first():
    new, old = "RevenueFromContractWithCustomerExcludingAssessedTax", "SalesRevenueNet"
    quarters = [f"{year}-01-01/{year}-03-31" for year in (2017, 2018, 2019)]
    company = (
        Company()
        .file("a", "2017-05-01", "10-Q", {old: {quarters[0]: 1.0}})
        .file("b", "2018-05-01", "10-Q", {new: {quarters[1]: 2.0, quarters[0]: 1.5}})
        .file("c", "2019-05-01", "10-Q", {new: {quarters[2]: 3.0}, "Revenues": {quarters[2]: 4.0}})
    )
    table = fundamentals(company)
    assert [f"{row.period_end.year}: {row.revenue}" for row in table.itertuples()] == [
        "2017: 1.0",
        "2017: 1.5",
        "2018: 2.0",
        "2019: 4.0",
    ]


def test_ratios_to_what_is_not_above_zero_are_not_defined():
    end = "2019-03-31"
    company = Company().file(
        "a",
        "2019-05-01",
        "10-Q",
        {
            "Revenues": {Q1: 0.0},
            "NetIncomeLoss": {Q1: -5.0},
            "Liabilities": {end: 10.0},
            "StockholdersEquity": {end: -2.0},
            "AssetsCurrent": {end: 3.0},
            "LiabilitiesCurrent": {end: 2.0},
        },
    )
    table = fundamentals(company)
    assert list(table.columns) == [
        "published_at",
        "period_end",
        "current_ratio",
        "quick_ratio",
        "revenue",
        "net_income",
    ]
    assert table["quick_ratio"].to_list() == [1.5]  # no inventory reported


def test_weeks_make_quarters_of_twelve_and_sixteen_of_them():
    company = (
        Company()
        .file("a", "2019-01-01", "10-Q", {CASH: {"2018-09-03/2018-11-25": 10.0}, CAPEX: {"2018-09-03/2018-11-25": 1.0}})
        .file("b", "2019-03-20", "10-Q", {CASH: {"2018-09-03/2019-02-17": 25.0}, CAPEX: {"2018-09-03/2019-02-17": 3.0}})
        .file("c", "2019-06-10", "10-Q", {CASH: {"2018-09-03/2019-05-12": 45.0}, CAPEX: {"2018-09-03/2019-05-12": 6.0}})
        .file("d", "2019-10-10", "10-K", {CASH: {"2018-09-03/2019-09-01": 80.0}, CAPEX: {"2018-09-03/2019-09-01": 9.0}})
    )
    assert fundamentals(company)["free_cash_flow"].to_list() == [9.0, 13.0, 17.0, 32.0]


def test_other_forms_and_figures_of_the_future_do_not_count():
    company = a_year()
    company.file("x", "2019-04-10", "8-K", {"Revenues": {Q1: 1.0}})
    company.file("z1", "2019-05-01", "10-Q", {"Revenues": {Q2: 1.0}})  # a forecast, tagged by mistake
    assert_frame_equal(fundamentals(company), fundamentals(a_year()))


def test_edgar_is_told_who_asks_and_finds_companies_by_ticker_or_number():
    with server_of(a_year()) as server:
        urls = {"base_url": server.url, "tickers_url": server.url}
        by_ticker = download_fundamentals(" made ", contact=CONTACT, **urls)
        by_number = download_fundamentals("0000320193", contact=CONTACT, **urls)
        assert_frame_equal(by_ticker, by_number)
        assert [asked.path.split("/")[-1] for asked in server.asked] == [
            "company_tickers.json",
            "CIK0000320193.json",
            "CIK0000320193.json",
        ]
        assert {asked.headers["user-agent"] for asked in server.asked} == {f"llmguide/{__version__} {CONTACT}"}
        with pytest.raises(
            DataError, match=r"EDGAR has nothing at /api/xbrl/companyfacts/CIK0001067983.json \(HTTP 404"
        ):
            download_fundamentals("BRK.B", contact=CONTACT, **urls)
        with pytest.raises(DataError, match=r"no company with the ticker MAED; did you mean 'MADE'\?; give its CIK"):
            download_fundamentals("MAED", contact=CONTACT, **urls)


def test_a_contact_is_needed_and_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        DataError, match="an e-mail address for the SEC is needed: set the environment variable SEC_CONTACT"
    ):
        download_fundamentals("MADE")
    with pytest.raises(DataError, match="expected an e-mail address as contact"):
        download_fundamentals("MADE", contact="Jane Doe")
    monkeypatch.setenv("SEC_CONTACT", CONTACT)
    with server_of(a_year()) as server:
        assert len(download_fundamentals("MADE", base_url=server.url, tickers_url=server.url)) == 5


def test_the_block_page_of_the_sec_is_one_line():
    page = Answer(b"<!DOCTYPE html><html><title>SEC.gov | Request Rate Threshold Exceeded</title></html>", 403)
    with server_of(a_year()) as server:
        server.first = [page]
        with pytest.raises(
            DataError, match=r"^EDGAR refused access \(HTTP 403: Forbidden\); check the contact \(the SEC"
        ):
            download_fundamentals("MADE", contact=CONTACT, base_url=server.url, tickers_url=server.url)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], "cannot be read"),
        ({"facts": None}, "cannot be read"),
        ({"facts": {"us-gaap": {"Revenues": {"units": {"USD": [{"form": "10-Q"}]}}}}}, "cannot be read"),
        ({"facts": {}}, "no quarterly figures in US GAAP"),
        ({"facts": {"ifrs-full": {"Revenue": {}}}}, "no quarterly figures in US GAAP"),
    ],
)
def test_facts_of_another_form_are_refused(facts: Any, expected: str):
    with RecordedHttp(lambda asked: Answer(facts)) as server, pytest.raises(DataError, match=expected) as caught:
        download_fundamentals("320193", contact=CONTACT, base_url=server.url)
    assert caught.value.__context__ is None
    with RecordedHttp(lambda asked: Answer([1])) as server, pytest.raises(DataError, match="list of tickers cannot"):
        download_fundamentals("MADE", contact=CONTACT, tickers_url=server.url)


QUARTERS = ("2019-01-01/2019-03-31", "2019-04-01/2019-06-30", "2019-07-01/2019-09-30")
TO_DATE = ("2019-01-01/2019-03-31", "2019-01-01/2019-06-30", "2019-01-01/2019-09-30", "2019-01-01/2019-12-31")
FILED = ("2019-05-02", "2019-08-01", "2019-11-01", "2020-02-20")
TOTAL = "RevenueFromContractWithCustomerExcludingAssessedTax"


@st.composite
def companies(draw: st.DrawFn) -> tuple[list[float], list[float], Company]:
    """A year of true revenue and income, filed beside parts under other tags, late facts and partial amendments."""
    revenue = [float(draw(st.integers(1_000, 3_000))) for _ in range(4)]
    income = [float(draw(st.integers(50, 400))) for _ in range(4)]
    total, side = draw(st.permutations((TOTAL, "Revenues")))
    company = Company()
    for n in range(4):
        sums = sum(revenue[: n + 1]), sum(income[: n + 1])
        figures: dict[str, dict[str, float]] = {
            total: {TO_DATE[n]: sums[0]},
            "NetIncomeLoss": {TO_DATE[n]: sums[1]},
            "OperatingIncomeLoss": {TO_DATE[n]: 1.2 * sums[1]},
        }
        if n < 3:
            figures[total][QUARTERS[n]] = revenue[n]
            figures["NetIncomeLoss"][QUARTERS[n]] = income[n]
        if draw(st.booleans()):
            share = draw(st.floats(0.02, 0.9))
            figures[side] = {span: share * value for span, value in figures[total].items()}
        if draw(st.booleans()):  # an event after the period
            figures["Assets"] = {f"{FILED[n][:8]}01": 7.0}
        if draw(st.booleans()):  # a part whose span ends later
            figures["CostOfGoodsSold"] = {f"{TO_DATE[n].split('/')[0]}/{FILED[n][:8]}01": 3.0}
        company.file(f"f{n}", FILED[n], "10-K" if n == 3 else "10-Q", figures)
    return revenue, income, company


@given(companies())
def test_whatever_stands_in_the_notes_only_true_totals_are_told_and_no_quarter_is_lost(made):
    revenue, income, company = made
    table = pd.DataFrame(edgar._rows(edgar._filings(company.facts)))
    ends = [span.split("/")[1] for span in TO_DATE]
    for end, true, earned in zip(ends, revenue, income, strict=True):
        told = rows(table, end)
        assert len(told) == 1
        assert told["net_income"].iloc[0] == pytest.approx(earned)
        assert told["revenue"].iloc[0] == pytest.approx(true)


@given(companies(), st.integers(1, 4))
def test_what_is_filed_later_changes_no_row_of_before(made, filings):
    _, _, company = made
    table = pd.DataFrame(edgar._rows(edgar._filings(company.facts)))
    cut = pd.DataFrame(edgar._rows(edgar._filings(company.facts)[:filings]))
    assert_frame_equal(table[: len(cut)], cut)


def test_gross_profit_tells_which_revenue_and_which_cost_is_the_statements():
    figures = {
        "Revenues": {Q1: 900.0},  # with other income, in a note
        TOTAL: {Q1: 800.0},
        "CostOfRevenue": {Q1: 500.0},
        "GrossProfit": {Q1: 300.0},
    }
    row = fundamentals(Company().file("z", "2019-05-01", "10-Q", figures)).iloc[0]
    assert (row["revenue"], row["gross_margin"]) == (800.0, 0.375)


def test_net_income_that_cannot_be_told_is_absent_and_earnings_per_share_can_tell_it():
    both: dict[str, dict[str, float]] = {"NetIncomeLoss": {Q1: 3.0}, "ProfitLoss": {Q1: 60.0}, TOTAL: {Q1: 500.0}}
    row = fundamentals(Company().file("z", "2019-05-01", "10-Q", both)).iloc[0]
    assert row["revenue"] == 500.0
    assert "net_income" not in row or np.isnan(row["net_income"])
    shares = {"EarningsPerShareDiluted": {Q1: 6.0}, SHARES: {Q1: 10.0}}
    assert fundamentals(Company().file("z", "2019-05-01", "10-Q", both | shares)).iloc[0]["net_income"] == 60.0


def test_a_minority_is_no_disagreement():
    figures = {"NetIncomeLoss": {Q1: 95.0}, "ProfitLoss": {Q1: 100.0}, TOTAL: {Q1: 500.0}}
    assert fundamentals(Company().file("z", "2019-05-01", "10-Q", figures)).iloc[0]["net_income"] == 95.0


def test_a_part_under_a_tag_that_was_never_the_lines_is_not_taken_for_it():
    """The second filing's total is under a tag that nobody here knows; what is left is a part."""
    before = {TOTAL: {Q1: 1000.0, "2018-04-01/2018-06-30": 950.0}, "NetIncomeLoss": {Q1: 100.0}}
    after = {"Revenues": {Q2: 70.0, "2018-04-01/2018-06-30": 60.0}, "NetIncomeLoss": {Q2: 110.0}}
    table = fundamentals(Company().file("a", "2019-05-01", "10-Q", before).file("b", "2019-08-01", "10-Q", after))
    told = rows(table, "2019-06-30").iloc[0]
    assert told["net_income"] == 110.0
    assert np.isnan(told["revenue"])


def test_years_to_date_of_two_tags_are_not_subtracted():
    company = a_year()
    company.gaap["NetCashProvidedByUsedInOperatingActivities"]["units"]["USD"] = [
        fact
        for fact in company.gaap["NetCashProvidedByUsedInOperatingActivities"]["units"]["USD"]
        if fact["end"] != "2019-12-31"
    ]
    continuing = "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations"
    company.file("k2", "2020-02-03", "10-K", {continuing: {FY: 500.0}})
    assert np.isnan(rows(fundamentals(company), "2019-12-31")["free_cash_flow"].iloc[-1])


MAY, AUGUST, FEBRUARY = "2019-05-01", "2019-08-01", "2020-02-20"
INCOME, OPERATING, EQUITY = "NetIncomeLoss", "OperatingIncomeLoss", "StockholdersEquity"


def told_of_the_first_quarter(**figures: float) -> pd.Series:
    """The row of one 10-Q; the quarter's amounts and the balances of its end, by tag."""
    balances = ("Assets", "Liabilit", "Stockholders", "Inventory", "Temporary")
    spans = {tag: {Q1.split("/")[1] if tag.startswith(balances) else Q1: value} for tag, value in figures.items()}
    table = pd.DataFrame(edgar._rows(edgar._filings(Company().file("a", MAY, "10-Q", spans).facts)))
    assert len(table) == 1
    return table.iloc[0]


def test_a_quarter_under_one_tag_and_the_year_to_date_under_another_that_nothing_connects_is_absent():
    company = Company().file("a", MAY, "10-Q", {TOTAL: {Q1: 2000.0}, INCOME: {Q1: 100.0}})
    company.file("b", AUGUST, "10-Q", {"Revenues": {Q2: 740.0}, TOTAL: {H1: 4100.0}, INCOME: {Q2: 100.0, H1: 200.0}})
    second = rows(fundamentals(company), "2019-06-30").iloc[0]
    assert np.isnan(second["revenue"])
    assert second["net_income"] == 100.0


@pytest.mark.parametrize("other", [{"CostOfRevenue": 1200.0, OPERATING: 400.0}, {"GrossProfit": 900.0}])
def test_a_lone_revenue_that_the_statement_contradicts_is_no_revenue(other: dict[str, float]):
    row = told_of_the_first_quarter(Revenues=740.0, NetIncomeLoss=300.0, **other)
    assert np.isnan(row[["revenue", "gross_margin", "net_margin"]].astype(float)).all()
    assert row["net_income"] == 300.0


def test_a_gross_loss_is_no_contradiction():
    row = told_of_the_first_quarter(Revenues=100.0, CostOfRevenue=130.0, GrossProfit=-30.0, OperatingIncomeLoss=-80.0)
    assert [row["revenue"], row["gross_margin"], row["operating_margin"]] == [100.0, -0.3, -0.8]


def test_all_costs_and_operating_income_tell_a_total_that_losses_have_made_the_smaller():
    row = told_of_the_first_quarter(**{TOTAL: 2000.0, "Revenues": 1500.0, "CostsAndExpenses": 1300.0, OPERATING: 200.0})
    assert row["revenue"] == 1500.0


def test_two_ways_to_tell_a_total_that_contradict_each_other_tell_nothing():
    ways = {"CostsAndExpenses": 1300.0, OPERATING: 200.0, "GrossProfit": 800.0, "CostOfRevenue": 1200.0}
    row = told_of_the_first_quarter(**{TOTAL: 2000.0, "Revenues": 1500.0, INCOME: 100.0}, **ways)
    assert np.isnan(row["revenue"])


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_units_beside_thousands_are_two_scales_and_no_part_and_total(scale: float):
    row = told_of_the_first_quarter(**{TOTAL: 2000.0, "Revenues": 2000.0 * scale, INCOME: 300.0})
    assert np.isnan(row["revenue"])


def test_a_fact_that_stands_twice_with_two_values_is_none_and_rounding_is_no_second_value():
    company = Company().file("a", MAY, "10-Q", {TOTAL: {Q1: 70.0}, INCOME: {Q1: 10.0}})
    company.file("a", MAY, "10-Q", {TOTAL: {Q1: 2000.0}, INCOME: {Q1: 10.04}})
    row = fundamentals(company).iloc[0]
    assert "revenue" not in row
    assert row["net_income"] == 10.0


def test_a_new_tag_without_comparatives_has_to_be_of_the_size_of_the_quarter_before():
    def second(amount: float) -> float:
        company = Company().file("a", MAY, "10-Q", {TOTAL: {Q1: 2000.0}, INCOME: {Q1: 100.0}})
        company.file("b", AUGUST, "10-Q", {"Revenues": {Q2: amount}, INCOME: {Q2: 100.0}})
        return float(rows(fundamentals(company), "2019-06-30")["revenue"].iloc[0])

    assert np.isnan(second(70.0))
    assert second(1700.0) == 1700.0


def test_tags_that_said_the_same_are_one_line_and_years_to_date_of_it_are_subtracted():
    both = {tag: {Q3: 100.0, M9: 300.0} for tag in (TOTAL, "Revenues")}
    company = Company().file("a", "2019-11-01", "10-Q", both | {INCOME: {Q3: 1.0, M9: 3.0}})
    company.file("k", FEBRUARY, "10-K", {TOTAL: {FY: 420.0}, INCOME: {FY: 4.0}})
    assert rows(fundamentals(company), "2019-12-31")["revenue"].to_list() == [120.0]


@pytest.mark.parametrize("year", [200.0, 330.0, 340.0])
def test_a_year_without_a_business_that_was_sold_less_nine_months_with_it_is_no_quarter(year: float):
    company = Company().file("a", "2019-11-01", "10-Q", {TOTAL: {Q3: 100.0, M9: 330.0}, INCOME: {Q3: 1.0, M9: 3.0}})
    company.file("k", FEBRUARY, "10-K", {TOTAL: {FY: year}, INCOME: {FY: 4.0}})
    fourth = rows(fundamentals(company), "2019-12-31").iloc[0]
    assert np.isnan(fourth["revenue"])
    assert fourth["net_income"] == 1.0


def test_parts_that_exceed_their_totals_make_no_ratio():
    row = told_of_the_first_quarter(
        NetIncomeLoss=1.0, Assets=100.0, AssetsCurrent=500.0, LiabilitiesCurrent=50.0, InventoryNet=10.0
    )
    assert np.isnan([row["current_ratio"], row["quick_ratio"]]).all()
    row = told_of_the_first_quarter(NetIncomeLoss=1.0, AssetsCurrent=100.0, LiabilitiesCurrent=50.0, InventoryNet=900.0)
    assert row["current_ratio"] == 2.0
    assert np.isnan(row["quick_ratio"])


def test_liabilities_that_do_not_balance_are_a_part():
    row = told_of_the_first_quarter(NetIncomeLoss=1.0, Assets=1000.0, Liabilities=60.0, StockholdersEquity=400.0)
    assert np.isnan(row["debt_to_equity"])
    between = {"TemporaryEquityCarryingAmountAttributableToParent": 540.0}
    row = told_of_the_first_quarter(
        NetIncomeLoss=1.0, Assets=1000.0, Liabilities=60.0, StockholdersEquity=400.0, **between
    )
    assert row["debt_to_equity"] == pytest.approx(0.15)


def test_basic_shares_beside_diluted_ones_are_no_split():
    basic = {"WeightedAverageNumberOfSharesOutstandingBasic": {FY: 7.5, Q3: 7.5}}
    assert_frame_equal(fundamentals(a_year().file("k2", "2020-03-01", "10-K/A", basic)), fundamentals(a_year()))


def test_a_lone_quarter_that_ends_between_the_companys_own_makes_no_row():
    company = Company().file(
        "a",
        MAY,
        "10-Q",
        {
            "Revenues": {Q1: 2000.0, "2018-11-01/2019-01-31": 60.0, "2018-01-01/2018-03-31": 1900.0},
            INCOME: {Q1: 100.0, "2018-01-01/2018-03-31": 90.0},
        },
    )
    ends = fundamentals(company)["period_end"].dt.strftime("%Y-%m-%d").to_list()
    assert ends == ["2018-03-31", "2019-03-31"]


def test_neither_an_event_after_the_year_nor_more_comparatives_than_figures_move_its_end():
    late = "2020-01-01/2020-01-31"
    event = {"Revenues": {late: 3.0}, INCOME: {late: 1.0}, "Assets": {"2019-12-31": 9.0}, EQUITY: {"2019-12-31": 5.0}}
    event["Revenues"][FY], event[INCOME][FY] = 400.0, 40.0
    row = fundamentals(Company().file("k", FEBRUARY, "10-K", event)).iloc[0]
    assert row["period_end"] == pd.Timestamp("2019-12-31")
    assert row["debt_to_equity"] == pytest.approx(0.8)
    before = "2018-01-01/2018-12-31"
    amended = a_year().file("k2", FEBRUARY, "10-K/A", {INCOME: {FY: 97.0, before: 50.0}, OPERATING: {before: 60.0}})
    assert rows(fundamentals(amended), "2019-12-31")["net_income"].to_list() == [30.0, 31.0]


def test_what_an_amendment_says_under_another_tag_replaces_no_figure():
    amended = a_year().file("k2", "2020-03-10", "10-K/A", {"ProfitLoss": {FY: 100.0}, TOTAL: {FY: 50.0}})
    assert_frame_equal(fundamentals(amended), fundamentals(a_year()))


def three_years() -> tuple[list[float], Company]:
    """A company as most are: years to date, comparatives, contracts as a part of revenue, minorities, all balances."""
    amounts = [1000.0, 1040.0, 980.0, 1300.0, 1090.0, 1100.0, 1050.0, 1420.0, 1170.0, 1200.0, 1130.0, 1500.0]
    starts = ("01-01", "04-01", "07-01", "10-01")
    ends, filed = ("03-31", "06-30", "09-30", "12-31"), ("05-01", "08-01", "11-01", "02-20")
    flows = {"Revenues": 1.0, TOTAL: 0.94, "CostOfRevenue": 0.6, "CostsAndExpenses": 0.85, OPERATING: 0.15}
    flows |= {INCOME: 0.1, "ProfitLoss": 0.105, CASH: 0.2, CAPEX: 0.05, "PaymentsToAcquireProductiveAssets": 0.05}
    company = Company()
    for year in range(3):
        for n in range(4):
            figures: dict[str, dict[str, float]] = {tag: {} for tag in flows}
            for past in (year, year - 1):
                if past < 0:
                    continue
                quarter, to_date = amounts[4 * past + n], sum(amounts[4 * past : 4 * past + n + 1])
                for tag, share in flows.items():
                    figures[tag][f"{2017 + past}-01-01/{2017 + past}-{ends[n]}"] = share * to_date
                    if n < 3 and tag not in (CASH, CAPEX, "PaymentsToAcquireProductiveAssets"):
                        figures[tag][f"{2017 + past}-{starts[n]}/{2017 + past}-{ends[n]}"] = share * quarter
            end = f"{2017 + year}-{ends[n]}"
            figures |= {"Assets": {end: 900.0}, "Liabilities": {end: 500.0}, EQUITY: {end: 380.0}}
            figures |= {"AssetsCurrent": {end: 300.0}, "LiabilitiesCurrent": {end: 200.0}, "InventoryNet": {end: 40.0}}
            figures["StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest"] = {end: 400.0}
            published = f"{2017 + year + (n == 3)}-{filed[n]}"
            company.file(f"{year}{n}", published, "10-K" if n == 3 else "10-Q", figures)
    return amounts, company


def test_of_an_ordinary_company_no_quarter_and_no_column_is_lost():
    amounts, company = three_years()
    table = fundamentals(company)
    assert table["revenue"].to_list() == pytest.approx(amounts)
    assert table["net_income"].to_list() == pytest.approx([0.1 * amount for amount in amounts])
    assert table["free_cash_flow"].to_list() == pytest.approx([0.15 * amount for amount in amounts])
    for column, value in {"gross_margin": 0.4, "operating_margin": 0.15, "net_margin": 0.1}.items():
        assert table[column].to_list() == pytest.approx([value] * 12)
    for column, value in {"current_ratio": 1.5, "quick_ratio": 1.3, "debt_to_equity": 500 / 380}.items():
        assert table[column].to_list() == pytest.approx([value] * 12)


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[list[float], Company]:
    """Three ordinary years in which filings lack the total, and have parts, late facts and doubled ones."""
    amounts, company = three_years()
    filings = sorted({(fact["filed"], fact["accn"]) for fact in company.gaap[INCOME]["units"]["USD"]})
    facts = company.gaap["Revenues"]["units"]["USD"]
    for filed, accession in filings:
        fault = draw(st.sampled_from(("none", "none", "part", "lacking", "late", "doubled")))
        own = [dict(fact) for fact in facts if fact["accn"] == accession]
        share = draw(st.floats(0.01, 0.3))
        if fault in ("part", "lacking"):  # a note's part, under a tag that the company has for nothing else
            spans = {f"{fact['start']}/{fact['end']}": share * fact["val"] for fact in own}
            company.file(accession, filed, own[0]["form"], {"SalesRevenueNet": spans})
        if fault == "lacking":  # the total has a tag of the company's own
            for tag in ("Revenues", TOTAL):
                kept = company.gaap[tag]["units"]["USD"]
                kept[:] = [fact for fact in kept if fact["accn"] != accession]
        if fault == "late":
            company.file(accession, filed, own[0]["form"], {"Revenues": {f"{own[0]['end']}/{filed[:8]}01": 3.0}})
        if fault == "doubled":
            facts += [fact | {"val": share * fact["val"]} for fact in own]
    return amounts, company


@settings(max_examples=30)  # three years of filings in each
@given(disturbed())
def test_a_disturbed_company_has_true_totals_or_none_and_no_jump_that_did_not_happen(made):
    amounts, company = made
    table = pd.DataFrame(edgar._rows(edgar._filings(company.facts)))
    ends = pd.date_range("2017-03-31", periods=12, freq="QE")
    true = dict(zip(ends, amounts, strict=True))
    assert set(table["period_end"]) == set(ends)
    for end, revenue, income in zip(table["period_end"], table["revenue"], table["net_income"], strict=True):
        assert np.isnan(revenue) or revenue == pytest.approx(true[end])
        assert income == pytest.approx(0.1 * true[end])


@settings(max_examples=30)  # three years of filings in each
@given(disturbed(), st.integers(1, 12))
def test_of_a_disturbed_company_what_is_filed_later_changes_no_row_of_before(made, filings):
    _, company = made
    table = pd.DataFrame(edgar._rows(edgar._filings(company.facts)))
    cut = pd.DataFrame(edgar._rows(edgar._filings(company.facts)[:filings]))
    assert_frame_equal(table[: len(cut)], cut)
