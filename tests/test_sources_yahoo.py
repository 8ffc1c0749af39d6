"""Downloads either give bars in order or one clear line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from llmguide.bars import read_bars, sample_bars
from llmguide.errors import DataError, DataWarning, MissingExtra
from llmguide.sources import yahoo
from llmguide.sources.yahoo import download, save_bars

N = 60


def history(bars: pd.DataFrame) -> pd.DataFrame:
    """`yfinance.Ticker.history(auto_adjust=True, actions=False)`: midnights of the exchange, whole volumes."""
    frame = bars.rename(columns=str.title).astype({"Volume": "int64"})
    return frame.set_axis(frame.index.as_unit("s").tz_localize("America/New_York").rename("Date"))


class FakeYahoo(ModuleType):
    """A module with the one door of yfinance that is used, and a record of what was asked."""

    def __init__(self, answer: Callable[[], pd.DataFrame]) -> None:
        super().__init__("yfinance")
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer = answer

    def Ticker(self, ticker: str) -> SimpleNamespace:
        def ask(**options: Any) -> pd.DataFrame:
            self.asked.append((ticker, options))
            return self.answer()

        return SimpleNamespace(history=ask)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], pd.DataFrame]], FakeYahoo]:
    def install(answer: Callable[[], pd.DataFrame]) -> FakeYahoo:
        module = FakeYahoo(answer)
        monkeypatch.setitem(sys.modules, "yfinance", module)
        return module

    return install


@pytest.fixture
def bars() -> pd.DataFrame:
    return sample_bars(years=1).iloc[:N]


def test_bars_come_back_as_read_bars_returns_them(fake, bars: pd.DataFrame):
    fake(lambda: history(bars))
    assert_frame_equal(download("AAPL"), bars, check_freq=False)


def test_yahoo_is_asked_for_adjusted_daily_bars_with_an_end_that_is_included(fake, bars: pd.DataFrame):
    module = fake(lambda: history(bars))
    download(" aapl ")
    download("AAPL", start="2012", end="2012-03-23")
    (first, everything), (_, span) = module.asked
    assert first == "AAPL"
    common = {"interval": "1d", "auto_adjust": True, "actions": False, "timeout": 10.0}
    assert everything == {"period": "max", **common}
    assert span == {"start": pd.Timestamp("2012-01-01"), "end": pd.Timestamp("2012-03-24"), **common}


def test_bars_outside_the_span_are_cut_even_if_they_were_sent(fake, bars: pd.DataFrame):
    fake(lambda: history(bars))
    read = download("AAPL", start="2012-01-10", end="2012-03-09")
    assert_frame_equal(read, bars.loc["2012-01-10":"2012-03-09"], check_freq=False)


def test_the_bar_of_the_running_day_is_left_out_and_that_is_said_where_it_was_asked_for(fake, bars: pd.DataFrame):
    today = pd.Timestamp.now(tz="America/New_York").normalize()
    running = history(bars).set_axis(pd.date_range(end=today, periods=N, name="Date"))
    fake(lambda: running)
    assert download("AAPL").index[-1] == today.tz_localize(None) - pd.Timedelta(days=1)
    for end in (today.date(), str(today.year)):
        with pytest.warns(DataWarning, match=f"the bar of {today:%Y-%m-%d} is left out"):
            read = download("AAPL", end=end)
        assert read.index[-1] == today.tz_localize(None) - pd.Timedelta(days=1)


def one_line(call: Callable[[], object], capfd: pytest.CaptureFixture[str]) -> str:
    """The message of the DataError that a call raises, which is one line, alone, and not part of a chain."""
    with pytest.raises(DataError) as caught:
        call()
    assert capfd.readouterr() == ("", "")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_unknown_ticker_is_one_line_with_what_yahoo_said(
    fake, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    def delisted() -> pd.DataFrame:
        logging.getLogger("yfinance").error("$APPL: possibly delisted; no timezone found")
        logging.getLogger("yfinance").error("\n1 Failed download:")
        return pd.DataFrame(columns=["Open", "High", "Low", "Close", "Adj Close", "Volume"])

    fake(delisted)
    assert one_line(lambda: download("appl", start="2018"), capfd) == (
        "Yahoo Finance returned no bars of APPL from 2018 to the last: $APPL: possibly delisted; no timezone found; "
        "check the network, the ticker and the dates, or read a file of your own"
    )
    assert caplog.records == []


def test_an_error_inside_yfinance_is_one_line(fake, capfd: pytest.CaptureFixture[str]):
    def broken() -> pd.DataFrame:
        raise KeyError("chart\nand much more " + 300 * "x")

    fake(broken)
    message = one_line(lambda: download("AAPL"), capfd)
    assert "KeyError: 'chart" in message
    assert len(message) < 400


def test_nothing_at_all_is_one_line(fake, capfd: pytest.CaptureFixture[str]):
    fake(pd.DataFrame)
    assert "no reason given" in one_line(lambda: download("AAPL"), capfd)


def test_a_download_that_hangs_is_given_up(fake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.setattr(yahoo, "DEADLINE_SECONDS", 0.05)
    fake(lambda: time.sleep(0.5) or pd.DataFrame())
    began = time.monotonic()
    assert "no answer within 0 seconds" in one_line(lambda: download("AAPL"), capfd)
    assert time.monotonic() - began < 0.4


def test_prices_that_yfinance_failed_to_adjust_are_refused(fake, bars: pd.DataFrame):
    fake(lambda: history(bars).assign(**{"Adj Close": 1.0}))
    with pytest.raises(DataError, match="could not be adjusted"):
        download("AAPL")


def test_warnings_inside_yfinance_are_silent_and_its_logging_is_given_back(fake, bars: pd.DataFrame):
    logger = logging.getLogger("yfinance")
    before = (list(logger.handlers), logger.propagate)

    def chatty() -> pd.DataFrame:
        warnings.warn_explicit("inplace is deprecated", DeprecationWarning, "multi.py", 220, module="yfinance.multi")
        return history(bars)

    fake(chatty)
    download("AAPL")
    assert (list(logger.handlers), logger.propagate) == before


@pytest.mark.parametrize("ticker", ["", "  ", "AAPL MSFT", None, ["AAPL"]])
def test_what_is_not_one_ticker_is_refused(fake, ticker: object):
    module = fake(pd.DataFrame)
    with pytest.raises(DataError, match="expected one ticker"):
        download(ticker)  # type: ignore[arg-type]  # wrong on purpose
    assert module.asked == []


def test_a_wrong_date_is_refused_before_yahoo_is_asked(fake):
    module = fake(pd.DataFrame)
    with pytest.raises(DataError, match="expected end to be a date"):
        download("AAPL", end="someday")
    assert module.asked == []


def test_without_yfinance_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(MissingExtra, match=r"pip install 'llmguide\[data\]'"):
        download("AAPL")


def chart(bars: pd.DataFrame) -> dict[str, Any]:
    """Yahoo's reply for unadjusted bars of a share that later paid half of its price as a dividend."""
    opens = [int(day.timestamp()) for day in bars.index.tz_localize("America/New_York") + pd.Timedelta(hours=9.5)]
    quote = {column: (2 * bars[column]).to_list() for column in ("open", "high", "low", "close")}
    quote["volume"] = bars["volume"].astype(int).to_list()
    period = {"timezone": "EST", "start": 0, "end": 1, "gmtoffset": -18000}
    meta = {
        "currency": "USD",
        "symbol": "AAPL",
        "instrumentType": "EQUITY",
        "exchangeTimezoneName": "America/New_York",
        "timezone": "EST",
        "gmtoffset": -18000,
        "priceHint": 2,
        "dataGranularity": "1d",
        "validRanges": ["1d", "max"],
        "currentTradingPeriod": {"pre": period, "regular": period, "post": period},
        "firstTradeDate": opens[0],
        "regularMarketTime": opens[-1],
    }
    result = {
        "meta": meta,
        "timestamp": opens,
        "events": {"dividends": {str(opens[-1]): {"amount": 0.5, "date": opens[-1]}}},
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": bars["close"].to_list()}]},
    }
    return {"chart": {"result": [result], "error": None}}


@pytest.mark.parametrize("start", [None, "2012-01-02"])
def test_the_real_yfinance_on_a_made_reply_gives_adjusted_bars(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bars: pd.DataFrame, start: str | None
):
    yfinance = pytest.importorskip("yfinance")
    yfinance.set_tz_cache_location(str(tmp_path))
    reply = SimpleNamespace(text="", status_code=200, json=lambda: chart(bars))
    for door in ("get", "cache_get"):
        monkeypatch.setattr(f"yfinance.data.YfData.{door}", lambda *_args, **_options: reply)
    assert_frame_equal(download("AAPL", start=start), bars, check_freq=False, rtol=1e-12)


def test_the_real_yfinance_without_a_network_is_one_line_and_quick():
    """In a process of its own, so that nothing it would print can hide; the proxy leads nowhere."""
    pytest.importorskip("yfinance")
    script = (
        "from llmguide.errors import DataError\n"
        "from llmguide.sources.yahoo import download\n"
        "try:\n"
        "    download('AAPL', start='2018', end='2019')\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    caches = "ignore:unclosed database:ResourceWarning"  # yfinance's own, which Python 3.13 tells of
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", caches, "-c", script],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("Yahoo Finance returned no bars of AAPL from 2018 to 2019: ")


@pytest.mark.parametrize("name", ["aapl.parquet", "aapl.csv"])
def test_saved_bars_are_read_back_equal(tmp_path: Path, bars: pd.DataFrame, name: str):
    path = save_bars(bars, tmp_path / "folder" / name)
    assert path == tmp_path / "folder" / name
    assert_frame_equal(read_bars(path), bars, check_freq=False)
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bars: pd.DataFrame):
    def disk_full(_frame: pd.DataFrame, path: Path) -> None:
        path.write_bytes(b"PAR1 and half of the bars")
        raise OSError("no space left on device")

    path = save_bars(bars, tmp_path / "aapl.parquet")
    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_parquet", disk_full)
        with pytest.raises(OSError, match="no space left"):
            save_bars(bars * 2, path)
    assert_frame_equal(read_bars(path), bars, check_freq=False)
    assert list(tmp_path.iterdir()) == [path]


def test_bars_are_saved_as_parquet_or_csv_only(tmp_path: Path, bars: pd.DataFrame):
    with pytest.raises(DataError, match=r"ends in \.parquet or \.csv"):
        save_bars(bars, tmp_path / "aapl.xlsx")
