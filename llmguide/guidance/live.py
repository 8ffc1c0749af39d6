"""Guidance asked for while bars come in, instead of looked up in a table made before.

The same schedule, the same question from the same bars, and so the same answer: a table made by `guide` over the whole
history and a live run over the same bars agree row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from llmguide.errors import DataError, GuidanceError, did_you_mean
from llmguide.guidance.language_model import LanguageModel
from llmguide.guidance.origin import daily_closes, seen_by
from llmguide.guidance.row import GuidanceRow, parse_row
from llmguide.guidance.schedule import EVERY, FIRST, bar_dates, daily_bars
from llmguide.guidance.table import Guidance

__all__ = ["COLUMNS", "Ask", "LiveGuidance", "open_live"]

COLUMNS = ("open", "high", "low", "close", "volume")

Ask = Callable[[pd.DataFrame, datetime], GuidanceRow | Mapping[str, Any]]
"""Gets the bars before the decision and the time at which it is issued; returns a row of guidance."""


class _Bar(NamedTuple):
    day: int  # which trading day of the feed it is of, from 0
    stamp: datetime
    values: tuple[float, ...]  # in the order of COLUMNS


class LiveGuidance:
    """Collects bars as they come, asks at each new month, and knows what every bar may see.

    Args:
        ask: answers; it gets the history and the bars seen so far, never the current one.
        history: bars before the first live one. Their months are asked about too, before the first live bar, as if
            a table were made for both: later questions may build on those answers.
        every, first: the schedule, in trading days: of bars within a day the first one of a day is asked for.
        symbol: the instrument, where it is known.

    Attributes:
        table: what was said so far.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        history: pd.DataFrame | None = None,
        every: int = EVERY,
        first: int = FIRST,
        symbol: str = "",
    ) -> None:
        if every < 1 or first < 1:
            raise GuidanceError(f"expected every >= 1 and first >= 1 bar, got {every} and {first}")
        self._ask = ask
        self._history = None if history is None else daily_bars(_checked(history))
        self._before = 0 if self._history is None else len(self._history)
        self._symbol = symbol
        self._every, self._first = every, first
        self._bars: list[_Bar] = []
        self._asked_for = -1
        self.table = Guidance(())

    def see(self, number: int, stamp: datetime, values: tuple[float, ...]) -> GuidanceRow | None:
        """Take the bar `number` (from 0) of the feed in, and return what it may see.

        A bar may be given more than once while it grows; only bars before it are ever asked about. `values` are its
        open, high, low, close and volume.
        """
        del self._bars[number:]
        if len(self._bars) != number:
            raise GuidanceError(f"expected bar {len(self._bars)} of a live feed, got {number}; start from the first")
        if self._bars and not self._bars[-1].stamp < stamp:
            raise GuidanceError(
                f"expected a bar later than the one of {self._bars[-1].stamp}, got one of {stamp}; "
                "bars within a day need a feed with timeframe=, such as bt.TimeFrame.Minutes"
            )
        if number == 0:
            self._walk_history(stamp)
        last = self._bars[-1] if self._bars else None
        same_day = last is not None and last.stamp.date() == stamp.date()
        day = 0 if last is None else last.day + (not same_day)
        position = self._before + day
        if not same_day and position in range(self._first, position + 1, self._every):
            self._ask_once(position, self._known(), datetime.combine(stamp.date(), time()))
        self._bars.append(_Bar(day, stamp, values))
        return self.table.at(stamp)

    def _walk_history(self, first_stamp: datetime) -> None:
        if self._history is None:
            return
        index = self._history.index
        if not index[-1] < pd.Timestamp(first_stamp):
            raise GuidanceError(
                f"expected a history that ends before the first bar of {first_stamp}, got one until {index[-1]}; cut it"
            )
        for position in range(self._first, self._before, self._every):
            self._ask_once(position, self._history.iloc[:position], index[position].to_pydatetime())

    def _ask_once(self, position: int, known: pd.DataFrame, issued_at: datetime) -> None:
        if position > self._asked_for:
            self._asked_for = position
            row = parse_row(len(self.table), self._ask(known.copy(), issued_at))
            closes = daily_closes(pd.DatetimeIndex(known.index), known["close"].to_numpy(dtype=np.float64))
            until, change = seen_by(issued_at, closes)
            row = row._replace(symbol=row.symbol or self._symbol, seen_until=until, seen_return=change)
            self.table = Guidance((*self.table.rows, row))

    def _known(self) -> pd.DataFrame:
        seen = pd.DataFrame(
            [bar.values for bar in self._bars],
            columns=list(COLUMNS),
            index=pd.DatetimeIndex([bar.stamp for bar in self._bars]),
            dtype="float64",
        )
        if self._bars and self._bars[-1].day + 1 < len(self._bars):
            seen = daily_bars(seen)
        if self._history is None:
            return seen
        return pd.concat([self._history, seen]) if len(seen) else self._history


def _checked(history: pd.DataFrame) -> pd.DataFrame:
    bar_dates(history)
    missing = [name for name in COLUMNS if name not in history]
    if missing:
        raise DataError(f"expected a history with {', '.join(COLUMNS)}, got none of {missing}; use read_bars")
    return history[list(COLUMNS)].astype("float64")


def _of_days(ask: Ask) -> Ask:
    """Return a named provider's question, which refuses bars longer than days, as `guide` does."""
    return lambda known, issued_at: ask(daily_bars(known), issued_at)


def open_live(provider: Any, *, history: pd.DataFrame | None = None) -> LiveGuidance:
    """Return live guidance from "llm", "replay", "rules", a `LanguageModel`, or a function (see `Ask`)."""
    if provider in ("llm", "replay"):
        provider = LanguageModel(replay=provider == "replay")
    if isinstance(provider, LanguageModel):
        brief = provider.brief
        return LiveGuidance(
            _of_days(provider.follow()),
            history=history,
            every=brief.every,
            first=brief.first,
            symbol=provider.known_symbol,
        )
    if provider == "rules":
        from llmguide.guidance.rules import rules_row  # TA-Lib is loaded by those who use it

        return LiveGuidance(_of_days(rules_row), history=history)
    if callable(provider):
        return LiveGuidance(provider, history=history)
    hint = did_you_mean(provider, ("llm", "replay", "rules")) if isinstance(provider, str) else ""
    raise GuidanceError(
        f"expected provider 'llm', 'replay', 'rules', a LanguageModel or a function of the known bars and the date, "
        f"got {provider!r}{hint or '; other guidance comes as a table: guidance='}"
    )
