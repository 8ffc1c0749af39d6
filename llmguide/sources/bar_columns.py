"""The columns of a table of bars, by whatever names and levels vendors give them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from llmguide.errors import DataError, did_you_mean

__all__ = ["PRICES", "date_columns", "has_prices", "one_ticker", "plain_name", "select_columns", "shown"]

PRICES = ("open", "high", "low", "close")
_DATES = ("date", "datetime", "timestamp", "time", "index", "open time", "t", "")
_TICKERS = ("ticker", "symbol")
_ALIASES = {
    "vol": "volume",
    "vol.": "volume",
    "adjusted close": "adj close",
    "adjclose": "adj close",
    "close/last": "close",  # Nasdaq
    # German banks and exchanges, and Stooq's Polish site
    "datum": "date",
    "eröffnung": "open",
    "eröffnungskurs": "open",
    "eröffn.": "open",
    "erster": "open",
    "hoch": "high",
    "tief": "low",
    "schluss": "close",
    "schlusskurs": "close",
    "volumen": "volume",
    "data": "date",
    "otwarcie": "open",
    "najwyzszy": "high",
    "najnizszy": "low",
    "zamkniecie": "close",
    "wolumen": "volume",
}
# Alpaca and Polygon
_LETTERS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_LAST_PRICES = ("price", "last", "zuletzt")  # Investing.com and Barchart name the close so, and have no other.
_SHARES = ("stücke", "stuecke")  # Where German files have them, "Volumen" is money.


def plain_name(name: object) -> str:
    """`" Adj_Close "`, `"<CLOSE>"` and `"5. adjusted close"` as the plain lower-case names that they mean."""
    text = re.sub(r"^\d+[a-z]?\.\s*", "", str(name).strip().strip("<>").lower())
    text = re.sub(r"[\s_]+", " ", text).strip()
    text = "" if text.startswith("unnamed:") else text
    return _ALIASES.get(text, text)


def _plain_names(columns: Iterable[object]) -> list[str]:
    """The plain names of columns that stand together, where one tells what another means."""
    plain = [plain_name(column) for column in columns]
    if set("ohlc") <= set(plain) and not set(PRICES) & set(plain):
        plain = [_LETTERS.get(name, name) for name in plain]
    last = [name for name in _LAST_PRICES if name in plain]
    if "close" not in plain and len(last) == 1 and {"open", "high", "low"} <= set(plain):
        plain = ["close" if name == last[0] else name for name in plain]
    shares = [name for name in _SHARES if name in plain]
    if shares and "volume" in plain:
        plain = ["volume" if name == shares[0] else "turnover" if name == "volume" else name for name in plain]
    return plain


def has_prices(columns: Iterable[object]) -> bool:
    """Whether all four prices are among these names: whether they are a header."""
    return set(PRICES) <= set(_plain_names(columns))


def one_ticker(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Reduce a table to one level of columns and a plain index; refuse it where it holds several instruments.

    `yfinance.download` has columns of (price, ticker) in either order; Alpaca's and others' frames an index of
    (symbol, timestamp).
    """
    if isinstance(table.index, pd.MultiIndex):
        table = table.reset_index()
    if isinstance(table.columns, pd.MultiIndex):
        table = _one_level(name, table)
    for position, column in enumerate(table.columns):
        if plain_name(column) in _TICKERS:
            _refuse_several(name, pd.Index(table.iloc[:, position]))
    return table


def _one_level(name: str, table: pd.DataFrame) -> pd.DataFrame:
    levels = [table.columns.get_level_values(i) for i in range(table.columns.nlevels)]
    prices = [level for level in levels if set(PRICES) <= {plain_name(column) for column in level}]
    if len(levels) != 2 or len(prices) != 1:
        raise DataError(
            f"{name} has {len(levels)} levels of columns; expected (price, ticker) or (ticker, price) with "
            f"the prices {', '.join(PRICES)}"
        )
    tickers = levels[1] if prices[0] is levels[0] else levels[0]
    _refuse_several(name, tickers)
    return table.set_axis(prices[0], axis=1)


def _refuse_several(name: str, tickers: pd.Index) -> None:
    found = sorted({str(ticker) for ticker in tickers})
    if len(found) > 1:
        listed = ", ".join(found[:10]) + (", ..." if len(found) > 10 else "")
        raise DataError(f"{name} has {len(found)} tickers ({listed}); select one of them before reading it as bars")


def select_columns(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that bars are made of, under their plain names."""
    plain = _plain_names(table.columns)
    usable = (*PRICES, "volume")
    chosen = {}
    for wanted in (*usable, "adj close"):
        if plain.count(wanted) > 1:
            raise DataError(f"{name} has {plain.count(wanted)} columns for {wanted!r}; keep one of them")
        if wanted in plain:
            chosen[wanted] = table.iloc[:, plain.index(wanted)]
    others = [str(column) for column, known in zip(table.columns, plain, strict=True) if known not in usable]
    for wanted in PRICES:
        if wanted not in chosen:
            raise DataError(f"{name} has no column {wanted!r}{did_you_mean(wanted, others)} ({shown(table)})")
    # Volume may be absent, as in many tables of rates; but not because its name was mistyped.
    if "volume" not in chosen and (hint := did_you_mean("volume", others)):
        raise DataError(f"{name} has no column 'volume'{hint}; rename it or drop it")
    return pd.DataFrame(chosen)


def date_columns(name: str, table: pd.DataFrame) -> tuple[pd.Series, pd.Series | None]:
    """Return what stands for the dates, in the index or in a column, and the times of day beside it if there are."""
    plain = _plain_names(table.columns)
    named = [plain.index(date) for date in _DATES if date in plain]
    if isinstance(table.index, pd.DatetimeIndex | pd.PeriodIndex):
        return pd.Series(table.index), None
    if named:
        dates = table.iloc[:, named[0]].reset_index(drop=True)
        if plain[named[0]] == "date" and "time" in plain:
            return dates, table.iloc[:, plain.index("time")].reset_index(drop=True)
        return dates, None
    # Numbers of rows are no dates; 20180131 and seconds since 1970 are.
    if not pd.api.types.is_numeric_dtype(table.index) or (len(table) and table.index.min() >= 10_000_000):
        return pd.Series(table.index), None
    raise DataError(f"{name} has neither an index of dates nor a column 'date' or 'timestamp' ({shown(table)})")


def shown(table: pd.DataFrame) -> str:
    """The column names for a message, cut where they are no names: a page of HTML is one long "column"."""
    return "its columns: " + ", ".join(repr(str(column)[:40]) for column in table.columns[:12])
