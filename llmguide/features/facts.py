"""Everything that is known at the close of a bar, for a prompt: one ordered collection of facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from llmguide.errors import DataError
from llmguide.features.bar_lines import COLUMNS, RECENT, BarLine, bar_lines, closes_fit
from llmguide.features.fact import Fact, matcher
from llmguide.features.fundamentals import fundamental_facts
from llmguide.features.levels import Levels, check_levels
from llmguide.features.macro import macro_facts
from llmguide.features.market import market_facts
from llmguide.features.moment import known_at
from llmguide.features.options import option_facts
from llmguide.features.stock import stock_facts
from llmguide.features.technical import technical_facts
from llmguide.sources.tables import Tables

__all__ = ["Facts", "facts_at"]


class Facts(Mapping[str, Fact]):
    """What is known at a moment, by dotted name, in a fixed order; what is not known is not there.

    Attributes:
        known_at: the close of the last bar.
        recent: the last 20 bars, or as many as there are, as they were given.
        levels: how levels are told, in the facts and in `bars`.
    """

    def __init__(self, facts: list[Fact], *, known_at: pd.Timestamp, recent: pd.DataFrame, levels: Levels) -> None:
        self.known_at = known_at
        self.recent = recent
        self.levels = levels
        self._facts = {fact.name: fact for fact in facts}

    def __getitem__(self, name: str) -> Fact:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def lines(self, *names: str) -> str:
        """Return the facts of these names as lines of text, "" where none is known; a * stands for any text."""
        chosen = matcher(names)
        return "\n".join(fact.line for fact in self.values() if chosen.fullmatch(fact.name))

    @property
    def bars(self) -> tuple[BarLine, ...]:
        """The recent bars for a prompt, oldest first, without dates."""
        return bar_lines(self.recent, self.levels)

    @property
    def close_only(self) -> bool:
        """Whether `bars` are told by close and range alone, since a close lies outside its bar's low and high."""
        return self.levels == "relative" and not closes_fit(self.recent)


def facts_at(bars: pd.DataFrame, tables: Tables | None = None, *, levels: Levels = "relative") -> Facts:
    """Return all facts that the given bars, all of them known, and the tables as of the last one's close tell.

    For a decision on bar t give `bars[:t]`. Rows of the tables that were published after the close of the last bar are
    not looked at. What would need more bars, or a table that is not there, is left out. Names are the same for both
    kinds of `levels`, values and texts differ (`llmguide.features.levels`).

    Raises DataError for no bars, bars without naive increasing dates, prices that are not finite, or, relative, a close
    that is not above 0; GuidanceError for unknown levels.
    """
    check_levels(levels)
    moment = known_at(bars)
    if not (bars.index.is_monotonic_increasing and bars.index.is_unique):
        raise DataError("expected bars with unique, increasing dates; use read_bars")
    if levels == "relative" and (bars["close"] <= 0).any():
        raise DataError(
            f"expected closes above 0, got {bars['close'].min():g}: nothing can be relative to it; "
            'tell levels as they are, with levels = "absolute" in [brief] or --levels absolute'
        )
    known = (tables or Tables()).until(moment)
    facts = [
        *stock_facts(bars, known, moment, levels),
        *technical_facts(bars, levels),
        *market_facts(known.market, moment, levels),
        *fundamental_facts(known.fundamentals, moment),
        *macro_facts(known.macro, moment, levels),
        *option_facts(known.options, moment),
    ]
    return Facts(facts, known_at=moment, recent=bars[COLUMNS].iloc[-RECENT:], levels=levels)
