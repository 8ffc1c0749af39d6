"""Tables beside the bars, each row with the time at which it became public: market, macro, fundamentals, options, news.

| kind | one row is | required columns | further columns |
|---|---|---|---|
| market | a day | date | SPX, NDX, VIX (closes); published_at |
| macro | a release of one figure | published_at, series, period_end, value | |
| fundamentals | a filing | published_at, period_end | ratios, margins, amounts: `FUNDAMENTALS` |
| options | a day | date | otm_skew, atm_skew, itm_skew, implied_volatility; published_at |
| news | a headline | published_at, headline | summary, source |

`published_at` is naive and in the time of the bars' exchange. A value without a time of day is a date whose hour is not
known, and counts as public from the last microsecond of that day: no bar of that day sees it. Days of market and
options are public at 16:00 unless a column published_at says otherwise; it has to, where the bars' exchange closes
before the market that the row describes.

No row may be public before what it tells of can be known: days of market and options, and daily yields, at noon by
the clock of the bars' exchange; a filing, GDP, M2 and PPI on the day after their period; PMI and CCI from
the first day of their month on, since flash figures come out before the month is over.

A figure may be published several times (a revision, an amended filing): each time is a row of its own, and the latest
that was public at a moment is what was known then. See docs/tables.md.
"""

from __future__ import annotations

import difflib
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError, DataWarning, did_you_mean

__all__ = ["CLOSE", "FUNDAMENTALS", "INDICES", "MARGINS", "OPTIONS", "SERIES", "Kind", "Tables", "read_table"]

Kind = Literal["market", "macro", "fundamentals", "options", "news"]

INDICES = ("SPX", "NDX", "VIX")
SERIES = ("GDP", "PMI", "PPI", "CCI", "M2", "DGS10", "T10Y2Y")
MARGINS = ("gross_margin", "operating_margin", "net_margin")
FUNDAMENTALS = (
    *("current_ratio", "quick_ratio", "debt_to_equity", "pe"),
    *MARGINS,
    *("eps", "revenue", "net_income", "free_cash_flow"),
)
OPTIONS = ("otm_skew", "atm_skew", "itm_skew", "implied_volatility")

CLOSE = pd.Timedelta(hours=16)
"""Time of day at which daily bars, and daily rows of market and options, are complete."""

_END_OF_DAY = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)
_MISSING = ("", ".", "na", "n/a", "nan", "null", "none")
_NOON = pd.Timedelta(hours=12)
_SURVEYS = ("PMI", "CCI")
_DAILY = ("DGS10", "T10Y2Y")
_OWN: tuple[Kind, ...] = ("fundamentals", "options", "news")

# A date without a day, or an hour without minutes, would be read as the first moment of it, which is too early.
_DAY = r"\d{4}(?:[-/.]\d{1,2}[-/.]\d{1,2}|\d{4})"
_STAMP = rf"{_DAY}(?:[T ](?:\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?|\d{{4}}(?:\d{{2}}(?:\.\d+)?)?))?"
_ZONED = rf"{_DAY}(?:[T ][\d:.]+)?\s*(?:[Zz]|[A-Z]{{3,4}}|[A-Za-z]+/[A-Za-z_/]+|[+-]\d{{2}}(?::?\d{{2}})?)"
_EARLIEST, _LATEST = pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")  # within what 64 bits of nanoseconds hold


class _Layout(NamedTuple):
    required: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()  # together with published_at

    @property
    def columns(self) -> tuple[str, ...]:
        rest = (*self.required, *self.numbers, *self.texts)
        return tuple(dict.fromkeys(("published_at", *rest)))


_LAYOUTS: dict[Kind, _Layout] = {
    "market": _Layout(("date",), INDICES, unique=("date",)),
    "macro": _Layout(
        ("published_at", "series", "period_end", "value"), ("value",), ("series",), ("series", "period_end")
    ),
    "fundamentals": _Layout(("published_at", "period_end"), FUNDAMENTALS, unique=("period_end",)),
    "options": _Layout(("date",), OPTIONS, unique=("date",)),
    "news": _Layout(("published_at", "headline"), texts=("headline", "summary", "source")),
}


@dataclass(frozen=True, eq=False)
class Tables:
    """What is known beside the bars of one instrument; None for what a user does not have.

    Frames are checked by `read_table` as they come in, and are sorted by published_at.
    """

    market: pd.DataFrame | None = None
    macro: pd.DataFrame | None = None
    fundamentals: pd.DataFrame | None = None
    options: pd.DataFrame | None = None
    news: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for kind, frame in self.items():
            object.__setattr__(self, kind, read_table(kind, frame))

    @classmethod
    def read(cls, folder: Path | str, symbol: str) -> Tables:
        """Read ``market`` and ``macro`` from the folder, the other three from its subfolder `symbol`.

        Each is a ``.csv`` or a ``.parquet`` file, and None where there is no such file. Raises DataError when there is
        no such folder, not one table in it, no folder of this instrument though there are folders of others (an empty
        one says that it has no tables), a file whose name is nearly that of a table, or a table cannot be used.
        """
        return cls.read_many(folder, [symbol])[symbol]

    @classmethod
    def read_many(cls, folder: Path | str, symbols: Sequence[str]) -> dict[str, Tables]:
        """Read the tables of several instruments, each as `read` does.

        Where only some of the instruments have no folder, those have the shared tables, and one DataWarning names them.
        """
        root = Path(folder).expanduser()
        if not symbols:
            return {}
        if not root.is_dir():
            raise DataError(f"there is no folder of tables {root}")
        for symbol in symbols:
            if Path(symbol).name != symbol or symbol in ("", ".."):
                raise DataError(f"expected a symbol that can name a folder in {root}, got {symbol!r}")
        _check_folders(root, symbols)
        shared = _files(root, ("market", "macro"))
        own = {symbol: _files(root / symbol, _OWN) for symbol in symbols}
        if not shared and not any(own.values()):
            raise DataError(
                f"{root} holds no table: expected market or macro (.csv or .parquet) in it, or fundamentals, options "
                f"or news in {root / symbols[0]}"
            )
        frames = {kind: read_table(kind, path) for kind, path in shared.items()}
        return {
            symbol: cls(**frames, **{kind: read_table(kind, path) for kind, path in files.items()})
            for symbol, files in own.items()
        }

    def items(self) -> Iterator[tuple[Kind, pd.DataFrame]]:
        """The kinds that are there, and their tables."""
        for field in fields(self):
            frame = getattr(self, field.name)
            if frame is not None:
                yield cast(Kind, field.name), frame

    def until(self, moment: datetime) -> Tables:
        """Return the rows that were public at `moment` (naive, exchange time), those of that very moment included."""
        stamp = _naive(moment)
        cut = object.__new__(Tables)  # The rows have been checked.
        for field in fields(self):
            frame = getattr(self, field.name)
            if frame is not None:
                public = pd.DatetimeIndex(frame["published_at"]).searchsorted(stamp, side="right")
                frame = frame.iloc[: int(public)]
            object.__setattr__(cut, field.name, frame)
        return cut

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything in the tables, in hexadecimal."""
        digest = hashlib.sha256()
        for kind, frame in self.items():
            for name in frame.columns:
                digest.update(f"{kind}.{name}:{len(frame)};".encode())
                digest.update(_content(frame[name]))
        return digest.hexdigest()


def read_table(kind: Kind, path_or_frame: Path | str | pd.DataFrame) -> pd.DataFrame:
    """Read one table, and check every row of it.

    Names of columns are recognised in any case; so are dates and numbers written as text. A further column that is not
    there, or has no value in any row, is left out. What was returned once is returned unchanged.

    Returns:
        Rows sorted by published_at; stamps as datetime64[ns], numbers as float64 (NaN: not known), texts as str.

    Raises:
        DataError: the file cannot be read; a column is missing, double or not known; a stamp is missing, cannot be
            read, names no day or has a time zone; a number is not one, infinite, or cannot be what its column says; a
            row comes twice, or was published before what it tells of could be known (see above).
    """
    if kind not in _LAYOUTS:
        raise DataError(f"expected a kind of {', '.join(get_args(Kind))}, got {kind!r}{did_you_mean(kind, _LAYOUTS)}")
    layout = _LAYOUTS[kind]
    if isinstance(path_or_frame, pd.DataFrame):
        where, given = f"the table {kind!r}", path_or_frame
    elif isinstance(path_or_frame, str | Path):
        where, given = str(path_or_frame), _read_file(Path(path_or_frame).expanduser())
    else:
        raise DataError(f"a table comes from a path or a pandas DataFrame, not from {type(path_or_frame).__name__}")
    named = _named(where, given, layout)
    columns: dict[str, pd.Series] = {}
    for name in ("date", "period_end"):
        if name in layout.required:
            columns[name] = _days(where, named[name])
    columns["published_at"] = _published(where, named, columns.get("date"))
    columns |= {name: _numbers(where, named[name]) for name in layout.numbers if name in named}
    columns |= {name: _texts(where, named[name]) for name in layout.texts if name in named}
    table = pd.DataFrame({name: columns[name] for name in layout.columns if name in columns})
    _check(where, kind, table, layout)
    table = table.sort_values(["published_at", *layout.unique], kind="stable", ignore_index=True)
    unknown = [name for name in layout.numbers if name in table and name != "value" and table[name].isna().all()]
    return table.drop(columns=unknown)


def _check_folders(root: Path, symbols: Sequence[str]) -> None:
    """Refuse symbols that are not those of the folders, as far as this can be told from a lack of tables."""
    lacking = [symbol for symbol in symbols if not (root / symbol).is_dir()]
    there = sorted(path.name for path in root.iterdir() if path.is_dir() and _has_own(path)) if lacking else []
    if not there:
        return
    spelled = {name.lower() for name in there}
    mistaken = [symbol for symbol in lacking if symbol.lower() in spelled]
    if mistaken or len(lacking) == len(symbols):
        symbol = (mistaken or lacking)[0]
        raise DataError(
            f"{root} has no folder {symbol!r}{did_you_mean(symbol, there)} (only {_some(there)}); give the symbol as "
            "its folder is named (--symbol, or with --data the file's name); make an empty folder for an instrument "
            "that has no tables of its own"
        )
    warnings.warn(
        f"{root} has no folder of {_some(lacking)} ({len(lacking)} of {len(symbols)} instruments): only the tables "
        "that all instruments share are used there; empty folders would say that this is meant",
        DataWarning,
        stacklevel=3,
    )


def _has_own(folder: Path) -> bool:
    """Whether there are tables of an instrument, or its names (`llmguide.guidance.anonymise`)."""
    return any(
        path.stem.lower() in (*_OWN, "names") and path.suffix.lower() in (".csv", ".parquet", ".toml")
        for path in folder.iterdir()
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _files(folder: Path, kinds: tuple[Kind, ...]) -> dict[Kind, Path]:
    found: dict[Kind, Path] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() not in (".csv", ".parquet"):
            continue
        kind = next((known for known in kinds if known == path.stem), None)
        if kind is None:
            # Near misses only: files of bars, or of names, may lie beside the tables.
            if near := difflib.get_close_matches(path.stem.lower(), kinds, n=1, cutoff=0.8):
                raise DataError(f"{path} is not one of the tables {', '.join(kinds)}; did you mean {near[0]!r}?")
        elif kind in found:
            raise DataError(f"expected one table {kind!r} in {folder}, got {found[kind].name} and {path.name}")
        else:
            found[kind] = path
    return found


def _read_file(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        # Texts, as they stand: a headline may read "NA".
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # What the parsers of pandas and pyarrow raise.
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{path} is neither a CSV (UTF-8) nor a Parquet file that can be read: {reason}") from error
    return cells.iloc[1:].set_axis(cells.iloc[0], axis=1)


def _named(where: str, given: pd.DataFrame, layout: _Layout) -> pd.DataFrame:
    """Return the columns under their own names, in rows 0, 1, 2, ...; refuse missing, double and unknown ones."""
    known = {name.lower(): name for name in layout.columns}
    # Dates often are the index of a frame.
    indexed = str(given.index.name).lower() in known and given.index.name not in given.columns
    table = given.reset_index(drop=not indexed)
    names = []
    for column in table.columns:
        name = known.get(str(column).strip().lower())
        if name is None:
            raise DataError(
                f"{where}: unknown column {str(column)[:40]!r}{did_you_mean(str(column), layout.columns)} "
                f"(expected {', '.join(layout.columns)}); rename it or leave it out"
            )
        if name in names:
            raise DataError(f"{where}: expected one column {name!r}, got two; keep one of them")
        names.append(name)
    for name in layout.required:
        if name not in names:
            raise DataError(f"{where}: no column {name!r} (its columns: {', '.join(names)}); every row needs it")
    return table.set_axis(names, axis=1)


def _published(where: str, table: pd.DataFrame, dates: pd.Series | None) -> pd.Series:
    if "published_at" in table:
        stamps = _stamps(where, table["published_at"])
        return stamps.where(stamps != stamps.dt.normalize(), stamps + _END_OF_DAY)
    assert dates is not None  # The other kinds require published_at.
    return (dates + CLOSE).rename("published_at")


def _days(where: str, given: pd.Series) -> pd.Series:
    stamps = _stamps(where, given)
    _refuse(where, given, stamps != stamps.dt.normalize(), "a date without a time of day")
    return stamps


def _stamps(where: str, given: pd.Series) -> pd.Series:
    zoned = "a naive stamp in the exchange's own time", "convert it and drop the zone"
    if isinstance(given.dtype, pd.DatetimeTZDtype):
        _refuse(where, given, pd.Series(True, index=given.index), *zoned)
    if pd.api.types.is_datetime64_dtype(given.dtype):
        stamps = given
    else:
        text = given.astype(str).str.strip()
        _refuse(where, given, text.str.fullmatch(_ZONED), *zoned)
        stamps = pd.to_datetime(text.where(text.str.fullmatch(_STAMP)), format="ISO8601", errors="coerce")
    _refuse(where, given, stamps.isna(), "a date or time like 2018-01-31 or 2018-01-31 16:30")
    _refuse(where, given, (stamps < _EARLIEST) | (stamps >= _LATEST), "a year from 1700 to 2199")
    return stamps.astype("datetime64[ns]")


def _numbers(where: str, given: pd.Series) -> pd.Series:
    missing = given.isna() | given.astype(str).str.strip().str.lower().isin(_MISSING)
    if pd.api.types.is_bool_dtype(given.dtype):
        _refuse(where, given, ~missing, "a number")
    numbers = pd.to_numeric(given.mask(missing), errors="coerce").astype(np.float64)
    _refuse(where, given, (numbers.isna() & ~missing) | np.isinf(numbers), "a finite number, or nothing")
    return numbers + 0.0  # -0.0 becomes 0.0, so that equal tables have equal hashes.


def _texts(where: str, given: pd.Series) -> pd.Series:
    texts = given.where(given.notna(), "")
    _refuse(where, given, ~texts.map(lambda text: isinstance(text, str)).astype(bool), "a text")
    return texts.astype(object).str.strip()


def _check(where: str, kind: Kind, table: pd.DataFrame, layout: _Layout) -> None:
    """Refuse what cannot be true, as far as a row shows it."""
    if kind == "market":
        for name in INDICES:
            if name in table:
                _refuse(where, table[name], table[name] <= 0, "a close above zero")
    elif kind == "macro":
        for row, series in enumerate(table["series"]):
            if series not in SERIES:
                raise DataError(
                    f"{where}, row {row + 1}: expected a series of {', '.join(SERIES)}, got {series!r}"
                    f"{did_you_mean(series, SERIES)}"
                )
        _refuse(where, table["value"], table["value"].isna(), "a number", "leave the row out")
    elif kind == "fundamentals":
        _check_margins(where, table)
    elif kind == "options":
        if "implied_volatility" in table:
            volatility = table["implied_volatility"]
            _refuse(where, volatility, (volatility <= 0) | (volatility > 5), "a fraction a year, 0.25 for 25 %")
    else:
        _refuse(where, table["headline"], table["headline"] == "", "a headline", "leave the row out")
    _check_publication(where, kind, table)
    if layout.unique:
        twice = table.duplicated(["published_at", *layout.unique])
        if twice.any():
            raise DataError(
                f"{where}: row {int(twice.to_numpy().argmax()) + 1} has the same {', '.join(layout.unique)} and "
                "published_at as one before it; keep one of them"
            )


def _check_margins(where: str, table: pd.DataFrame) -> None:
    """Refuse margins in percent.

    A quarter's margin may be beyond 1 or -1 in truth, that of most quarters only where revenue is next to nothing:
    which the columns revenue and net_income tell, and percent are a hundred times more than they do. Those two tell of
    a net margin below 1 as well.
    """
    fraction = "a fraction, 0.38 for 38 %"
    if "gross_margin" in table:
        _refuse(where, table["gross_margin"], table["gross_margin"] > 1, fraction)
    worked = np.nan
    if {"revenue", "net_income"} <= set(table.columns):
        worked = (table["net_income"] / table["revenue"].where(table["revenue"] > 0)).abs().median()
    for name in MARGINS:
        middle = table[name].abs().median() if name in table else np.nan
        contradicted = name == "net_margin" and middle > 10 * worked > 0
        if contradicted or (middle > 1 and not middle <= 10 * worked):
            _refuse(
                where,
                table[name],
                table[name].abs() >= min(middle, 1.0),
                fraction,
                "divide the column by 100, or leave it out; margins that are beyond 100 % in most quarters need the "
                "columns revenue and net_income beside them",
            )


def _check_publication(where: str, kind: Kind, table: pd.DataFrame) -> None:
    """Refuse what was published before it can have been known."""
    published = table["published_at"]
    if "date" in table:
        _refuse(
            where,
            published,
            published < table["date"] + _NOON,
            "noon of the row's own date, or later",
            "give the close, 12:00 at least",
        )
    elif kind == "fundamentals":
        _refuse(where, published, published.dt.normalize() <= table["period_end"], "a filing after its period's end")
    elif kind == "macro":
        ends = table["period_end"]
        daily, survey = table["series"].isin(_DAILY), table["series"].isin(_SURVEYS)
        months = ends.dt.to_period("M").dt.start_time
        _refuse(where, published, daily & (published < ends + _NOON), "noon of its period_end, or later")
        _refuse(where, published, survey & (published < months), "a release in the month of its period_end, or later")
        early = ~daily & ~survey & (published.dt.normalize() <= ends)
        _refuse(where, published, early, "a release after its period_end")


def _refuse(where: str, given: pd.Series, wrong: pd.Series, expected: str, fix: str = "correct it") -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{where}, row {row + 1}, column {str(given.name)!r}: expected {expected}, got {str(given.iloc[row])!r}; "
            f"{fix}" + (f" ({int(wrong.sum())} rows are like this)" if wrong.sum() > 1 else "")
        )


def _naive(moment: datetime) -> pd.Timestamp:
    stamp = pd.Timestamp(moment)
    if pd.isna(stamp) or stamp.tzinfo is not None:
        raise DataError(f"expected a naive time in the exchange's own time, got {moment}")
    return stamp


def _content(column: pd.Series) -> bytes:
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return np.ascontiguousarray(column.to_numpy(dtype="datetime64[ns]").astype(np.int64)).tobytes()
    if pd.api.types.is_float_dtype(column.dtype):
        values: NDArray[np.float64] = column.to_numpy(dtype=np.float64)
        return np.where(np.isnan(values), np.nan, values).tobytes()  # one NaN for all
    texts = [str(text).encode("utf-8", "surrogatepass") for text in column]
    return b"".join(f"{len(text)}:".encode() + text for text in texts)
