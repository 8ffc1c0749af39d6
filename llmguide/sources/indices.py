"""Closes of the indices that describe the market, from Yahoo Finance through yfinance (extra `data`)."""

from __future__ import annotations

import pandas as pd

from llmguide.bars import Bound, bound_period
from llmguide.sources import layouts
from llmguide.sources.tables import read_table
from llmguide.sources.yahoo import daily_history

__all__ = ["download_market"]

TICKERS = {"SPX": "^GSPC", "NDX": "^NDX", "VIX": "^VIX"}


def download_market(*, start: Bound | None = None, end: Bound | None = None) -> pd.DataFrame:
    """Return a `market` table of the days from `start` to `end`, both inclusive.

    Columns: published_at (16:00 of the day, New York), date, and the closes of SPX (S&P 500), NDX (Nasdaq-100) and VIX
    (volatility index, which trades until 16:15). Indices pay no dividends: past closes stay as they are. A close that
    is missing on a day of the others is NaN; unlike missing bars it is not interpolated, since the table is read as it
    stood on each day. Without `end` the running day is left out.

    Raises what `llmguide.sources.yahoo.download` raises when nothing comes back.
    """
    closes = {name: _closes(ticker, start, end) for name, ticker in TICKERS.items()}
    return read_table("market", pd.DataFrame(closes).rename_axis("date").reset_index())


def _closes(ticker: str, start: Bound | None, end: Bound | None) -> pd.Series:
    _, table = layouts.read_table(daily_history(ticker, start=start, end=end))
    close = table["close"]
    if start is not None:
        close = close[close.index >= bound_period("start", start).start_time]
    if end is not None:
        close = close[close.index <= bound_period("end", end).end_time]
    return close[~close.index.duplicated(keep="last")]
