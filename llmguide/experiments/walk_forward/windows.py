"""The windows of a walk forward: on which bars each one trains, and which bars it then trades."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from llmguide.bars import Bound, bound_period
from llmguide.counting import counted
from llmguide.errors import DataError, LlmguideError

__all__ = ["ANCHORED", "Span", "Window", "lay_windows"]

ANCHORED = "anchored"
"""Train on all bars before the window."""

_UNITS = {"y": "years", "m": "months", "w": "weeks", "d": "days", "b": "bars"}
_WRITTEN = re.compile(r"\s*(\d+)\s*([ymwdb])\s*", re.IGNORECASE)
_NEAR = pd.Timedelta(days=7)
"""How long after the first day of a training span the bars may begin: a holiday and a weekend."""


@dataclass(frozen=True)
class Span:
    """A length of time, as ``1y``, ``6m``, ``2w`` or ``90d``, or of so many bars, as ``250b``."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str, *, name: str) -> Span:
        """Return what a text says; LlmguideError, which speaks of `name`, where it is no span."""
        found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) < 1:
            raise LlmguideError(
                f"{name} is a number of years, months, weeks, days or bars, such as 1y, 6m, 2w, 90d or 250b, "
                f"got {text!r}"
            )
        return cls(int(found[1]), found[2].lower())

    @property
    def in_bars(self) -> bool:
        """Whether it counts bars."""
        return self.unit == "b"

    @property
    def offset(self) -> pd.DateOffset:
        """The time that it lasts, where it is one."""
        given: Any = {_UNITS[self.unit]: self.count}
        return pd.DateOffset(**given)

    def __str__(self) -> str:
        return counted(self.count, _UNITS[self.unit].removesuffix("s"))


@dataclass(frozen=True)
class Window:
    """One step of a walk: it trains on the bars `learns`, and trades the bars `trades`, which follow them.

    Both are positions in the instrument's bars, the second number not included. `name` is the day on which it begins.
    """

    name: str
    learns: tuple[int, int]
    trades: tuple[int, int]

    def training(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return the bars that are learned from, all of them before the window."""
        return bars.iloc[slice(*self.learns)]

    def traded(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return the bars of the window."""
        return bars.iloc[slice(*self.trades)]

    def known(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return all bars up to the window's last one."""
        return bars.iloc[: self.trades[1]]


def lay_windows(
    bars: pd.DataFrame,
    *,
    start: Bound,
    until: Bound | None = None,
    window: str = "1y",
    train: str = ANCHORED,
    least: int = 2,
) -> tuple[Window, ...]:
    """Cut the bars from a day on into windows, each with the bars before it to train on.

    Windows follow each other without a gap and never overlap. Windows of bars begin at the first bar from `start` on,
    those of a time at `start` itself; the last one ends with the bars, and may be shorter.

    Args:
        bars: of one instrument, oldest first.
        start: first day that is traded.
        until: last day that is traded; None is that of the last bar.
        window: how long each is, such as ``1y`` (see `Span`).
        train: "anchored" for all bars before the window, or the length of the last ones, such as ``3y`` or ``750b``.
        least: bars that a training needs at least.

    Raises:
        DataError: bars that do not reach back far enough for the first training; no bar, or only one, in a window; a
            window longer than the bars from `start` on, where a week less is let pass.
        LlmguideError: what is no span.
    """
    span = Span.parse(window, name="window")
    back = None if train == ANCHORED else _training_span(train)
    index = pd.DatetimeIndex(bars.index)
    begin = _aware(bound_period("start", start).start_time, index)
    last = len(index)
    if until is not None:
        last = int(index.searchsorted(_aware(bound_period("until", until).end_time, index), side="right"))
    first = int(index.searchsorted(begin))
    if first >= last:
        raise DataError(
            f"no bars to trade from {begin:%Y-%m-%d} on: they run from {index[0]:%Y-%m-%d} to {index[-1]:%Y-%m-%d}"
            + ("" if until is None else f", and until= is {until}")
        )
    edges = _edges(index, first, last, begin, span)
    names = _names([since for since, _ in edges])
    windows = []
    for name, (since, at), end in zip(names, edges, [*(at for _, at in edges[1:]), last], strict=True):
        if end - at < 2:
            raise DataError(
                f"the window from {name} on has {counted(end - at, 'bar')}, and two are needed; choose longer windows, "
                "another first day, or until= before it"
            )
        learned = _first_learned(index, at, since, back)
        if at - learned < least:
            raise DataError(
                f"the window from {name} on would train on {counted(at - learned, 'bar')}, and at least {least} are "
                "needed; start later, or train on more"
            )
        windows.append(Window(name, (learned, at), (at, end)))
    return tuple(windows)


def _names(since: list[pd.Timestamp]) -> list[str]:
    """Return the day on which each window begins, with the time of day where two begin on one day."""
    days = [f"{one:%Y-%m-%d}" for one in since]
    return days if len(set(days)) == len(days) else [f"{one:%Y-%m-%dT%H%M%S}" for one in since]


def _training_span(train: str) -> Span:
    try:
        return Span.parse(train, name="train")
    except LlmguideError as error:
        raise LlmguideError(f'{error}; or "{ANCHORED}", which is all bars before the window') from None


def _edges(
    index: pd.DatetimeIndex, first: int, last: int, begin: pd.Timestamp, span: Span
) -> list[tuple[pd.Timestamp, int]]:
    """Return when each window begins, and its first bar; a window that is longer than the bars is refused."""
    have = f"the bars from {begin:%Y-%m-%d} on ({last - first} of them, up to {index[last - 1]:%Y-%m-%d})"
    too_long = span.count > last - first if span.in_bars else begin + span.offset - _NEAR > index[last - 1]
    if too_long:
        raise DataError(f"a window of {span} is longer than {have}; choose a shorter one")
    if span.in_bars:
        return [(index[at], at) for at in range(first, last, span.count)]
    edges: list[tuple[pd.Timestamp, int]] = []
    while (since := begin + len(edges) * span.offset) <= index[last - 1]:
        edges.append((since, int(index.searchsorted(since))))
    return edges


def _first_learned(index: pd.DatetimeIndex, at: int, since: pd.Timestamp, back: Span | None) -> int:
    """Return the first bar of the training before bar `at`; bars that do not reach back so far are refused."""
    if back is None:
        return 0
    if back.in_bars:
        if back.count > at:
            raise DataError(
                f"a training of {back} before {since:%Y-%m-%d} needs more than the {at} bars that there are; train on "
                "fewer, or start later"
            )
        return at - back.count
    day = since - back.offset
    if index[0] > day + _NEAR:
        raise DataError(
            f"a training of {back} before {since:%Y-%m-%d} begins on {day:%Y-%m-%d}, but the bars begin on "
            f"{index[0]:%Y-%m-%d}; train on less, or start later"
        )
    return int(index.searchsorted(day))


def _aware(day: pd.Timestamp, index: pd.DatetimeIndex) -> pd.Timestamp:
    """Return a time in the zone of the bars, where they have one."""
    return day if index.tz is None else day.tz_localize(index.tz)
