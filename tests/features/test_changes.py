"""Changes on the quarter and the year, worked by hand: late filings, revisions, gaps, and what was known when."""

from __future__ import annotations

import pandas as pd
import pytest

from llmguide.features.fundamentals import fundamental_facts
from llmguide.features.macro import macro_facts
from llmguide.sources.tables import Tables


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


def filings(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["published_at", "period_end", "revenue", "net_margin", "eps"])


# A fiscal year that ends on the last Saturday of September, as Apple's does.
APPLE_LIKE = filings(
    ("2017-01-31 16:30", "2016-12-31", 80.0, 0.20, 2.0),
    ("2017-05-02 16:30", "2017-04-01", 50.0, 0.21, -0.5),
    ("2017-08-01 16:30", "2017-07-01", 45.0, 0.19, 1.0),
    ("2017-11-02 16:30", "2017-09-30", 55.0, 0.20, 0.0),
    ("2018-02-01 16:30", "2017-12-30", 88.0, 0.23, 3.0),
    ("2018-05-01 16:30", "2018-03-31", 60.0, 0.22, -0.25),
)


def known(frame, moment: str) -> dict[str, float]:
    facts = fundamental_facts(Tables(fundamentals=frame).until(at(moment)).fundamentals, at(moment))
    return {fact.name.removeprefix("fundamentals."): fact.value for fact in facts}


def test_changes_are_worked_by_hand():
    facts = known(APPLE_LIKE, "2018-05-01 16:30")
    assert facts == pytest.approx(
        {
            "net_margin_qoq": -0.01,
            "net_margin_yoy": 0.01,
            "eps_qoq": -3.25 / 3.0,
            "eps_yoy": 0.5,  # a loss of a half that became one of a quarter
            "revenue_qoq": 60 / 88 - 1,
            "revenue_yoy": 0.2,
        }
    )


def test_a_filing_is_not_known_a_minute_before_it_is_public():
    facts = known(APPLE_LIKE, "2018-05-01 16:29")
    assert facts["revenue_yoy"] == pytest.approx(0.1)  # the Christmas quarter's
    assert "eps_qoq" not in facts  # from nothing there is no change
    assert facts["eps_yoy"] == pytest.approx(0.5)


def test_a_late_filing_of_an_older_period_does_not_become_the_last_one():
    late = pd.concat([APPLE_LIKE.drop(2), APPLE_LIKE.iloc[[2]].assign(published_at="2018-05-20 12:00")])
    assert known(late, "2018-06-01") == known(APPLE_LIKE, "2018-06-01")


def test_an_amended_filing_counts_from_its_own_publication_for_both_sides_of_a_change():
    amended = pd.concat([APPLE_LIKE, filings(("2018-06-01 10:00", "2017-04-01", 48.0, None, None))])
    assert known(amended, "2018-06-01 09:59") == known(APPLE_LIKE, "2018-06-01 09:59")
    after = known(amended, "2018-06-01 10:00")
    assert after["revenue_yoy"] == pytest.approx(60 / 48 - 1)
    assert after["eps_yoy"] == pytest.approx(0.5)  # what the amendment leaves out stays as it was


def test_a_quarter_that_is_not_there_gives_no_change():
    facts = known(APPLE_LIKE.drop(4), "2018-05-02")
    assert "revenue_qoq" not in facts
    assert facts["revenue_yoy"] == pytest.approx(0.2)


def test_filings_that_ended_long_ago_say_nothing():
    assert known(APPLE_LIKE, "2019-05-01") != {}
    assert known(APPLE_LIKE, "2019-05-08") == {}


def test_levels_never_appear():
    facts = fundamental_facts(Tables(fundamentals=APPLE_LIKE).fundamentals, at("2018-06-01"))
    assert all(fact.name.endswith(("_qoq", "_yoy")) for fact in facts)
    texts = {fact.name: fact.text for fact in facts}
    assert texts["fundamentals.net_margin_qoq"] == "-1.00 percentage points"
    assert texts["fundamentals.revenue_yoy"] == "+20.0 %"


def macro(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["published_at", "series", "period_end", "value"])


def economy(frame, moment: str) -> dict[str, float]:
    facts = macro_facts(Tables(macro=frame).until(at(moment)).macro, at(moment))
    return {fact.name.removeprefix("macro."): fact.value for fact in facts}


def test_a_first_release_counts_until_its_revision_is_public():
    frame = macro(
        ("2017-10-27 08:30", "GDP", "2017-09-30", 100.0),
        ("2018-01-26 08:30", "GDP", "2017-12-31", 101.0),
        ("2018-02-28 08:30", "GDP", "2017-12-31", 102.0),
        ("2018-03-28 08:30", "GDP", "2017-09-30", 100.5),
    )
    assert economy(frame, "2018-01-26 08:29") == {}
    assert economy(frame, "2018-01-26 16:00") == {"gdp_qoq": pytest.approx(0.01)}
    assert economy(frame, "2018-02-28 16:00") == {"gdp_qoq": pytest.approx(0.02)}
    assert economy(frame, "2018-03-28 16:00") == {"gdp_qoq": pytest.approx(102 / 100.5 - 1)}
    assert economy(frame, "2018-09-28 16:00") == {}


def test_monthly_series_are_compared_over_three_and_twelve_months():
    ends = pd.date_range("2017-01-31", "2018-02-28", freq="ME")
    rows = [
        (end + pd.Timedelta(days=10), series, end, 100.0 + step)
        for series in ("CCI", "M2", "PPI", "PMI")
        for step, end in enumerate(ends)
    ]
    assert economy(macro(*rows), "2018-03-12 16:00") == pytest.approx(
        {"pmi": 113.0, "cci_qoq": 113 / 110 - 1, "m2_qoq": 113 / 110 - 1, "ppi_yoy": 113 / 101 - 1}
    )
    # The February figure, dated without an hour, is not known on the day of its release.
    assert economy(macro(*rows), "2018-03-10 16:00")["pmi"] == 112.0


def test_yields_change_by_points_and_the_spread_is_a_level():
    frame = macro(
        ("2017-03-02", "DGS10", "2017-03-01", 2.46),
        ("2018-03-02", "DGS10", "2018-03-01", 2.81),
        ("2018-03-02", "T10Y2Y", "2018-03-01", 0.59),
    )
    table, moment = Tables(macro=frame).macro, at("2018-03-05 16:00")
    facts = {fact.name: fact for fact in macro_facts(table, moment, "absolute")}
    assert facts["macro.dgs10_yoy"].value == pytest.approx(0.35)
    assert facts["macro.dgs10_yoy"].text == "+0.35 percentage points"
    assert facts["macro.t10y2y"].text == "+0.59 percentage points"
    relative = {fact.name: fact.text for fact in macro_facts(table, moment)}
    assert relative == {
        "macro.dgs10_yoy": "+0.35 percentage points",  # a change: told as it is
        "macro.t10y2y": "+0.6 percentage points",
    }
