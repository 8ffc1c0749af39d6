"""Bars as they came: shown again after a restart, and refused where they come twice, late or broken."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import backtrader as bt

from llmguide.errors import LlmguideError
from llmguide.live.book import position_key

__all__ = ["Bar", "Steps", "Tape"]

PRICES = ("open", "high", "low", "close")


class Bar(NamedTuple):
    """A feed's bar, and how it came."""

    call: int  # of Cerebro's calls in one pass: 0, or later where it asked again
    status: int  # what the feed last said of itself: its LIVE, DELAYED, ...
    values: list[float]  # of all lines, in the feed's order


@dataclass
class Steps:
    """How far a run is: the step that strategies are in, and the last one of the journal at the start.

    `passes` counts Cerebro's passes through its feeds, with and without new bars.
    """

    now: int = 0
    recorded: int = 0
    passes: int = 0

    @property
    def replaying(self) -> bool:
        """Whether the next step is one of the journal."""
        return self.now < self.recorded


class Tape:
    """Stands before the `load` of one feed, after its filters.

    First it plays what the journal holds, each bar in its step. Then bars come from the feed, of which it keeps away:
    those that came before (a feed fills in its history at every start), those that are late, and those without
    prices above 0. A gap is noted.

    Attributes:
        fresh: the bars that the feed brought since the last step.
    """

    def __init__(
        self, data: Any, recorded: Iterable[tuple[int, Bar]], steps: Steps, note: Callable[[str], None]
    ) -> None:
        if data.replaying:
            raise LlmguideError("a replayed feed (replaydata) grows tick by tick and cannot run live; resample it")
        self.name = position_key(data)
        self._data, self._steps, self._note = data, steps, note
        names = data.getlinealiases()
        self._stamp_at = names.index("datetime")
        self._prices_at = {name: names.index(name) for name in PRICES}
        self._recorded = deque(recorded)
        self._known = {bar.values[self._stamp_at]: bar.values for _, bar in self._recorded}
        self._oldest, self._newest = min(self._known, default=None), max(self._known, default=None)
        self.fresh: list[Bar] = []
        self._pass = self._call = 0
        self._load, self._load_raw, self._since = data.load, data._load, self._newest
        data.load = self.load
        if data._filters and self._since is not None:
            data._load = self._load_what_is_new
        data._last = _no_unfinished_bar

    def remove(self) -> None:
        """Leave the feed as it was."""
        del self._data.load, self._data._last
        vars(self._data).pop("_load", None)

    def load(self) -> bool | None:
        """Bring one bar: True; none yet: None; none any more: False."""
        if self._pass != self._steps.passes:
            self._pass, self._call = self._steps.passes, 0
        call, self._call = self._call, self._call + 1
        if self._steps.replaying:
            if not self._is_due(call):
                return None
            bar = self._recorded.popleft()[1]
            self._data.put_notification(bar.status)
            self._data.forward()
            for line, value in zip(self._data.itersize(), bar.values, strict=True):
                line[0] = value
            return True
        while True:
            loaded: bool | None = self._load()
            if not loaded:
                return loaded
            values = [float(line[0]) for line in self._data.itersize()]
            if self._wants(values):
                self._known[values[self._stamp_at]] = values
                self._newest = values[self._stamp_at]
                self._oldest = self._newest if self._oldest is None else self._oldest
                self.fresh.append(Bar(call, int(self._data._laststatus), values))
                return True
            self._data.backwards(force=True)

    def _load_what_is_new(self) -> bool | None:
        """Keep from a resampler what is in the journal's bars already: it would add it to the next one."""
        while True:
            loaded: bool | None = self._load_raw()
            stamp = self._data.lines.datetime[0] if loaded else None
            if stamp is not None and self._data._tzinput:
                stamp = bt.date2num(self._data._tzinput.localize(bt.num2date(stamp)))
            if stamp is None or stamp > self._since:
                return loaded

    def _is_due(self, call: int) -> bool:
        """Whether the next recorded bar came at this call; else it is the turn of another feed."""
        if not self._recorded:
            return False
        step, bar = self._recorded[0]
        return step == self._steps.now + 1 and bar.call <= call

    def _wants(self, values: list[float]) -> bool:
        stamp = values[self._stamp_at]
        when, newest = bt.num2date(stamp), self._newest
        before = self._known.get(stamp)
        if before is not None:
            # NaN is equal to NaN here: some feeds have no open interest.
            if repr(before) != repr(values):
                self._note(f"{self.name} brings the bar of {when} a second time with other values; the first ones stay")
            return False
        broken = [name for name, at in self._prices_at.items() if not (values[at] > 0.0 and math.isfinite(values[at]))]
        if broken:
            self._note(f"{self.name}: the bar of {when} is left out, its {', '.join(broken)} is no price above 0")
            return False
        if newest is None or self._oldest is None:
            return True
        if stamp < newest:
            if stamp > self._oldest:
                self._note(f"{self.name}: the bar of {when} came after that of {bt.num2date(newest)} and is left out")
            return False
        missing = _missing(self._data, bt.num2date(newest), when)
        if missing:
            self._note(f"{self.name}: {missing} between {bt.num2date(newest)} and {when}")
        return True


def _missing(data: Any, before: datetime, now: datetime) -> str:
    """Return what lies between two bars of a day or less, "" where they follow on each other."""
    if data._timeframe == bt.TimeFrame.Days:
        step = data._compression
        days = sum((before + timedelta(days=ago)).weekday() < 5 for ago in range(1, (now.date() - before.date()).days))
        return f"no bar on {days} weekdays" if days >= step and days else ""
    lengths = {bt.TimeFrame.Minutes: timedelta(minutes=1), bt.TimeFrame.Seconds: timedelta(seconds=1)}
    length = lengths.get(data._timeframe)
    if length is None or before.date() != now.date():
        return ""
    bars = (now - before) / (length * data._compression) - 1.0
    return f"{bars:.0f} bars are missing" if bars >= 0.5 else ""


def _no_unfinished_bar(datamaster: Any = None) -> int:
    return 0
