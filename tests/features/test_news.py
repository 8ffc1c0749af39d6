"""A month's headlines are those that became public within it, and none that came after its last bar."""

from __future__ import annotations

import pandas as pd
import pytest

from llmguide.features.moment import known_at
from llmguide.features.news import Headline, headlines
from llmguide.sources.tables import read_table


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


@pytest.fixture
def days() -> pd.DataFrame:
    return pd.DataFrame({"close": 1.0}, index=pd.bdate_range("2018-01-01", periods=40, name="date"))


@pytest.fixture
def news() -> pd.DataFrame:
    rows = [
        ("2018-01-12 16:00", "At the close 20 bars before", ""),
        ("2018-01-12 16:01", "A minute later", "With a summary."),
        ("2018-02-09 16:00", "At the last close", None),
        ("2018-02-09", "On the last day, nobody knows when", None),
        ("2018-02-09 16:00:01", "A second too late", None),
    ]
    return read_table("news", pd.DataFrame(rows, columns=["published_at", "headline", "summary"]))


def test_news_of_a_month_begin_after_one_close_and_end_at_another(days, news):
    assert days.index[29] == at("2018-02-09")
    assert headlines(days[:30], news) == (
        Headline(at("2018-01-12 16:01"), "A minute later: With a summary."),
        Headline(at("2018-02-09 16:00"), "At the last close"),
    )


def test_consecutive_months_share_no_headline_and_miss_none(days, news):
    months = [headlines(days[:t], news, every=5) for t in range(5, 41, 5)]
    assert [headline.text for month in months for headline in month] == [
        f"{headline}: {summary}" if summary else headline
        for headline, summary in zip(news["headline"], news["summary"], strict=True)
    ]


def test_without_a_table_there_are_none(days):
    assert headlines(days, None) == ()


def test_before_there_is_a_month_of_bars_news_count_from_the_first_close(days):
    early = [("2018-01-01 15:59", "Before"), ("2018-01-02 09:00", "After")]
    news = read_table("news", pd.DataFrame(early, columns=["published_at", "headline"]))
    assert [headline.text for headline in headlines(days[:5], news)] == ["After"]


def test_later_news_change_nothing(days, news):
    before = headlines(days[:30], news)
    later = news.assign(headline=news["headline"].where(news["published_at"] <= known_at(days[:30]), "changed"))
    assert headlines(days[:30], later) == before
    delayed = news.assign(published_at=news["published_at"].mask(news.index >= 3, at("2018-03-01")))
    assert headlines(days[:30], delayed) == before


def test_intraday_bars_are_known_at_their_own_stamp():
    hours = pd.DataFrame({"close": 1.0}, index=pd.date_range("2018-01-02 00:00", periods=30, freq="h"))
    assert known_at(hours[:12]) == at("2018-01-02 11:00")
    # The bar at midnight of the next day is an hour's bar, not that whole day's.
    assert known_at(hours[:25]) == at("2018-01-03 00:00")
