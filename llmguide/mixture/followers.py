"""What an expert says bar by bar, as bars come: the same sides as on all bars at once, from the known ones alone.

An expert of `llmguide.mixture.experts` says by `follow` which of these stands for it; `llmguide.mixture.LiveMix` asks
them. They keep what they need between two bars, and are good for one run.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import LlmguideError
from llmguide.guidance.live import COLUMNS, open_live
from llmguide.guidance.origin import daily_closes
from llmguide.guidance.row import GuidanceRow
from llmguide.guidance.table import Guidance
from llmguide.mixture.live import check_sides
from llmguide.rl.agent import Agent, best_decision
from llmguide.trading.account import side_of
from llmguide.trading.moving_averages import decide
from llmguide.trading.observation import MarketArrays

__all__ = [
    "AgentFollower",
    "Asked",
    "Bar",
    "Constant",
    "Follower",
    "Given",
    "GuidanceFollower",
    "KnownBars",
    "LiveRows",
    "MovingAveragesFollower",
    "Rows",
    "TableRows",
    "directions",
]

Array = NDArray[np.float64]

_ENOUGH = 3  # rows in force from which on other bars are refused while bars come
_ROUNDING = 1e-9  # as in llmguide.look_ahead
_MARKET = [COLUMNS.index(name) for name in MarketArrays._fields]
_CLOSE = COLUMNS.index("close")


class Bar(NamedTuple):
    """A bar that is over.

    Attributes:
        stamp: its date, or time.
        values: open, high, low, close, volume; NaN where the feed has none.
    """

    stamp: datetime
    values: Sequence[float]


class KnownBars:
    """The bars that are over, the history's first.

    Attributes:
        stamps: one for each bar.
        before: how many of them are the history's.
    """

    def __init__(self, history: pd.DataFrame | None = None) -> None:
        self.stamps: list[datetime] = []
        self._values = np.empty((256, len(COLUMNS)))
        if history is not None:
            self.stamps.extend(pd.DatetimeIndex(history.index).to_pydatetime())
            self._values = history.reindex(columns=list(COLUMNS)).to_numpy(dtype=np.float64)
        self.before = len(self.stamps)

    def __len__(self) -> int:
        return len(self.stamps)

    def add(self, bar: Bar) -> None:
        """Take the newest bar in."""
        count = len(self.stamps)
        if count == len(self._values):
            self._values = np.concatenate([self._values, np.empty((max(256, count), len(COLUMNS)))])
        self._values[count] = bar.values
        self.stamps.append(bar.stamp)

    def newest(self, count: int) -> Array:
        """Return the newest bars, oldest first, shape ``(count, 5)``."""
        return self._values[max(0, len(self) - count) : len(self)]

    @property
    def closes(self) -> Array:
        """All closes, oldest first."""
        return self._values[: len(self), _CLOSE]

    def last(self, count: int) -> pd.DataFrame:
        """Return the newest bars as a frame, oldest first; all where there are not so many."""
        stamps = self.stamps[max(0, len(self) - count) :]
        return pd.DataFrame(self.newest(count).copy(), pd.DatetimeIndex(stamps, name="date"), list(COLUMNS))

    def frame(self, following: datetime | None = None) -> pd.DataFrame:
        """Return the bars as a frame.

        With `following` the bar of that time, which is not over, is the last row, and has the values of the bar before.
        """
        values, stamps = self.newest(len(self)), self.stamps
        if following is not None:
            values, stamps = np.concatenate([values, values[-1:]]), [*stamps, following]
        return pd.DataFrame(values.copy(), pd.DatetimeIndex(stamps, name="date"), list(COLUMNS))


class Follower(ABC):
    """An expert's side for one bar after the other."""

    needs: tuple[str, ...] = ()
    """Columns that every bar must have, beside the close."""

    def begin(self, history: pd.DataFrame, first: datetime) -> Array:
        """Return the sides for the bars before the `first` one, shape ``(bars,)``; called once, first of all."""
        return np.array([], dtype=np.float64) if history.empty else self.past(history)

    @abstractmethod
    def past(self, history: pd.DataFrame) -> Array:
        """Return the sides for a history of at least one bar."""

    @abstractmethod
    def side(self, known: KnownBars, stamp: datetime) -> float:
        """Return the side for the bar of a time, which follows on the known ones; called once for each bar."""


class Constant(Follower):
    """Always the same side."""

    def __init__(self, side: float) -> None:
        self._side = side

    def past(self, history: pd.DataFrame) -> Array:
        """See `Follower`."""
        return np.full(len(history), self._side)

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        return self._side


class Given(Follower):
    """Sides of an array or a series, by position; the dates of a series must be those of the bars."""

    def __init__(self, given: Any) -> None:
        self._dates = given.index if isinstance(given, pd.Series) else None
        self._sides = check_sides(given, (len(given),), "the sides of an array")

    def past(self, history: pd.DataFrame) -> Array:
        """See `Follower`."""
        return np.array([self._at(place, stamp) for place, stamp in enumerate(history.index)])

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        return self._at(len(known), stamp)

    def _at(self, place: int, stamp: datetime) -> float:
        if place >= len(self._sides):
            raise LlmguideError(
                f"there are {len(self._sides)} sides, and bar {place} of {stamp} has none; give one for each bar of "
                "history and feed"
            )
        if self._dates is not None and self._dates[place].date() != stamp.date():
            raise LlmguideError(
                f"the sides have different dates from the bars: side {place} is of "
                f"{self._dates[place].date()}, the bar of {stamp.date()}; reindex them to the bars of history "
                "and feed, or pass an array to use them by position"
            )
        return float(self._sides[place])


class MovingAveragesFollower(Follower):
    """Two moving averages; no opinion before the longer one is filled."""

    def __init__(self, short: int, long: int, *, trend: bool) -> None:
        self._short, self._long, self._trend = short, long, trend

    def past(self, history: pd.DataFrame) -> Array:
        """See `Follower`."""
        closes = history["close"].to_numpy(dtype=np.float64)
        return np.array([self._from(closes[:place]) for place in range(len(closes))])

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        return self._from(known.closes)

    def _from(self, closes: Array) -> float:
        if len(closes) < self._long:
            return math.nan
        return 1.0 if decide(closes[-self._long :], self._short, self._long, self._trend) == 1 else -1.0


class Asked(Follower):
    """A function of all bars, asked anew at each bar: a run of n bars costs n calls.

    It gets the bars that are over and a row for the bar to decide on, whose values are not known yet and repeat those
    of the bar before. What it says of earlier bars must be what it has said before: with that it looks ahead nowhere.
    """

    def __init__(
        self, name: str, ask: Callable[[pd.DataFrame], ArrayLike], *, tried: Callable[[pd.DataFrame], Array]
    ) -> None:
        self._name, self._ask, self._tried = name, ask, tried
        self._said: list[float] = []

    def past(self, history: pd.DataFrame) -> Array:
        """See `Follower`."""
        sides = self._tried(history)
        self._said = sides.tolist()
        return sides

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        count = len(known)
        if count == 0:  # no values to show, and no side that could ever matter
            self._said = [math.nan]
            return math.nan
        sides = check_sides(self._ask(known.frame(stamp)), (count + 1,), self._name)
        same = np.isclose(sides[1:count], self._said[1:], rtol=0.0, atol=_ROUNDING, equal_nan=True)
        if not same.all():
            place = 1 + int(np.argmin(same))
            raise LlmguideError(
                f"{self._name} looks ahead: its side for bar {place} changes with the bars from {place} on; "
                "decide bar t from bars.iloc[:t] alone, and deterministically"
            )
        self._said.append(float(sides[-1]))
        return self._said[-1]


class Rows(ABC):
    """Where the guidance in force at a bar comes from."""

    needs: tuple[str, ...] = ()

    @abstractmethod
    def begin(self, history: pd.DataFrame, first: datetime) -> Guidance:
        """Return the table that the bars before the `first` one may look at; called once, first of all."""

    @abstractmethod
    def at(self, known: KnownBars, stamp: datetime) -> GuidanceRow | None:
        """Return the row that the bar of a time may see; None before the first."""


class TableRows(Rows):
    """A table made before; refused on other bars as soon as that is clear."""

    def __init__(self, table: Guidance) -> None:
        self._table = table
        self._in_force: list[GuidanceRow] = []
        self._newest: datetime | None = None

    def begin(self, history: pd.DataFrame, first: datetime) -> Guidance:
        """See `Rows`."""
        if not history.empty:
            self._table.check_bars(history)
        return self._table

    def at(self, known: KnownBars, stamp: datetime) -> GuidanceRow | None:
        """See `Rows`."""
        row = self._table.at(stamp)
        if row is not None and row.seen_until is not None and row.issued_at != self._newest:
            self._newest = row.issued_at
            self._in_force.append(row)
            if len(self._in_force) >= _ENOUGH:
                closes = daily_closes(pd.DatetimeIndex(known.stamps), known.closes)
                self._table.refuse_others(closes, rows=self._in_force, warn=False)  # that is for the end
        return row


class LiveRows(Rows):
    """Guidance asked for as bars come (see `llmguide.guidance.live`)."""

    needs = COLUMNS

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def begin(self, history: pd.DataFrame, first: datetime) -> Guidance:
        """See `Rows`."""
        self._live = open_live(self._provider, history=None if history.empty else history)
        self._live.see(0, first, (math.nan,) * len(COLUMNS))
        return self._live.table

    def at(self, known: KnownBars, stamp: datetime) -> GuidanceRow | None:
        """See `Rows`."""
        number = len(known) - known.before
        if number:
            self._live.see(number - 1, known.stamps[-1], tuple(known.newest(1)[0].tolist()))
        return self._live.see(number, stamp, (math.nan,) * len(COLUMNS))  # its values are not known yet


class GuidanceFollower(Follower):
    """The direction in force; an abstention leaves the side as it is."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self.needs = rows, rows.needs
        self._side = math.nan

    def begin(self, history: pd.DataFrame, first: datetime) -> Array:
        """See `Follower`."""
        self._seen = self._rows.begin(history, first)
        return super().begin(history, first)

    def past(self, history: pd.DataFrame) -> Array:
        """See `Follower`."""
        sides = directions(self._seen, pd.DatetimeIndex(history.index))
        self._side = float(sides[-1])
        return sides

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        row = self._rows.at(known, stamp)
        if row is not None and row.direction is not None:
            self._side = 2.0 * row.direction - 1.0
        return self._side


class AgentFollower(Follower):
    """A trained agent's greedy decisions, on an account of its own; `rows` is the guidance that it observes."""

    needs: tuple[str, ...] = MarketArrays._fields

    def __init__(self, agent: Agent, rows: Rows | None) -> None:
        self._agent, self._rows = agent, rows
        if rows is not None:
            self.needs = tuple(dict.fromkeys((*self.needs, *rows.needs)))
        self._side = 0
        self._lookback = agent.config.lookback
        self._reach = self._lookback + max(agent.config.smoothing - 1, 0)

    def begin(self, history: pd.DataFrame, first: datetime) -> Array:
        """See `Follower`."""
        self._seen = None if self._rows is None else self._rows.begin(history, first)
        return super().begin(history, first)

    def past(self, history: pd.DataFrame) -> Array:
        """See `Follower`."""
        sides = np.full(len(history), np.nan)
        if len(history) > self._lookback:
            tau = None if self._seen is None else self._seen.tau(pd.DatetimeIndex(history.index))
            sides[self._lookback :] = [side_of(decision) for decision in self._agent.decide(history, tau)]
            self._side = int(sides[-1])
        return sides

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        row = None if self._rows is None else self._rows.at(known, stamp)
        if len(known) < self._lookback:
            return math.nan
        seen = known.newest(self._reach)
        market = MarketArrays(*(np.ascontiguousarray(seen[:, column]) for column in _MARKET))
        features = self._agent.features(market, first=len(known) - len(seen))[-1:]
        tau = None if self._rows is None else np.array([row.tau if row else 0.0])
        self._side = side_of(best_decision(self._agent.q_values(features, tau)[0, self._side + 1]))
        return float(self._side)


def directions(table: Guidance, dates: pd.DatetimeIndex) -> Array:
    """Return the direction in force at each date as a side; an abstention leaves it as it is."""
    direction = table.align(dates)["direction"].ffill()
    return 2.0 * direction.to_numpy(dtype=np.float64) - 1.0
