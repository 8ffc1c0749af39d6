"""Files of bars, told apart by their content: CSV in its dialects, plain or compressed, Excel and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pandas as pd

from llmguide.errors import DataError
from llmguide.files import no_file
from llmguide.sources.bar_columns import has_prices

__all__ = ["read_file"]

_SEPARATORS = (";", "\t", "|")
_KLINES = ("open time", "open", "high", "low", "close", "volume")  # CCXT; Binance adds six more
_EPOCH = r"\d{9,19}"
_NUMBER = r"[+-]?[\d.]+(?:[eE][+-]?\d+)?"


def read_file(path: Path) -> tuple[pd.DataFrame, bool]:
    """Return the table in a file, and whether semicolons separate its cells; all cells of a CSV are text.

    Known are Parquet, CSV (plain, gzip, or alone in a zip archive) and, with openpyxl installed, Excel workbooks of
    one sheet. A CSV may be UTF-8 or UTF-16 (with its mark) or Windows-1252, be separated by commas, semicolons, tabs or
    bars, and have lines of other text above its header. Binance's and CCXT's candles have no header and are known by
    their columns; of anything else without one, the order of columns would be a guess.

    Raises DataError where there is no such file or it cannot be read.
    """
    if not path.is_file():
        raise DataError(no_file(path))
    data = path.read_bytes()
    if not data:
        raise DataError(f"{path} is empty")
    try:
        if data[:4] == b"PAR1":
            return pd.read_parquet(path), False
        if data[:4] == b"\xd0\xcf\x11\xe0":
            raise DataError(f"{path} is an old Excel workbook (.xls); save its sheet as CSV and read that")
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        elif data[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if "xl/workbook.xml" in archive.namelist():
                    return _with_header(path, _workbook(path)), False
                data = _only_member(path, archive)
        cells, separator = _text_cells(_decoded(data))
        return _with_header(path, cells), separator == ";"
    # What the parsers of pandas, pyarrow and the standard library raise.
    except (ValueError, OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, csv.Error) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{path} is neither a CSV nor a Parquet file that can be read: {reason}") from error


def _only_member(path: Path, archive: zipfile.ZipFile) -> bytes:
    """Return the one file of an archive, leaving out what macOS adds."""
    members = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(members) != 1:
        listed = ", ".join(members[:5]) + (", ..." if len(members) > 5 else "")
        raise DataError(f"{path} holds {len(members)} files ({listed}); unpack it and read one of them")
    return archive.read(members[0])


def _workbook(path: Path) -> pd.DataFrame:
    """Return the cells of the only sheet of a workbook that has any."""
    try:
        sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=object, engine="openpyxl")
    except ImportError as error:
        raise DataError(
            f"{path} is an Excel workbook, and openpyxl is not installed; save its sheet as CSV and read "
            "that, or run: pip install openpyxl"
        ) from error
    filled = {name: sheet for name, sheet in sheets.items() if not sheet.empty}
    if len(filled) != 1:
        raise DataError(
            f"{path} has {len(filled)} sheets with cells ({', '.join(map(str, filled)) or 'none'}); save the one with "
            "the bars as CSV and read that"
        )
    (sheet,) = filled.values()
    rows = sheet.iloc[:50].fillna("").astype(str).values.tolist()
    return sheet.iloc[_lines_above(rows) :].dropna(axis=1, how="all").reset_index(drop=True)


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    if b"\x00" in data:
        raise ValueError("it is not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _text_cells(text: str) -> tuple[pd.DataFrame, str]:
    """Return the cells of a CSV from its header on, all as text and none taken as a header, and their separator."""
    declared = re.match(r"sep=(.)\r?\n", text)  # Excel's own first line
    if declared:
        text = text[declared.end() :]
    lines = text.splitlines()
    head = [line for line in lines[:50] if line.strip()]
    separator = declared[1] if declared else _separator(head)
    above = _lines_above(list(csv.reader(lines[:50], delimiter=separator)))
    # No types yet: pandas would rename a repeated column and would guess numbers and dates.
    cells = pd.read_csv(
        io.StringIO("\n".join(lines[above:]) if above else text),
        sep=separator,
        header=None,
        dtype=str,
        skipinitialspace=True,
    )
    # A separator at the end of every line makes a column of nothing.
    return cells.dropna(axis=1, how="all"), separator


def _separator(lines: list[str]) -> str:
    """Return what cuts nearly all lines into the same number of cells, at least a date and four prices; or a comma."""
    for separator in _SEPARATORS:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=separator))
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        if width >= 5 and (count >= 0.8 * len(lines) or separator not in "".join(lines[: len(lines) - count])):
            return separator
    return ","


def _lines_above(rows: list[list[str]]) -> int:
    """How many rows stand above the header; rows as wide as it are not above it, but belong to it."""
    for i, row in enumerate(rows):
        if has_prices(row):
            width = sum(bool(cell.strip()) for cell in row)
            return i if all(sum(bool(cell.strip()) for cell in above) < width - 1 for above in rows[:i]) else 0
    return 0


def _with_header(path: Path, cells: pd.DataFrame) -> pd.DataFrame:
    """Take the column names from the first row; from two, and a third with the index name, as yfinance frames have."""
    header = cells.fillna("").astype(str)
    first = header.iloc[0].str.strip()
    if len(first) >= 5 and first.iloc[1:5].str.fullmatch(_NUMBER).all():
        return _without_header(path, cells, first)
    corner = header.iloc[:2, 0].str.strip().str.lower().tolist()
    if len(cells) < 3 or not set(corner) <= {"price", "ticker", ""}:
        return cells.iloc[1:].reset_index(drop=True).set_axis(header.iloc[0], axis=1)
    has_index_row = (header.iloc[2, 1:] == "").all()
    values = cells.iloc[3 if has_index_row else 2 :]
    columns = pd.MultiIndex.from_arrays([header.iloc[0, 1:], header.iloc[1, 1:]])
    return values.iloc[:, 1:].set_axis(columns, axis=1).set_axis(pd.Index(values.iloc[:, 0]))


def _without_header(path: Path, cells: pd.DataFrame, first: pd.Series) -> pd.DataFrame:
    """Name the columns of Binance's and CCXT's candles, where high and low prove that they stand in that order.

    Coinbase's and Bitfinex's candles have as many columns, and open, high, low and close in another order.
    """
    if len(first) in (6, 12) and re.fullmatch(_EPOCH, first.iloc[0]):
        prices = cells.iloc[:, 1:5].apply(pd.to_numeric, errors="coerce")
        ordered = (prices.iloc[:, 1] >= prices.max(axis=1)) & (prices.iloc[:, 2] <= prices.min(axis=1))
        if ordered.all():
            names = (*_KLINES, *(f"unused {i}" for i in range(6)))
            return cells.set_axis(pd.Index(names[: len(first)]), axis=1)
    raise DataError(
        f"{path} has no header (its first row: {', '.join(first.iloc[:6])}), and the order of its columns cannot be "
        "known; name them, as in pandas.read_csv(path, names=['date', 'open', 'high', 'low', 'close', 'volume']), and "
        "pass the frame"
    )
