"""The cells of an external table, read column by column: stamps, days, numbers and texts, or one clear refusal."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.errors import DataError

__all__ = ["read_days", "read_numbers", "read_stamps", "read_texts", "refuse"]

_MISSING = ("", ".", "na", "n/a", "nan", "null", "none")

# A date without a day, or an hour without minutes, would be read as the first moment of it, which is too early.
_DAY = r"\d{4}(?:[-/.]\d{1,2}[-/.]\d{1,2}|\d{4})"
_STAMP = rf"{_DAY}(?:[T ](?:\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?|\d{{4}}(?:\d{{2}}(?:\.\d+)?)?))?"
_ZONED = rf"{_DAY}(?:[T ][\d:.]+)?\s*(?:[Zz]|[A-Z]{{3,4}}|[A-Za-z]+/[A-Za-z_/]+|[+-]\d{{2}}(?::?\d{{2}})?)"
_EARLIEST, _LATEST = pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")  # within what 64 bits of nanoseconds hold


def refuse(where: str, given: pd.Series, wrong: pd.Series, expected: str, fix: str = "correct it") -> None:
    """Raise DataError naming the first row that is wrong, if any: what was expected, what came, what to do."""
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{where}, row {row + 1}, column {str(given.name)!r}: expected {expected}, got {str(given.iloc[row])!r}; "
            f"{fix}" + (f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else "")
        )


def read_days(where: str, given: pd.Series) -> pd.Series:
    """Return dates without times of day as datetime64[ns]."""
    stamps = read_stamps(where, given)
    refuse(where, given, stamps != stamps.dt.normalize(), "a date without a time of day")
    return stamps


def read_stamps(where: str, given: pd.Series) -> pd.Series:
    """Return naive stamps as datetime64[ns]; a date alone is its midnight."""
    zoned = "a naive stamp in the exchange's own time", "convert it and drop the zone"
    if isinstance(given.dtype, pd.DatetimeTZDtype):
        refuse(where, given, pd.Series(True, index=given.index), *zoned)
    if pd.api.types.is_datetime64_dtype(given.dtype):
        stamps = given
    else:
        text = given.astype(str).str.strip()
        refuse(where, given, text.str.fullmatch(_ZONED), *zoned)
        stamps = pd.to_datetime(text.where(text.str.fullmatch(_STAMP)), format="ISO8601", errors="coerce")
    refuse(where, given, stamps.isna(), "a date or time like 2018-01-31 or 2018-01-31 16:30")
    refuse(where, given, (stamps < _EARLIEST) | (stamps >= _LATEST), "a year from 1700 to 2199")
    return stamps.astype("datetime64[ns]")


def read_numbers(where: str, given: pd.Series) -> pd.Series:
    """Return finite numbers as float64, NaN where a cell says that there is none."""
    missing = given.isna() | given.astype(str).str.strip().str.lower().isin(_MISSING)
    if pd.api.types.is_bool_dtype(given.dtype):
        refuse(where, given, ~missing, "a number")
    numbers = pd.to_numeric(given.mask(missing), errors="coerce").astype(np.float64)
    refuse(where, given, (numbers.isna() & ~missing) | np.isinf(numbers), "a finite number, or nothing")
    return numbers + 0.0  # -0.0 becomes 0.0, so that equal tables have equal hashes.


def read_texts(where: str, given: pd.Series) -> pd.Series:
    """Return texts without blanks at their ends, "" for missing ones."""
    texts = given.where(given.notna(), "")
    refuse(where, given, ~texts.map(lambda text: isinstance(text, str)).astype(bool), "a text")
    return texts.astype(object).str.strip()
