"""Closes of the indices come from Yahoo's chart service as a market table, each day public at its close."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from recorded_http import Answer, Asked, RecordedHttp

from llmguide.errors import DataError
from llmguide.sources.indices import download_market
from llmguide.sources.tables import Tables, read_table

DAYS = ("2019-12-30", "2019-12-31", "2020-01-02", "2020-01-03")
CLOSES = {
    "^GSPC": [3221.29, 3230.78, 3257.85, 3234.85],
    "^NDX": [8709.73, 8733.07, 8872.22, 8793.90],
    "^VIX": [14.82, 13.78, None, 12.47],
}
ZONES = {"^VIX": "America/Chicago"}


def chart(ticker: str, closes: list[float | None]) -> dict[str, Any]:
    """One answer in the shape of https://query2.finance.yahoo.com/v8/finance/chart."""
    zone = ZONES.get(ticker, "America/New_York")
    stamps = pd.DatetimeIndex(DAYS).tz_localize(zone) + pd.Timedelta(hours=9, minutes=30)
    prices = dict.fromkeys(("open", "high", "low", "close"), closes)
    meta = {
        "currency": "USD",
        "symbol": ticker,
        "exchangeName": "SNP",
        "instrumentType": "INDEX",
        "firstTradeDate": -1325583000,
        "gmtoffset": -18000,
        "timezone": "EST",
        "exchangeTimezoneName": zone,
        "regularMarketTime": int(stamps[-1].timestamp()),
        "priceHint": 2,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "5d", "1mo", "1y", "max"],
    }
    result = {
        "meta": meta,
        "timestamp": [int(stamp.timestamp()) for stamp in stamps],
        "indicators": {
            "quote": [{**prices, "volume": [0 if close is None else 100 for close in closes]}],
            "adjclose": [{"adjclose": closes}],
        },
    }
    return {"chart": {"result": [result], "error": None}}


@pytest.fixture
def yahoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RecordedHttp]:
    """A loopback server in Yahoo's place; yfinance itself does the asking and the reading."""
    yfinance = pytest.importorskip("yfinance")
    from yfinance import base, data
    from yfinance.scrapers import history

    def reply(asked: Asked) -> Answer:
        ticker = asked.path.rpartition("/")[2]
        if ticker not in CLOSES:
            gone = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return Answer({"chart": {"result": None, "error": gone}}, 404)
        return Answer(chart(ticker, CLOSES[ticker]))

    yfinance.set_tz_cache_location(str(tmp_path))
    with RecordedHttp(reply) as server:
        for module in (base, history):
            monkeypatch.setattr(module, "_BASE_URL_", server.url)
        # The cookie is fetched from other hosts; the chart service answers without it.
        monkeypatch.setattr(data.YfData, "_get_cookie_and_crumb", lambda self, timeout=30: (None, "basic"))
        data.YfData().cache_get.cache_clear()
        yield server
    logging.getLogger("yfinance").handlers.clear()


def test_closes_of_three_indices_come_as_one_table(yahoo: RecordedHttp):
    market = download_market(start="2019-12-30", end="2020-01-03")
    assert_frame_equal(read_table("market", market), market)
    expected = pd.DataFrame(
        {
            "published_at": pd.DatetimeIndex(DAYS).astype("datetime64[ns]") + pd.Timedelta(hours=16),
            "date": pd.DatetimeIndex(DAYS).astype("datetime64[ns]"),
            "SPX": CLOSES["^GSPC"],
            "NDX": CLOSES["^NDX"],
            "VIX": [14.82, 13.78, np.nan, 12.47],
        }
    )
    assert_frame_equal(market, expected)
    asked = {ask.path for ask in yahoo.asked if "period1" in ask.query}
    assert asked == {f"/v8/finance/chart/{ticker}" for ticker in CLOSES}


def test_a_day_is_public_at_its_close_and_a_later_day_changes_nothing_before(
    yahoo: RecordedHttp, monkeypatch: pytest.MonkeyPatch
):
    before = Tables(market=download_market(start="2019-12-30", end="2020-01-03"))
    monkeypatch.setitem(CLOSES, "^GSPC", [*CLOSES["^GSPC"][:-1], 1.0])
    from yfinance import data

    data.YfData().cache_get.cache_clear()
    after = Tables(market=download_market(start="2019-12-30", end="2020-01-03"))
    for moment in pd.date_range("2019-12-30", "2020-01-03 15:59", freq="6h"):
        assert_frame_equal(before.until(moment).market, after.until(moment).market)
    assert len(after.until(pd.Timestamp("2020-01-03 15:59")).market) == 3
    assert after.until(pd.Timestamp("2020-01-03 16:00")).market["SPX"].iloc[-1] == 1.0


def test_an_index_that_yahoo_does_not_know_is_one_line(yahoo: RecordedHttp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(CLOSES, "^VIX")
    with pytest.raises(DataError, match=r"^Yahoo Finance returned no bars of \^VIX from 2019-12-30 to 2020-01-03: "):
        download_market(start="2019-12-30", end="2020-01-03")
