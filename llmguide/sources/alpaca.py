"""News of one instrument from Alpaca (extra `data`), which passes on Benzinga's since 2015.

Through plain requests: alpaca-py brings four more packages for this one request, and sets no time limit on it.
"""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from llmguide.bars import Bound, bound_period
from llmguide.errors import DataError
from llmguide.sources._http import JsonService, credential
from llmguide.sources.tables import read_table

__all__ = ["download_news"]

BASE_URL = "https://data.alpaca.markets"
WHERE = "keys of a free account: https://app.alpaca.markets"
PER_PAGE = 50  # the most that Alpaca sends at once
EXCHANGE = "America/New_York"
_STAMPS: dict[str, Any] = {"format": "ISO8601", "utc": True, "errors": "coerce"}


def download_news(
    symbol: str,
    *,
    start: Bound,
    end: Bound,
    key_id: str | None = None,
    secret: str | None = None,
    base_url: str = BASE_URL,
) -> pd.DataFrame:
    """Return a `news` table of what was published about `symbol` from `start` to `end`, both inclusive, oldest first.

    Columns: published_at (naive, New York), headline, summary ("" where there is none), source.

    An article may have been edited after it came out, headline included, and only its last form is kept by Alpaca. So
    published_at is the time of that last edit where it is later than the first publication: the text was surely known
    then, perhaps earlier. An article edited after `end` is left out.

    `key_id` and `secret` are Alpaca's, the environment's APCA_API_KEY_ID and APCA_API_SECRET_KEY by default. A span
    without news gives a table without rows. Raises DataError without keys, for bounds that are no dates, and when
    Alpaca cannot be reached or refuses; MissingExtra without requests.
    """
    if not isinstance(symbol, str) or len(symbol.split()) != 1:
        raise DataError(f"expected one symbol like 'AAPL', not {symbol!r}")
    symbol = symbol.strip().upper()
    first = bound_period("start", start).start_time.tz_localize(EXCHANGE)
    last = bound_period("end", end).end_time.tz_localize(EXCHANGE)
    if last < first:
        raise DataError(f"start ({start}) is later than end ({end}); swap them")
    key_id = credential(key_id, "APCA_API_KEY_ID", what="a key id for Alpaca", where=WHERE)
    secret = credential(secret, "APCA_API_SECRET_KEY", what="a secret key for Alpaca", where=WHERE)
    articles: dict[Any, dict[str, Any]] = {}  # by id: an article that is edited while it is asked for comes twice
    with JsonService(
        "Alpaca",
        base_url,
        access=f"check APCA_API_KEY_ID and APCA_API_SECRET_KEY ({WHERE})",
        headers={"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret},
        secrets=(key_id, secret),
    ) as service:
        asked: dict[str, str | int] = {
            "symbols": symbol,
            "start": _utc(first),
            "end": _utc(last),
            "limit": PER_PAGE,
            "sort": "asc",
        }
        seen: set[str] = set()
        while True:
            answer = service.get("/v1beta1/news", asked)
            if not isinstance(answer, dict) or not isinstance(answer.get("news"), list):
                raise DataError("Alpaca's answer has no list 'news'; its format may have changed")
            articles |= {article.get("id"): article for article in answer["news"]}
            token = answer.get("next_page_token")
            if not token:
                break
            if token in seen:
                raise DataError("Alpaca sent the same page twice; try again later")
            seen.add(token)
            asked["page_token"] = token
    return _table(list(articles.values()), first, last)


def _table(articles: list[dict[str, Any]], first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    created, updated = (
        pd.Series(pd.to_datetime([str(article.get(field)) for article in articles], **_STAMPS))
        for field in ("created_at", "updated_at")
    )
    unreadable = (created.isna() | updated.isna()).to_numpy()
    if unreadable.any():
        article = articles[int(unreadable.argmax())]
        raise DataError(
            f"Alpaca sent {int(unreadable.sum())} articles without a time of publication, the first with the id "
            f"{article.get('id')!r}; its format may have changed"
        )
    published = created.where(created > updated, updated)
    texts = {field: [_text(article.get(field)) for article in articles] for field in ("headline", "summary", "source")}
    frame = pd.DataFrame({"published_at": published.dt.tz_convert(EXCHANGE).dt.tz_localize(None), **texts})
    return read_table("news", frame[(frame["headline"] != "") & published.between(first, last)])


def _text(value: object) -> str:
    """Plain text in one line: Benzinga's headlines hold HTML entities, its summaries line breaks."""
    return " ".join(html.unescape(str(value or "")).split())


def _utc(stamp: pd.Timestamp) -> str:
    return stamp.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
