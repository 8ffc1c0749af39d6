"""What a function of the bars returned, as lines: entries and exits, positions, any series, results of vectorbt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.audit.trace import Event, Trace
from llmguide.errors import AuditError

__all__ = ["trace_values"]

SIGNALS = ("entries", "exits", "short_entries", "short_exits")


def trace_values(returned: Any, bars: pd.DataFrame) -> Trace:
    """Return what a function of the bars said, one step a bar.

    It may return a Series, a DataFrame, an array with a row for each bar, an indicator or a Portfolio of vectorbt, or
    several of these in a tuple, list or dict. Texts, such as "long", are events. Raises AuditError for anything else.
    """
    lines: dict[str, NDArray[np.float64]] = {}
    events: list[Event] = []
    stamps = bars.index.to_numpy().astype("datetime64[us]")
    for label, series in _series(returned, "", bars.index):
        values = series[~series.index.duplicated()].reindex(bars.index)
        try:
            lines[label] = values.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            events += [
                Event(stamp, stamp, label, (str(value),), step)
                for step, (stamp, value) in enumerate(zip(stamps, values, strict=True))
                if not pd.isna(value)
            ]
    return Trace(stamps=stamps, lines=lines, events=tuple(sorted(events, key=lambda event: event.at)))


def _series(value: Any, name: str, index: pd.Index) -> Iterator[tuple[str, pd.Series]]:
    if isinstance(value, pd.Series):
        yield name or str(value.name if value.name is not None else "signal"), _dated(value, name, index)
    elif isinstance(value, pd.DataFrame):
        columns: list[Any] = list(value.columns)
        for place, column in enumerate(columns):
            inner = "/".join(map(str, column)) if isinstance(column, tuple) else str(column)
            yield f"{name}.{inner}" if name else inner, _dated(value.iloc[:, place], name, index)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _series(item, f"{name}.{key}" if name else str(key), index)
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) and not np.isscalar(value[0]):
        for place, item in enumerate(value):
            if item is not None:
                yield from _series(item, _item_name(value, place, name), index)
    elif hasattr(value, "output_names"):  # an indicator of vectorbt
        for output in value.output_names:
            yield from _series(getattr(value, output), f"{name}.{output}" if name else output, index)
    elif hasattr(value, "asset_flow"):  # a Portfolio of vectorbt: what it buys and sells
        yield from _series(value.asset_flow(), f"{name}.shares" if name else "shares", index)
    else:
        yield from _array(np.asarray(value), name, index)


def _array(values: NDArray[Any], name: str, index: pd.Index) -> Iterator[tuple[str, pd.Series]]:
    if values.ndim == 0 or len(values) != len(index):
        raise AuditError(
            f"the function returned {name or 'something'} of shape {values.shape} for {len(index)} bars; it "
            "must return a value for each bar: a Series, a DataFrame, an array, or several of them, such as "
            "entries and exits"
        )
    columns = values.reshape(len(values), -1)
    for place in range(columns.shape[1]):
        label = name or "signal"
        yield label if columns.shape[1] == 1 else f"{label}[{place}]", pd.Series(columns[:, place], index=index)


def _item_name(items: Sequence[Any], place: int, name: str) -> str:
    """Return the name of one of several results: its own if all have different ones, else what it is likely to be."""
    names = [getattr(item, "name", None) for item in items]
    if all(isinstance(own, str) for own in names) and len(set(names)) == len(names):
        inner = str(names[place])
    else:
        boolean = all(getattr(item, "dtype", None) == np.bool_ for item in items)
        inner = SIGNALS[place] if boolean and len(items) in (2, 4) else f"[{place}]"
    return f"{name}.{inner}" if name else inner


def _dated(series: pd.Series, name: str, index: pd.Index) -> pd.Series:
    if isinstance(series.index, pd.DatetimeIndex):
        return series
    if len(series) == len(index):
        return series.set_axis(index)
    raise AuditError(
        f"the function returned {name or series.name or 'a series'} of {len(series)} values for {len(index)} "
        "bars, without dates; it must return a value for each bar, with the dates of the bars"
    )
