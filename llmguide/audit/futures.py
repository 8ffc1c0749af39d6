"""Other futures: the same bars up to some bar, and none, or quite different ones, after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError

__all__ = ["CHANGES", "Future", "How", "Inputs", "Table", "other_future"]

How = Literal["cut", "mirrored", "raised", "lowered", "calmed", "shuffled"]
CHANGES: tuple[How, ...] = ("mirrored", "raised", "lowered", "calmed", "shuffled")
FACTOR = 1.37
"""Later prices are raised and lowered by it."""
CALM = 0.1
"""What is left of later moves where they are calmed."""
NOISE = 0.02
"""Standard deviation of what the log of later prices is moved by, where they are raised or lowered."""
NOISE_OF_OTHERS = 0.3
"""The same for volumes and other columns."""
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Table:
    """Rows each of which is known from a time of its own on, such as news with their time of publication.

    Attributes:
        frame: the rows.
        known: name of the column with the naive date and time from which on a row may be used.

    Raises DataError where there is no such column, or it does not hold a naive date in each row.
    """

    frame: pd.DataFrame
    known: str

    def __post_init__(self) -> None:
        if self.known not in self.frame:
            raise DataError(f"the table has no column {self.known!r}; it has {', '.join(map(str, self.frame.columns))}")
        stamps = self.frame[self.known]
        if not pd.api.types.is_datetime64_dtype(stamps) or stamps.isna().any():
            raise DataError(f"the column {self.known!r} of a table holds naive dates, one in each row")


@dataclass(frozen=True)
class Inputs:
    """What a run is given."""

    bars: pd.DataFrame
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables as frames, copies that a run may keep and change."""
        return {name: table.frame.copy() for name, table in self.tables.items()}


class Future(NamedTuple):
    """What comes after bar `t`."""

    t: int
    how: How
    keep_open: bool = False  # the next bar opens as it did

    def told(self, index: pd.DatetimeIndex) -> str:
        """Return it in words."""
        day = stamp_text(index[self.t])
        return f"bars end on {day}" if self.how == "cut" else f"bars after {day} {self.how}"


def stamp_text(stamp: pd.Timestamp | np.datetime64) -> str:
    """Return a date, with the time where there is one."""
    stamp = pd.Timestamp(stamp)
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M:%S}"


def other_future(inputs: Inputs, future: Future, *, seed: int) -> Inputs:
    """Return the same inputs up to and including bar ``future.t``, and others after it.

    Prices stay above 0, with the low the lowest and the high the highest of a bar; dates stay. Rows of tables that are
    known later are left out.
    """
    bars, end = inputs.bars, future.t + 1
    tables = {
        name: Table(table.frame[table.frame[table.known] < bars.index[end]], table.known) if end < len(bars) else table
        for name, table in inputs.tables.items()
    }
    if future.how == "cut":
        return Inputs(bars.iloc[:end].copy(), tables)
    random = np.random.default_rng([seed, future.t, CHANGES.index(future.how)])
    changed = bars.copy()
    _change_prices(changed, end, future, random)
    for name in changed.columns:
        if name not in PRICES and pd.api.types.is_float_dtype(changed[name]):
            values = changed[name].to_numpy(copy=True)
            factors = np.exp(random.normal(0.0, NOISE_OF_OTHERS, len(values) - end))
            values[end:] = _mirrored(values[end:], values[future.t]) * factors
            changed[name] = values
    return Inputs(changed, tables)


def _change_prices(bars: pd.DataFrame, end: int, future: Future, random: np.random.Generator) -> None:
    present = [name for name in PRICES if name in bars]
    if "close" not in present:
        return
    anchor = float(bars["close"].iloc[end - 1])
    logs = np.log(bars[present].to_numpy(dtype=np.float64)[end:] / anchor)  # (later, prices)
    column = {name: place for place, name in enumerate(present)}
    match future.how:
        case "mirrored":
            logs = -logs
        case "calmed":
            logs = -CALM * logs
        case "shuffled":
            closes = logs[:, column["close"]]
            moves = np.diff(closes, prepend=0.0)
            # Turned as well as shuffled, so that the first move is another one too.
            path = -np.cumsum(random.permutation(moves))
            logs = path[:, None] + (logs - closes[:, None])[random.permutation(len(logs))]
        case _:
            factor = FACTOR if future.how == "raised" else 1.0 / FACTOR
            logs = logs + np.log(factor) + random.normal(0.0, NOISE, (len(logs), 1))
    values = anchor * np.exp(logs)
    if future.keep_open and "open" in column and len(values):
        values[0, column["open"]] = bars["open"].iloc[end]
    if len(present) == len(PRICES):
        values[:, column["high"]], values[:, column["low"]] = values.max(axis=1), values.min(axis=1)
    for name, place in column.items():
        whole = bars[name].to_numpy(dtype=np.float64, copy=True)
        whole[end:] = values[:, place]
        bars[name] = whole


def _mirrored(values: NDArray[np.float64], anchor: float) -> NDArray[np.float64]:
    """Return values as far below an anchor as they were above it; what is 0 or below is raised instead."""
    if not anchor > 0.0:
        return values * FACTOR + 1.0
    mirrored = np.where(values > 0.0, anchor * anchor / np.where(values > 0.0, values, 1.0), values * FACTOR + anchor)
    return np.asarray(mirrored, dtype=np.float64)
