"""News is dated by the moment at which its text was surely known, and a failing service is one clear line."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from recorded_http import Answer, Asked, RecordedHttp

from llmguide.errors import DataError, MissingExtra
from llmguide.sources import _http
from llmguide.sources.alpaca import download_news
from llmguide.sources.tables import Tables, read_table

KEYS = {"key_id": "PKTESTKEYID", "secret": "s3cr/et+value"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "FIRST_PAUSE_SECONDS", 0.001)
    for variable in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(variable, raising=False)


def article(number: int, created: str, updated: str | None = None, **changes: Any) -> dict[str, Any]:
    """One article in the shape of https://docs.alpaca.markets/us/reference/news-3."""
    return {
        "id": number,
        "headline": f"Headline {number}",
        "author": "A. Writer",
        "created_at": created,
        "updated_at": updated or created,
        "summary": "",
        "content": "",
        "url": f"https://www.benzinga.com/{number}",
        "images": [],
        "symbols": ["AAPL"],
        "source": "benzinga",
        **changes,
    }


def serve(articles: list[dict[str, Any]], *, per_page: int = 2, **options: Any) -> RecordedHttp:
    """A server with the articles in pages, whatever span is asked for."""

    def reply(asked: Asked) -> Answer:
        begin = int(asked.query.get("page_token", "0"))
        following = begin + per_page
        token = str(following) if following < len(articles) else None
        return Answer({"news": articles[begin:following], "next_page_token": token})

    return RecordedHttp(reply, **options)


def news(articles: list[dict[str, Any]], *, start: str = "2020", end: str = "2020") -> pd.DataFrame:
    with serve(articles) as server:
        return download_news("AAPL", start=start, end=end, base_url=server.url, **KEYS)


def test_all_pages_come_back_as_a_table_in_new_york_time():
    articles = [
        article(1, "2020-01-02T14:30:00Z"),
        article(2, "2020-01-03T21:05:06.123456Z", summary="Two\r\n lines &amp; more"),
        article(3, "2020-07-01T13:00:00Z", headline="Apple&#39;s  profit", source="other"),
    ]
    with serve(articles) as server:
        table = download_news(" aapl ", start="2020-01", end="2020-07-01", base_url=server.url, **KEYS)
    assert table.to_dict("list") == {
        "published_at": [
            pd.Timestamp("2020-01-02 09:30"),  # winter: five hours behind UTC
            pd.Timestamp("2020-01-03 16:05:06.123456"),
            pd.Timestamp("2020-07-01 09:00"),  # summer: four
        ],
        "headline": ["Headline 1", "Headline 2", "Apple's profit"],
        "summary": ["", "Two lines & more", ""],
        "source": ["benzinga", "benzinga", "other"],
    }
    assert_frame_equal(read_table("news", table), table)
    first, second = server.asked
    assert first.path == "/v1beta1/news"
    assert first.query == {
        "symbols": "AAPL",
        "start": "2020-01-01T05:00:00Z",  # midnight in New York
        "end": "2020-07-02T03:59:59Z",
        "limit": "50",
        "sort": "asc",
    }
    assert second.query == {**first.query, "page_token": "2"}
    assert first.headers["apca-api-key-id"] == KEYS["key_id"]
    assert first.headers["apca-api-secret-key"] == KEYS["secret"]


def test_a_later_edit_is_not_known_at_the_first_publication():
    before = Tables(news=news([article(1, "2020-01-02T15:00:00Z")]))
    after = Tables(
        news=news([article(1, "2020-01-02T15:00:00Z"), article(2, "2020-01-02T15:00:00Z", "2020-03-01T20:00:00Z")])
    )
    for moment in ("2020-01-02 10:00", "2020-01-31", "2020-03-01 14:59:59"):
        then = pd.Timestamp(moment)
        assert_frame_equal(before.until(then).news, after.until(then).news)
    assert list(after.until(pd.Timestamp("2020-03-01 15:00")).news["headline"]) == ["Headline 1", "Headline 2"]


def test_an_article_edited_after_the_end_is_left_out():
    assert news([article(1, "2020-12-31T15:00:00Z", "2021-01-02T15:00:00Z")]).empty


def test_an_article_that_comes_on_two_pages_counts_once_in_its_last_form():
    table = news(
        [
            article(1, "2020-01-02T15:00:00Z"),
            article(2, "2020-01-03T15:00:00Z"),
            article(1, "2020-01-02T15:00:00Z", "2020-01-04T15:00:00Z", headline="Edited"),
        ]
    )
    assert list(table["headline"]) == ["Headline 2", "Edited"]


def test_articles_without_a_headline_are_left_out_and_no_articles_are_a_table_without_rows():
    assert news([article(1, "2020-01-02T15:00:00Z", headline=" ")]).empty
    empty = news([])
    assert list(empty.columns) == ["published_at", "headline", "summary", "source"]
    assert_frame_equal(read_table("news", empty), empty)


@pytest.mark.parametrize("stamp", [None, "soon", ""])
def test_an_article_without_a_time_is_refused(stamp: str | None):
    with pytest.raises(DataError, match=r"1 articles without a time of publication, the first with the id 7"):
        news([article(1, "2020-01-02T15:00:00Z"), article(7, "2020-01-02T15:00:00Z") | {"updated_at": stamp}])


def message(*first: Answer, **options: Any) -> str:
    """The one line that comes of these answers; asserts that no key is in it, nor a chain behind it."""
    with serve([], first=list(first)) as server, pytest.raises(DataError) as caught:
        download_news("AAPL", start="2020", end="2020", base_url=server.url, **{**KEYS, **options})
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "\n" not in str(error)
    assert not any(key in str(error) for key in KEYS.values())
    return str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_names_the_variables_and_is_not_tried_again(status: int):
    line = message(Answer({"message": f"forbidden for {KEYS['secret']}."}, status), Answer({}, 500))
    assert line == (
        f"Alpaca refused access (HTTP {status}: forbidden for ***); check APCA_API_KEY_ID and APCA_API_SECRET_KEY "
        "(keys of a free account: https://app.alpaca.markets)"
    )


def test_a_bad_request_and_an_unknown_path_say_what_alpaca_said():
    assert "did not accept the request for /v1beta1/news (HTTP 400: invalid start)" in message(
        Answer({"message": "invalid start"}, 400)
    )
    assert "Alpaca has nothing at /v1beta1/news (HTTP 404: Not Found)" in message(Answer(b"<html>gone</html>", 404))


def test_a_redirection_is_not_followed_since_it_would_carry_the_keys_along():
    with serve([]) as elsewhere:
        assert "HTTP 302" in message(Answer({}, 302, {"Location": elsewhere.url}))
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "fault",
    [
        Answer({"message": "too many requests."}, 429),
        Answer({"message": "too many requests."}, 429, {"Retry-After": "0"}),
        Answer(b"", 500),
        Answer(b"<html>busy</html>", 503),
        Answer({"news": []}, fault="cut"),
        Answer(b'{"news": [', 200),
    ],
)
def test_what_may_pass_is_tried_again(fault: Answer):
    with serve([article(1, "2020-01-02T15:00:00Z")], first=[fault, fault]) as server:
        table = download_news("AAPL", start="2020", end="2020", base_url=server.url, **KEYS)
    assert len(table) == 1
    assert len(server.asked) == 3


def test_what_does_not_pass_is_given_up_with_the_number_of_attempts():
    line = message(*[Answer({"message": "down"}, 503)] * _http.ATTEMPTS)
    assert line == ("Alpaca is not available (HTTP 503: down), in 5 attempts; check the network and try again later")
    assert "sent an answer that is not JSON: 'key ***'" in message(
        *[Answer(f"key {KEYS['secret']}".encode())] * _http.ATTEMPTS
    )


def test_the_pause_that_the_service_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    monkeypatch.setattr(_http.time, "sleep", slept.append)
    monkeypatch.setattr(_http.time, "time", lambda: 1_600_000_000.0)
    limits = [
        Answer({}, 429, {"Retry-After": "7"}),
        Answer({}, 429, {"Retry-After": "Sun, 13 Sep 2020 12:26:51 GMT"}),
        Answer({}, 429, {"X-RateLimit-Reset": "1600000030"}),
        Answer({}, 500),
    ]
    with serve([], first=limits) as server:
        download_news("AAPL", start="2020", end="2020", base_url=server.url, **KEYS)
    assert slept == [7.0, 11.0, 30.0, 0.008]
    assert "asks clients to wait 3600 seconds; try again later" in message(Answer({}, 429, {"Retry-After": "3600"}))


def test_a_service_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_http, "REQUEST_SECONDS", 0.05)
    assert "did not answer within 0 seconds, in 5 attempts" in message(*[Answer({}, fault="hang")] * _http.ATTEMPTS)


def test_a_service_that_is_not_there_is_one_line():
    with serve([]) as server:
        pass
    with pytest.raises(DataError, match=r"^Alpaca was not reached: .*refused, in 5 attempts; check the network"):
        download_news("AAPL", start="2020", end="2020", base_url=server.url, **KEYS)
    with pytest.raises(DataError, match=r"base_url is an address like 'https://example.org', not 'somewhere'"):
        download_news("AAPL", start="2020", end="2020", base_url="somewhere", **KEYS)


def test_ctrl_c_passes_through(monkeypatch: pytest.MonkeyPatch):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_http.time, "sleep", interrupt)
    with serve([], first=[Answer({}, 500)]) as server, pytest.raises(KeyboardInterrupt):
        download_news("AAPL", start="2020", end="2020", base_url=server.url, **KEYS)


def test_keys_come_from_the_environment_and_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch):
    with serve([]) as server:
        with pytest.raises(
            DataError, match=r"^a key id for Alpaca is needed: set the environment variable APCA_API_KEY_ID"
        ):
            download_news("AAPL", start="2020", end="2020", base_url=server.url)
        monkeypatch.setenv("APCA_API_KEY_ID", KEYS["key_id"])
        with pytest.raises(DataError, match="APCA_API_SECRET_KEY"):
            download_news("AAPL", start="2020", end="2020", base_url=server.url)
        assert server.asked == []
        monkeypatch.setenv("APCA_API_SECRET_KEY", f" {KEYS['secret']}\n")
        download_news("AAPL", start="2020", end="2020", base_url=server.url)
        assert server.asked[0].headers["apca-api-secret-key"] == KEYS["secret"]
        with pytest.raises(DataError, match="cannot be sent; copy it again") as caught:
            download_news("AAPL", start="2020", end="2020", base_url=server.url, key_id="a\nb", secret="x")
        assert "a\nb" not in str(caught.value)


def test_no_key_is_logged(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG), serve([]) as server:
        download_news("AAPL", start="2020", end="2020", base_url=server.url, **KEYS)
    assert caplog.records
    assert not any(key in caplog.text for key in KEYS.values())


@pytest.mark.parametrize(
    ("symbol", "start", "end", "expected"),
    [
        ("AAPL MSFT", "2020", "2020", "one symbol like 'AAPL'"),
        ("", "2020", "2020", "one symbol like 'AAPL'"),
        ("AAPL", "sometime", "2020", "expected start to be a date"),
        ("AAPL", "2021", "2020", r"start \(2021\) is later than end \(2020\)"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_sent(symbol: str, start: str, end: str, expected: str):
    with serve([]) as server, pytest.raises(DataError, match=expected):
        download_news(symbol, start=start, end=end, base_url=server.url, **KEYS)
    assert server.asked == []


def test_without_requests_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(MissingExtra, match=r"llmguide\[data\]"):
        download_news("AAPL", start="2020", end="2020", **KEYS)


def test_a_token_that_comes_again_ends_in_an_error_and_not_in_a_loop():
    def reply(asked: Asked) -> Answer:
        return Answer({"news": [], "next_page_token": "same"})

    with RecordedHttp(reply) as server, pytest.raises(DataError, match="same page twice"):
        download_news("AAPL", start="2020", end="2020", base_url=server.url, **KEYS)
    with RecordedHttp(lambda asked: Answer([1])) as server, pytest.raises(DataError, match="no list 'news'"):
        download_news("AAPL", start="2020", end="2020", base_url=server.url, **KEYS)
