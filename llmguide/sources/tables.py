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

No row may be public before what it tells of can be known: days of market and options, and daily yields, at noon by the
clock of the bars' exchange; a filing, GDP, M2 and PPI on the day after their period; PMI and CCI from the first day of
their month on, since flash figures come out before the month is over.

The columns are in `kinds`, the reading of a cell in `cells`, what cannot be true in `checks`.

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
from typing import cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError, DataWarning, did_you_mean
from llmguide.files import no_file
from llmguide.sources.cells import read_days, read_numbers, read_stamps, read_texts
from llmguide.sources.checks import check_rows
from llmguide.sources.kinds import CLOSE, LAYOUTS, Kind, Layout

__all__ = ["Tables", "read_table"]

_OWN: tuple[Kind, ...] = ("fundamentals", "options", "news")

_END_OF_DAY = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class Tables:
    """What is known about one instrument besides its bars; None for a table that is not there.

    The columns of each table are described in `llmguide.sources.tables`. Frames are checked by `read_table` when given,
    and sorted by ``published_at``, the naive exchange time from which a row is known.

    Attributes:
        market: closes of indices, one row a day.
        macro: releases of economic figures.
        fundamentals: filings of the company.
        options: put-skews and implied volatility, one row a day.
        news: headlines.

    Raises DataError for a table that cannot be used.
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
        """Return the tables in `folder`: ``market`` and ``macro``, and the other three from its subfolder `symbol`.

        Each is a ``.csv`` or a ``.parquet`` file, and None where there is no such file. Raises DataError where the
        folder does not exist or holds no table, there are folders of other instruments but none of this one (an empty
        one says that it has no tables), a file's name is nearly that of a table, or a table cannot be used.
        """
        return cls.read_many(folder, [symbol])[symbol]

    @classmethod
    def read_many(cls, folder: Path | str, symbols: Sequence[str]) -> dict[str, Tables]:
        """Return the tables of several `symbols` in `folder`, each read as `read` does.

        Where only some of the instruments have no folder, those get the shared tables alone, and one DataWarning names
        them. Raises DataError as `read` does.
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
        """Yield the kind and the table of each one that is there."""
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
    if kind not in LAYOUTS:
        raise DataError(f"expected a kind of {', '.join(get_args(Kind))}, got {kind!r}{did_you_mean(kind, LAYOUTS)}")
    layout = LAYOUTS[kind]
    if isinstance(path_or_frame, pd.DataFrame):
        where, given = f"the table {kind!r}", path_or_frame
    elif isinstance(path_or_frame, str | Path):
        where, given = str(path_or_frame), _read_file(Path(path_or_frame).expanduser())
    else:
        raise DataError(f"expected a table as a path or a pandas DataFrame, got {type(path_or_frame).__name__}")
    named = _named(where, given, layout)
    columns: dict[str, pd.Series] = {}
    for name in ("date", "period_end"):
        if name in layout.required:
            columns[name] = read_days(where, named[name])
    columns["published_at"] = _published(where, named, columns.get("date"))
    columns |= {name: read_numbers(where, named[name]) for name in layout.numbers if name in named}
    columns |= {name: read_texts(where, named[name]) for name in layout.texts if name in named}
    table = pd.DataFrame({name: columns[name] for name in layout.columns if name in columns})
    check_rows(where, kind, table)
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
            f"{root} has no folder {symbol!r}{did_you_mean(symbol, there)} (only {_some(there)}); give the "
            "name of its folder (with --symbol, or with --data as the file name), or make an empty folder "
            "for an instrument without tables of its own"
        )
    warnings.warn(
        f"{root} has no folder of {_some(lacking)} ({len(lacking)} of {len(symbols)} instruments): only the "
        "tables shared by all instruments are used there; create empty folders if this is intended",
        DataWarning,
        stacklevel=3,
    )


def _has_own(folder: Path) -> bool:
    """Whether there are tables of an instrument, or its names (`llmguide.guidance.news.anonymise`)."""
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
        raise DataError(no_file(path))
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        # Texts, as they stand: a headline may read "NA".
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # What the parsers of pandas and pyarrow raise.
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{path} is neither a CSV (UTF-8) nor a Parquet file that can be read: {reason}") from error
    return cells.iloc[1:].set_axis(cells.iloc[0], axis=1)


def _named(where: str, given: pd.DataFrame, layout: Layout) -> pd.DataFrame:
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
        stamps = read_stamps(where, table["published_at"])
        return stamps.where(stamps != stamps.dt.normalize(), stamps + _END_OF_DAY)
    assert dates is not None  # The other kinds require published_at.
    return (dates + CLOSE).rename("published_at")


def _naive(moment: datetime) -> pd.Timestamp:
    stamp = pd.Timestamp(moment)
    if pd.isna(stamp) or stamp.tzinfo is not None:
        raise DataError(f"expected a naive timestamp in the exchange's own time, got {moment}")
    return stamp


def _content(column: pd.Series) -> bytes:
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return np.ascontiguousarray(column.to_numpy(dtype="datetime64[ns]").astype(np.int64)).tobytes()
    if pd.api.types.is_float_dtype(column.dtype):
        values: NDArray[np.float64] = column.to_numpy(dtype=np.float64)
        return np.where(np.isnan(values), np.nan, values).tobytes()  # one NaN for all
    texts = [str(text).encode("utf-8", "surrogatepass") for text in column]
    return b"".join(f"{len(text)}:".encode() + text for text in texts)
