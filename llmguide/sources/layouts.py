"""The layouts in which vendors deliver bars, recognised and given one form.

Known layouts: yfinance (frames of `Ticker.history` and `download`, and either saved as CSV), Alpha Vantage (CSV, and a
frame made of its JSON), Stooq (both of its forms), vectorbt's `YFData`, Tiingo, Polygon, Alpaca, Nasdaq, Investing.com,
MetaTrader 5, Binance and CCXT, spreadsheets, and anything else with a date column and columns named open, high, low,
close and volume. Files, columns, numbers in text and dates have a module each; here they come together. What the
numbers say is checked by `llmguide.bars`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from llmguide.errors import DataError
from llmguide.sources.bar_columns import PRICES, date_columns, one_ticker, select_columns
from llmguide.sources.bar_dates import bar_dates, check_zone
from llmguide.sources.bar_files import read_file
from llmguide.sources.numerals import plain_numbers

__all__ = ["PRICES", "read_table"]


def read_table(source: Path | str | pd.DataFrame, *, tz: str | None = None) -> tuple[str, pd.DataFrame]:
    """Return the name of the source and its table: rows in their order, values as they came.

    The table has the columns open, high, low, close, volume if there is one, and "adj close" if there is one; others
    are left out. Numbers in text are rewritten where they are not in Python's form (see `numerals.plain_numbers`). Its
    index, named date, has naive nanosecond stamps.

    Where a day has one bar, or less, the stamp is a date at midnight. Without `tz` it is the date that the stamps' own
    clock showed, and that clock must show midnight: 10:00 in New York is midnight of the *next* day in Tokyo, and a bar
    must not be dated before it happened. (The latest may have any time of day: a running bar.) Weeks that are those of
    no market, with Sundays and without Fridays or with Saturdays and without Mondays, are refused: so look dates that
    were taken from another zone's clock.

    Intraday stamps are kept, as the clock showed them.

    Args:
        tz: IANA name of the exchange's time zone, as "Asia/Tokyo". Stamps that tell their zone are converted to it; of
            daily ones, the date is then taken. Daily stamps without a zone are, in this order: the zone's midnights in
            UTC; dates, where all are midnights; the exchange's own time, where all share one time of day, as 16:00.
            Intraday ones are the exchange's own time. Zones of markets that trade on Sundays allow it.

    Raises DataError when the source cannot be read, a column is missing or there twice, several tickers are there, the
    form of numbers is ambiguous, or a date cannot be parsed or may be another.
    """
    check_zone(tz)
    semicolons = False
    if isinstance(source, pd.DataFrame):
        name, table = "the frame", source
    elif isinstance(source, str | Path):
        path = Path(source).expanduser()
        name = path.name
        table, semicolons = read_file(path)
    else:
        raise DataError(f"expected bars as a path or a pandas DataFrame, got {type(source).__name__}")
    if table.empty:
        raise DataError(f"{name} holds no bars")
    table = one_ticker(name, table)
    dates = bar_dates(name, *date_columns(name, table), tz)
    chosen = select_columns(name, table).set_axis(dates)
    return name, plain_numbers(name, chosen, semicolons=semicolons)
