"""Guidance as lines."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, ClassVar

import backtrader as bt
import numpy as np
import pandas as pd

from llmguide.backtest.feed_checks import adopt_zone, check_now, feed_of
from llmguide.errors import GuidanceError
from llmguide.guidance import Guidance
from llmguide.guidance.live import COLUMNS, LiveGuidance, open_live
from llmguide.guidance.origin import daily_closes
from llmguide.guidance.row import GuidanceRow

__all__ = ["LLMGuidance", "as_guidance"]


_ENOUGH = 3  # rows in force from which on other bars are refused while a backtest runs


class LLMGuidance(bt.Indicator):
    """What the language model said last, as of the bar's calendar date and never before it was issued.

    ``LLMGuidance(data, guidance="aapl.parquet")``; `guidance` is a `llmguide.Guidance` or the path of one.
    ``LLMGuidance(data, provider="llm")`` asks while the backtest runs, at each new month, from the bars before it:
    `provider` is "llm", "replay" (answers of the cache only), "rules", a `llmguide.LanguageModel`, or a function of the
    known bars and the date. `history` are bars before the first one of the feed; with it, live guidance is that of a
    table made for both together, and the months of the history are asked about too.

    A table that remembers the bars it was made from is refused on others (GuidanceError), once that is clear;
    `any_bars=True` uses it all the same.

    Lines: direction (1 long, 0 short), confidence (1..3), entropy (0..1), strength (0..1), tau (-1..1). Before the
    first row direction, confidence and entropy are NaN, strength and tau 0; so they are on an abstention, but for its
    entropy.

    See: arXiv 2508.02366, eq. 5-8.
    """

    lines: ClassVar[Any] = ("direction", "confidence", "entropy", "strength", "tau")
    params: ClassVar[Any] = (("guidance", None), ("provider", None), ("history", None), ("any_bars", False))
    plotinfo: ClassVar[Any] = {"subplot": True, "plotname": "LLM guidance", "plotyhlines": [-1.0, 0.0, 1.0]}
    plotlines: ClassVar[Any] = {
        "direction": {"_plotskip": True},
        "confidence": {"_plotskip": True},
        "entropy": {"_plotskip": True},
        "strength": {"_plotskip": True},
        "tau": {"color": "tab:blue", "drawstyle": "steps-post"},
    }

    def __init__(self) -> None:
        super().__init__()
        self._live: LiveGuidance | None = None
        self._closes: dict[date, float] = {}
        self._in_force: list[GuidanceRow] = []
        if (feed := feed_of(self.data)) is not None:
            adopt_zone(feed)
        if self.p.provider is None:
            if self.p.history is not None:
                raise GuidanceError("history= is for provider=, which asks while it runs; a table needs none")
            table = as_guidance(self.p.guidance, needed_by="LLMGuidance")
            self._table = table.of_any_bars() if self.p.any_bars else table
        elif self.p.guidance is None:
            self._live = open_live(self.p.provider, history=self.p.history)
        else:
            raise GuidanceError("give LLMGuidance either guidance=, a table, or provider=, which asks while it runs")

    @property
    def table(self) -> Guidance:
        """The table; of live guidance, what was said so far."""
        return self._table if self._live is None else self._live.table

    def _plotlabel(self) -> list[str]:
        source = self.p.guidance
        if self._live is not None or isinstance(source, Guidance):
            return [f"{len(self.table)} rows"]
        return [Path(source).name]

    def next(self) -> None:
        """Look the bar's date up, or show the bar to the live guidance."""
        if self._live is None:
            row = self._table.at(self.data.datetime.date(0))
            self._remember(row)
        else:
            check_now(self.data, COLUMNS, needed_by="live guidance")
            values = tuple(float(getattr(self.data, name)[0]) for name in COLUMNS)
            row = self._live.see(len(self.data) - 1, self._stamp(), values)
        lines = self.lines
        for name in ("direction", "confidence", "entropy"):
            value = None if row is None else getattr(row, name)
            getattr(lines, name)[0] = math.nan if value is None else float(value)
        lines.strength[0] = row.strength if row else 0.0
        lines.tau[0] = row.tau if row else 0.0

    def check_bars(self, *, warn: bool = True) -> None:
        """Refuse, as `Guidance.check_bars` does, where the bars so far are not those that the table was made from."""
        dates = pd.DatetimeIndex(list(self._closes))
        closes = daily_closes(dates, np.array(list(self._closes.values()), dtype=np.float64))
        self._table.refuse_others(closes, rows=self._in_force, warn=warn)

    def _remember(self, row: GuidanceRow | None) -> None:
        """Keep the bar's close, and compare what the table saw with the bars each time that a row comes into force."""
        close = getattr(self.data.lines, "close", None)
        if close is None or row is None or row.seen_until is None:
            if close is not None:
                self._closes[self.data.datetime.date(0)] = float(close[0])
            return
        if not self._in_force or self._in_force[-1] is not row:
            self._in_force.append(row)
            if len(self._in_force) >= _ENOUGH:
                self.check_bars(warn=False)  # that is for the end
        self._closes[self.data.datetime.date(0)] = float(close[0])

    def _stamp(self) -> datetime:
        """The bar's time; midnight for bars of a day or more, which some feeds stamp with the end of their session."""
        if self.data._timeframe >= bt.TimeFrame.Days:
            return datetime.combine(self.data.datetime.date(0), time())
        stamp: datetime = self.data.datetime.datetime(0)
        return stamp


def as_guidance(source: Any, *, needed_by: str) -> Guidance:
    """Return the table that `source` is or is the path of."""
    if isinstance(source, Guidance):
        return source
    if isinstance(source, str | Path):
        return Guidance.read(source)
    raise GuidanceError(
        f"{needed_by} needs guidance=, a llmguide.Guidance or the path of one, got {source!r}; "
        "make one with: llmguide guide, or give provider=, which asks while it runs"
    )
