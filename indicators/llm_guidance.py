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
    """The guidance in force: the newest row issued by the bar's calendar date, and never a later one.

    Give either a table or a provider::

        LLMGuidance(data, guidance="aapl.parquet")  # a table made before
        LLMGuidance(data, provider="llm")  # asked at each new month, from the bars before it

    Params:
        guidance: a `llmguide.Guidance`, or the path of one.
        provider: what to ask while the backtest runs, instead of a table: "llm", "replay" (cached answers only),
            "rules", a `llmguide.LanguageModel`, or a function ``(known_bars, issued_at)``.
        history: for `provider`, the bars before the feed's first one. Guidance is then that of a table made from both
            together, and the provider is asked about the months of the history too.
        any_bars: True uses a table on bars other than those it was made from; by default such bars are refused as soon
            as the difference is clear.

    Lines:
        direction: 1 long, 0 short; NaN before the first row and on an abstention. All lines at bar t are known at the
            start of bar t's date: a row was made from the bars before its date only.
        confidence: 1, 2 or 3; NaN where there is no direction.
        entropy: normalised entropy of the answer, in [0, 1]; NaN before the first row, and where it was not measured.
        strength: confidence discounted by entropy, in [0, 1]; 0 where there is no direction.
        tau: signed strength, in [-1, 1]: what the agent observes; 0 where there is no direction.

    Raises GuidanceError where neither or both of `guidance` and `provider` are given, for `history` with a table, and
    for bars that the table was not made from.

    Source: arXiv 2508.02366, equations 5 to 8.
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
        """The guidance table; with a provider, the answers so far."""
        return self._table if self._live is None else self._live.table

    def _plotlabel(self) -> list[str]:
        source = self.p.guidance
        if self._live is not None or isinstance(source, Guidance):
            return [f"{len(self.table)} rows"]
        return [Path(source).name]

    def next(self) -> None:
        """Look up the bar's date, or pass the bar to the provider."""
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
        """Refuse bars that the table was not made from, as `Guidance.check_bars` does; `warn` also warns of single
        differences.
        """
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
