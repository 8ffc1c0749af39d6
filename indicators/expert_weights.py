"""Whom a mixture of experts trusts, as lines."""

from __future__ import annotations

import copyreg
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from functools import cache
from typing import Any, ClassVar

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.backtest.feed_checks import adopt_zone, check_now, feed_of
from llmguide.errors import LlmguideError
from llmguide.guidance.live import COLUMNS
from llmguide.mixture import Bar, Expert, LiveMix, Mix, Weighed
from llmguide.mixture.experts import naming
from llmguide.mixture.followers import Follower, KnownBars

__all__ = ["ExpertWeights", "FollowLine"]


@dataclass(frozen=True, eq=False)
class FollowLine(Expert):
    """A Backtrader line as an expert: its value at bar t-1, in [-1, 1], is the side for bar t; NaN is no opinion.

    For example::

        FollowLine(lambda data: bt.Cmp(bt.ind.SMA(data, period=5), bt.ind.SMA(data, period=20)))

    It has no opinion on the bars of a history, where a line has no values.

    Attributes:
        line: a function of the data that returns a line or an indicator, whose first line counts; the class of an
            indicator; or, where the expert is created beside its lines, a line itself.
        prior: see `llmguide.mixture.Expert`.
        since: see `llmguide.mixture.Expert`.

    Raises LlmguideError where `line` is neither, and outside a Cerebro.
    """

    line: Any

    def propose(self, bars: pd.DataFrame) -> NDArray[np.float64]:
        """Never return: a line has values in a Cerebro only, so that this raises LlmguideError for any `bars`."""
        raise LlmguideError(
            "a line has values in a Cerebro only; use llmguide.strategies.MixtureOfExperts or "
            "llmguide.indicators.ExpertWeights, or pass its values as an array of sides"
        )

    def built_on(self, data: Any) -> FollowLine:
        """Return the same expert with its line built on `data` and read one bar late.

        Raises LlmguideError where `line` is not a line, nor a function that returns one.
        """
        line = self.line
        if not isinstance(line, bt.LineRoot) and callable(line):
            line = line(data)
        if not isinstance(line, bt.LineRoot):
            raise LlmguideError(f"expected a line, or a function of the data that returns one, got {line!r}")
        return replace(self, line=line(-1))  # as an indicator, so that Backtrader keeps that bar in every memory mode

    def follow(self) -> Follower:
        """Return a follower that reads the line bar by bar."""
        return _LineFollower(self.line)


class _LineFollower(Follower):
    """Reads a line that is one bar late."""

    def __init__(self, late: Any) -> None:
        self._late = late

    def past(self, history: pd.DataFrame) -> NDArray[np.float64]:
        """See `Follower`."""
        return np.full(len(history), math.nan)

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        return float(self._late[0])


class _WithLinesOfItsExperts(type(bt.Indicator)):  # type: ignore[misc]
    """Lines belong to a class: an indicator becomes one of a subclass with a line for each of its experts."""

    def doprenew(cls, *args: Any, **kwargs: Any) -> Any:
        experts = kwargs.get("experts", cls.params.experts)
        named = cls if not isinstance(experts, Mapping) else _with_lines(cls, tuple(str(name) for name in experts))
        return named, args, kwargs


class ExpertWeights(bt.Indicator, metaclass=_WithLinesOfItsExperts):
    """Weighs experts by what they have earned so far, as `llmguide.mix` does.

    For example::

        ExpertWeights(data, experts={"guidance": table, "hold": "hold"})

    The data must be a feed. Besides the line below there is one for each expert, named ``weight_`` and the expert's
    name, such as ``weight_guidance``: weights add up to 1, or are all 0 where no expert has a positive record.

    Params:
        experts: by name, whatever `llmguide.mix` takes; and also a `FollowLine`, a line, or the class of an indicator.
            Where a line has its first value late, so does a strategy with this indicator; the records of the other
            experts are kept meanwhile.
        history: bars before the feed's first one, as `llmguide.read_bars` returns them, for experts that look back and
            for their records.
        cost: fraction of each traded value.

    Lines:
        position: fraction of the account to hold, in [-1, 1], to be taken at the close of bar t. All lines at bar t are
            known at the close of bar t-1, except that guidance may be of bar t's date.

    Attributes:
        weight_log: a `llmguide.mixture.Weighed` for each bar.
        uses_future: whether an expert was made with knowledge of the future.

    Raises LlmguideError where the data is not a feed, and as `llmguide.mix` does.
    """

    lines: ClassVar[Any] = ("position",)
    params: ClassVar[Any] = (("experts", None), ("history", None), ("cost", 0.001))
    plotinfo: ClassVar[Any] = {"subplot": True, "plotname": "Expert weights", "plotyhlines": [-1.0, 0.0, 1.0]}
    plotlines: ClassVar[Any] = {"position": {"color": "black", "drawstyle": "steps-post"}}

    def __init__(self) -> None:
        super().__init__()
        feed = feed_of(self.data)
        if feed is None or any(not hasattr(self.data.lines, name) for name in COLUMNS):
            raise LlmguideError(f"ExpertWeights needs a feed as its data, got {type(self.data).__name__}")
        adopt_zone(feed)
        experts = self.p.experts
        if isinstance(experts, Mapping):
            experts = {name: _as_expert(name, source, self.data) for name, source in experts.items()}
        self._mix = LiveMix(experts, cost=self.p.cost, history=self.p.history)
        self.uses_future = self._mix.uses_future
        self.weight_log: list[Weighed] = []

    def qbuffer(self, savemem: int = 0) -> None:
        """Keep the bar before the current one where Backtrader saves memory."""
        super().qbuffer(savemem)
        self.data.minbuffer(2)

    def prenext(self) -> None:
        """Weigh the experts while some lines have no value yet; those have no opinion."""
        self.next()

    def next(self) -> None:
        """Weigh the experts, once for each bar."""
        check_now(self.data, self._mix.needs, needed_by="ExpertWeights")
        seen = len(self.weight_log)
        if len(self.data) > seen + 1:
            raise LlmguideError(f"ExpertWeights has to see every bar, got bar {len(self.data) - 1} after {seen - 1}")
        if len(self.data) > seen:
            before = self._bar(-1) if self.weight_log else None
            self.weight_log.append(self._mix.see(self._stamp(0), before))
        weighed = self.weight_log[-1]
        self.lines.position[0] = weighed.position
        for name, weight in weighed.weights.items():
            getattr(self.lines, f"weight_{name}")[0] = weight

    def mixed(self, *, start: int = 0) -> Mix:
        """Return the `llmguide.mixture.Mix` of the history and the feed, up to and including the current bar.

        `start` is the number of idle bars at the beginning, those of the history included.
        """
        return self._mix.mixed(self._bar(0), start=start)

    def check(self) -> None:
        """Check, once all bars are known, that every table fits them, as `llmguide.mix` does."""
        self._mix.check()

    def _plotlabel(self) -> list[str]:
        return ["USES THE FUTURE"] if self.uses_future else []

    def _bar(self, ago: int) -> Bar:
        """A bar that is over."""
        return Bar(self._stamp(ago), [float(getattr(self.data.lines, name)[ago]) for name in COLUMNS])

    def _stamp(self, ago: int) -> datetime:
        """A bar's time; midnight for bars of a day or more, which some feeds stamp with the end of their session."""
        stamp: datetime = self.data.datetime.datetime(ago)
        return datetime.combine(stamp.date(), time()) if self.data._timeframe >= bt.TimeFrame.Days else stamp


@cache
def _with_lines(cls: type[bt.Indicator], names: tuple[str, ...]) -> Any:
    """Return a subclass with a line for the weight of each expert."""
    lines = tuple(f"weight_{name}" for name in names)
    drawn = [{"_name": name, "color": f"C{place % 10}", "drawstyle": "steps-post"} for place, name in enumerate(names)]
    body = {
        "__module__": cls.__module__,
        "__doc__": cls.__doc__,
        "lines": lines,
        "plotlines": dict(zip(lines, drawn, strict=True)),
    }
    # A name of its own, by which Backtrader names its lines; the underscore keeps it out of Backtrader's own list.
    name = "_".join(["", cls.__name__, *(re.sub(r"\W", "_", name) for name in names)])
    metaclass: Any = type(cls)
    made = metaclass(name, (cls,), body)
    made.made_for = (cls, names)
    return made


def _how_to_make(cls: Any) -> Any:
    """Say how a class is found, or made, in another process: what `cerebro.optstrategy` sends back may have any."""
    made_for = vars(cls).get("made_for")
    return cls.__qualname__ if made_for is None else (_with_lines, made_for)


copyreg.pickle(_WithLinesOfItsExperts, _how_to_make)


def _as_expert(name: str, source: Any, data: Any) -> Any:
    """Return an expert of a line as one that can be asked, and any other source as it is."""
    if isinstance(source, bt.LineRoot) or (isinstance(source, type) and issubclass(source, bt.LineRoot)):
        source = FollowLine(source)
    if not isinstance(source, FollowLine):
        return source
    with naming(str(name)):
        return source.built_on(data)
