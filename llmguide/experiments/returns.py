"""Returns per bar from a run folder or a user's file, for a tearsheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError, did_you_mean
from llmguide.trading.simulate import returns_of

__all__ = ["read_returns", "run_returns"]


def run_returns(folder: Path, arm: str, seed: int | None) -> tuple[pd.Series, pd.Series | None]:
    """Return one run's returns from a comparison's folder, and those of its hold arm where there is one."""
    path = folder / "values.parquet"
    if not path.is_file():
        raise DataError(f"{folder} is not the finished run of a comparison: it has no {path.name}")
    values = pd.read_parquet(path)
    arms = list(dict.fromkeys(values["arm"]))
    if arm not in arms:
        raise DataError(f"{folder} has no arm {arm!r}, only {', '.join(arms)}{did_you_mean(arm, arms)}")
    seeds = list(dict.fromkeys(values.loc[values["arm"] == arm, "seed"]))
    chosen = seeds[0] if seed is None else seed
    if chosen not in seeds:
        raise DataError(f"{arm} has no seed {chosen} in {folder}, only {', '.join(map(str, seeds))}")

    def of(name: str, number: int) -> pd.Series:
        rows = values[(values["arm"] == name) & (values["seed"] == number)].set_index("date")
        return pd.Series(returns_of(rows["value"].to_numpy(float)), index=pd.DatetimeIndex(rows.index), name=name)

    return of(arm, chosen), of("hold", -1) if "hold" in arms and arm != "hold" else None


def read_returns(path: Path, *, returns: str | None = None, value: str | None = None) -> pd.Series:
    """Return the returns in a CSV or Parquet file: its column `returns` (fractions), or computed from its column
    `value`.

    The first column, or the index of a Parquet file, holds the dates.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
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
