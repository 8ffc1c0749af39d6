"""Returns per bar from a user's file (of a run folder: `llmguide.report.accounts`), and the value they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError, did_you_mean
from llmguide.files import no_file
from llmguide.trading.simulate import returns_of

__all__ = ["read_returns", "value_of"]


def read_returns(path: Path, *, returns: str | None = None, value: str | None = None) -> pd.Series:
    """Return the returns in a CSV or Parquet file: its column `returns` (fractions), or computed from its column
    `value`.

    The first column, or the index of a Parquet file, holds the dates.
    """
    if not path.is_file():
        raise DataError(no_file(path))
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        if not isinstance(frame.index, pd.DatetimeIndex):
            dates = frame.columns[0]
            frame = frame.set_index(pd.DatetimeIndex(pd.to_datetime(frame[dates]), name="date")).drop(columns=dates)
    except (ValueError, IndexError, OSError) as error:
        raise DataError(f"{path} is no CSV or Parquet file whose first column holds dates ({error})") from error
    name = returns or value
    if name not in frame.columns:
        raise DataError(
            f"{path} has no column {name!r}, only {list(frame.columns)}{did_you_mean(str(name), frame.columns)}"
        )
    try:
        series = frame[name].astype("float64").sort_index()
    except ValueError as error:
        raise DataError(f"column {name!r} of {path} is not numeric ({error})") from error
    if value is None:
        return series
    numbers: NDArray[np.float64] = np.asarray(series, dtype=np.float64)
    return pd.Series(returns_of(numbers), index=series.index, name=name)


def value_of(returns: pd.Series[Any]) -> NDArray[np.float64]:
    """The value of an account of 1 that earns `returns`, before the first bar and after each."""
    return np.concatenate([[1.0], np.cumprod(1.0 + returns.to_numpy())])
