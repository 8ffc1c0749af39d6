"""The layouts in which vendors deliver bars, recognised and given one form.

Known layouts: yfinance (frames of `Ticker.history` and `download`, and either saved as CSV), Alpha Vantage (CSV, and a
frame made of its JSON), Stooq (both of its forms), vectorbt's `YFData`, and anything else with a date column and
columns named open, high, low, close and volume. Only names and dates are dealt with here; what the numbers say is
checked by `llmguide.bars`.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pandas as pd

from llmguide.errors import DataError, did_you_mean

__all__ = ["PRICES", "read_table"]

PRICES = ("open", "high", "low", "close")
_DATES = ("date", "datetime", "timestamp", "time", "index", "")
_TICKERS = ("ticker", "symbol")
_ALIASES = {"vol": "volume", "adjusted close": "adj close", "adjclose": "adj close"}
# 2018-01-31, 2018/1/31 or 20180131, perhaps with a time, perhaps with an offset from UTC.
_STAMP = r"^(\d{4}([-/])\d{1,2}\2\d{1,2}|\d{8})([T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$"
_UTC = ("Z", "UTC", "+00:00", "+0000", "-00:00")


def read_table(source: Path | str | pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return the name of the source and its table, rows in their order, values as they came.

    The table has the columns open, high, low, close, volume if there is one, and "adj close" if there is one; others
    are left out. Its index, named date, has naive nanosecond stamps in *wall time*: a time zone is dropped and the
    clock it showed is kept. Where a day has one bar, the stamp is that date at midnight; intraday stamps are kept.

    Daily bars stamped in UTC at noon or later are refused: 15:00 UTC is midnight of the *next* day in Tokyo, but still
    the same day in New York, and a bar must not be dated before it happened.

    Raises DataError when the source cannot be read, a column is missing or there twice, several tickers are there, or
    a date cannot be parsed.
    """
    if isinstance(source, pd.DataFrame):
        name, table = "the frame", source
    elif isinstance(source, str | Path):
        path = Path(source).expanduser()
        name, table = path.name, _read_file(path)
    else:
        raise DataError(f"bars come from a path or a pandas DataFrame, not from {type(source).__name__}")
    if table.empty:
        raise DataError(f"{name} holds no bars")
    table = _one_ticker(name, _one_level(name, table))
    dates = _dates(name, table)
    return name, _select(name, table).set_axis(dates)


def _read_file(path: Path) -> pd.DataFrame:
    """Read CSV (plain or gzip) or Parquet, told apart by the first bytes; all cells of a CSV are read as text."""
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        raise DataError(f"{path} is empty")
    try:
        if head == b"PAR1":
            return pd.read_parquet(path)
        return _with_header(_read_csv(path, zipped=head[:2] == b"\x1f\x8b"))
    except (ValueError, OSError, EOFError, zlib.error) as error:  # What the parsers of pandas and pyarrow raise.
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{path} is neither a CSV nor a Parquet file that can be read: {reason}") from error


def _read_csv(path: Path, *, zipped: bool) -> pd.DataFrame:
    # Text cells, and no header yet: pandas would rename a repeated column and would guess numbers and dates.
    return pd.read_csv(path, header=None, dtype=str, skipinitialspace=True, compression="gzip" if zipped else None)


def _with_header(cells: pd.DataFrame) -> pd.DataFrame:
    """Take the column names from the first row; from two, and a third with the index name, as yfinance frames have."""
    corner = cells.iloc[:2, 0].fillna("").str.strip().str.lower().tolist()
    header = cells.fillna("").astype(str)
    if len(cells) < 3 or not set(corner) <= {"price", "ticker", ""}:
        return cells.iloc[1:].reset_index(drop=True).set_axis(header.iloc[0], axis=1)
    has_index_row = (header.iloc[2, 1:] == "").all()
    values = cells.iloc[3 if has_index_row else 2 :]
    columns = pd.MultiIndex.from_arrays([header.iloc[0, 1:], header.iloc[1, 1:]])
    return values.iloc[:, 1:].set_axis(columns, axis=1).set_axis(pd.Index(values[0]))


def _plain(name: object) -> str:
    """`" Adj_Close "`, `"<CLOSE>"` and `"5. adjusted close"` as the plain lower-case names that they mean."""
    text = re.sub(r"^\d+[a-z]?\.\s*", "", str(name).strip().strip("<>").lower())
    text = re.sub(r"[\s_]+", " ", text).strip()
    text = "" if text.startswith("unnamed:") else text
    return _ALIASES.get(text, text)


def _one_level(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Reduce the (price, ticker) columns of `yfinance.download`, in either order, to the prices of the one ticker."""
    if not isinstance(table.columns, pd.MultiIndex):
        return table
    levels = [table.columns.get_level_values(i) for i in range(table.columns.nlevels)]
    prices = [level for level in levels if set(PRICES) <= {_plain(column) for column in level}]
    if len(levels) != 2 or len(prices) != 1:
        raise DataError(
            f"{name} has {len(levels)} levels of columns; expected (price, ticker) or (ticker, price) with the prices "
            f"{', '.join(PRICES)}"
        )
    tickers = levels[1] if prices[0] is levels[0] else levels[0]
    _refuse_several(name, tickers)
    return table.set_axis(prices[0], axis=1)


def _one_ticker(name: str, table: pd.DataFrame) -> pd.DataFrame:
    for position, column in enumerate(table.columns):
        if _plain(column) in _TICKERS:
            _refuse_several(name, pd.Index(table.iloc[:, position]))
    return table


def _refuse_several(name: str, tickers: pd.Index) -> None:
    found = sorted({str(ticker) for ticker in tickers})
    if len(found) > 1:
        shown = ", ".join(found[:10]) + (", ..." if len(found) > 10 else "")
        raise DataError(f"{name} has {len(found)} tickers ({shown}); select one of them before reading it as bars")


def _select(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that bars are made of, under their plain names."""
    plain = [_plain(column) for column in table.columns]
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
            raise DataError(f"{name} has no column {wanted!r}{did_you_mean(wanted, others)} ({_shown(table)})")
    # Volume may be absent, as in many tables of rates; but not because its name was mistyped.
    if "volume" not in chosen and (hint := did_you_mean("volume", others)):
        raise DataError(f"{name} has no column 'volume'{hint}; rename it or drop it")
    return pd.DataFrame(chosen)


def _shown(table: pd.DataFrame) -> str:
    """The column names for a message, cut where they are no names: a page of HTML is one long "column"."""
    return "its columns: " + ", ".join(repr(str(column)[:40]) for column in table.columns[:12])


def _dates(name: str, table: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the dates of the rows by the rules of `read_table`."""
    plain = [_plain(column) for column in table.columns]
    named = [plain.index(date) for date in _DATES if date in plain]
    times = None
    if isinstance(table.index, pd.DatetimeIndex):
        given = pd.Series(table.index)
    elif named:
        given = table.iloc[:, named[0]].reset_index(drop=True)
        if plain[named[0]] == "date" and "time" in plain:
            times = table.iloc[:, plain.index("time")].reset_index(drop=True)
    elif not pd.api.types.is_numeric_dtype(table.index):
        given = pd.Series(table.index)
    else:
        raise DataError(f"{name} has neither an index of dates nor a column 'date' or 'timestamp' ({_shown(table)})")

    stamps, in_utc = _wall_time(given)
    if times is not None:
        stamps = stamps + _times(times)
    if stamps.isna().any():
        row = int(stamps.isna().to_numpy().argmax())
        raise DataError(
            f"{name}: {int(stamps.isna().sum())} dates cannot be read, the first in row {row + 1}: "
            f"{str(given.iloc[row])!r}; expected dates like 2018-01-31 (others are ambiguous: convert them with "
            "pandas.to_datetime and its format)"
        )
    days = stamps.dt.normalize()
    if days.nunique() >= 0.9 * len(days):  # A few double dates are errors in daily bars, not intraday bars.
        late = stamps.dt.hour >= 12
        if in_utc and late.any():
            raise DataError(
                f"{name}: daily bars stamped {stamps[late].iloc[0]} UTC may belong to that day or to the next; convert "
                "the index to the exchange's time zone first, as in frame.tz_convert('Asia/Tokyo')"
            )
        stamps = days
    return pd.DatetimeIndex(stamps.to_numpy(dtype="datetime64[ns]"), name="date")


def _wall_time(given: pd.Series) -> tuple[pd.Series, bool]:
    """Return the stamps as the clock showed them (NaT where unreadable), and whether that clock showed UTC."""
    if isinstance(given.dtype, pd.DatetimeTZDtype):
        return given.dt.tz_localize(None), str(given.dt.tz) in ("UTC", "UTC+00:00", "Etc/UTC")
    if pd.api.types.is_datetime64_dtype(given):
        return given, False
    parts = given.astype(str).str.strip().str.extract(_STAMP)
    stamps = pd.to_datetime(parts[0].str.cat(parts[2].fillna("")), format="ISO8601", errors="coerce")
    return stamps, bool(parts[3].isin(_UTC).all())


def _times(given: pd.Series) -> pd.Series:
    """Times of day as in Stooq's files, 93000 or 09:30 or 09:30:00, as timedeltas (NaT where unreadable)."""
    text = given.astype(str).str.strip()
    digits = text.str.replace(":", "").mask(text.str.count(":") == 1, text.str.replace(":", "") + "00").str.zfill(6)
    return pd.to_timedelta(digits.str[:2] + ":" + digits.str[2:4] + ":" + digits.str[4:], errors="coerce")
