"""Everything that is known at the close of a bar, for a prompt: one ordered collection of facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from llmguide.errors import DataError
from llmguide.features.fact import Fact, as_amount, as_price
from llmguide.features.fundamentals import fundamental_facts
from llmguide.features.macro import macro_facts
from llmguide.features.market import market_facts
from llmguide.features.moment import known_at
from llmguide.features.options import option_facts
from llmguide.features.stock import stock_facts
from llmguide.features.technical import technical_facts
from llmguide.sources.tables import Tables

__all__ = ["RECENT", "BarLine", "Fact", "Facts", "facts_at"]

RECENT = 20  # bars
_COLUMNS = ["open", "high", "low", "close", "volume"]


class BarLine(NamedTuple):
    """One of the last bars, rounded for a prompt."""

    ago: int  # 1 is the last one known: the decision is taken on the bar after it
    open: str
    high: str
    low: str
    close: str
    volume: str


class Facts(Mapping[str, Fact]):
    """What is known at a moment, by dotted name, in a fixed order; what is not known is not there.

    Attributes:
        known_at: the close of the last bar.
        recent: the last 20 bars, or as many as there are.
    """

    def __init__(self, facts: list[Fact], *, known_at: pd.Timestamp, recent: pd.DataFrame) -> None:
        self.known_at = known_at
        self.recent = recent
        self._facts = {fact.name: fact for fact in facts}

    def __getitem__(self, name: str) -> Fact:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def lines(self, *names: str) -> str:
        """Return the facts of these names as lines of text, "" where none is known; a * stands for any text."""
        patterns = [".*".join(re.escape(part) for part in name.split("*")) for name in names]
        chosen = re.compile("|".join(patterns) if patterns else r"\b\B")
        return "\n".join(fact.line for fact in self.values() if chosen.fullmatch(fact.name))

    @property
    def bars(self) -> tuple[BarLine, ...]:
        """The recent bars for a prompt, oldest first, without dates."""
        rows = self.recent.to_numpy(dtype=np.float64)
        return tuple(
            BarLine(ago, as_price(opened), as_price(high), as_price(low), as_price(close), as_amount(volume))
            for ago, (opened, high, low, close, volume) in zip(range(len(rows), 0, -1), rows.tolist(), strict=True)
        )


def facts_at(bars: pd.DataFrame, tables: Tables | None = None) -> Facts:
    """Return all facts that the given bars, all of them known, and the tables as of the last one's close tell.

    For a decision on bar t give `bars[:t]`. Rows of the tables that were published after the close of the last bar are
    not looked at. What would need more bars, or a table that is not there, is left out.

    Raises DataError for no bars, bars without naive increasing dates, or prices that are not finite.
    """
    moment = known_at(bars)
    if not (bars.index.is_monotonic_increasing and bars.index.is_unique):
        raise DataError("expected bars with unique, increasing dates; use read_bars")
    known = (tables or Tables()).until(moment)
    facts = [
        *stock_facts(bars, known, moment),
        *technical_facts(bars),
        *market_facts(known.market, moment),
        *fundamental_facts(known.fundamentals, moment),
        *macro_facts(known.macro, moment),
        *option_facts(known.options, moment),
    ]
    return Facts(facts, known_at=moment, recent=bars[_COLUMNS].iloc[-RECENT:])
