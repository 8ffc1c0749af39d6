"""What an agent knows at a decision: the last bars, its account, and, where given, facts, guidance and news.

The decision for bar t knows bars up to and including t-1, tables as of their last close, and guidance and factors in
force on the date of t, as everywhere in llmguide. Levels are relative (see `llmguide.features.levels`): a moment names
neither the instrument nor the day.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol

import pandas as pd

from llmguide.errors import DataError
from llmguide.features.bar_lines import COLUMNS, RECENT, BarLine, bar_lines, closes_fit
from llmguide.features.facts import Facts, facts_at
from llmguide.sources.tables import Tables
from llmguide.states.factors import Factor, FactorsSource, as_factors
from llmguide.trading.flag_accounts import AccountView

__all__ = ["Advice", "GuidanceAt", "MarketMoment", "Moment", "MomentReader", "market_moment"]

_KEPT = 4096  # market moments that a reader keeps: more than the bars of a training


class AdviceRow(Protocol):
    """What is needed of a row of guidance."""

    @property
    def direction(self) -> int | None:
        """1 long, 0 short, None where it abstains."""

    @property
    def confidence(self) -> int | None:
        """1, 2 or 3; None where it abstains."""


class GuidanceAt(Protocol):
    """What is needed of a guidance table (see `llmguide.Guidance.at`)."""

    def at(self, day: date) -> AdviceRow | None:
        """Return the row that a bar of this date may see."""


class Advice(NamedTuple):
    """Guidance in force."""

    direction: str  # LONG or SHORT
    confidence: int  # 1 to 3


@dataclass(frozen=True)
class MarketMoment:
    """What a decision knows of the market; the same for every account.

    Attributes:
        bars: the last bars, oldest first, told relatively.
        close_only: whether they are told by close and range alone.
        advice: guidance in force, None where there is none or it abstains.
        factors: of the news, the weightiest first.
        facts: indicators and tables, None where they were not asked for.
    """

    bars: tuple[BarLine, ...]
    close_only: bool
    advice: Advice | None = None
    factors: tuple[Factor, ...] = ()
    facts: Facts | None = None


@dataclass(frozen=True)
class Moment:
    """What a decision knows: the market and one account."""

    market: MarketMoment
    account: AccountView


def market_moment(
    known: pd.DataFrame,
    day: date,
    *,
    shown: int = RECENT,
    guidance: GuidanceAt | None = None,
    factors: FactorsSource | None = None,
    tables: Tables | None = None,
    facts: bool = False,
) -> MarketMoment:
    """Return what is known of the market when bar t of the date `day` is decided.

    Args:
        known: the bars up to and including t-1, as `llmguide.read_bars` returns them.
        day: the date of bar t, for guidance and factors.
        shown: so many of the last bars are told; fewer where there are not so many.
        guidance: a guidance table.
        factors: the news' factors, as `llmguide.states.factors.Factors`, a frame of them or a path.
        tables: external data for the facts (docs/tables.md).
        facts: whether to compute indicators and facts, which takes some milliseconds.

    Raises DataError for no bars, and for factors that cannot be read.
    """
    if known.empty:
        raise DataError("expected at least one bar that is known before the decision, got none")
    recent = known[COLUMNS].iloc[-shown:]
    row = None if guidance is None else guidance.at(day)
    advice = None
    if row is not None and row.direction is not None and row.confidence is not None:
        advice = Advice("LONG" if row.direction else "SHORT", row.confidence)
    news = as_factors(factors)
    return MarketMoment(
        bars=bar_lines(recent, "relative"),
        close_only=not closes_fit(recent),
        advice=advice,
        factors=() if news is None else news.at(day),
        facts=facts_at(known, tables) if facts else None,
    )


class MomentReader:
    """Moments of bars that are there already, for training and for backtests; the market's part is computed once a bar.

    Args:
        bars: as `llmguide.read_bars` returns them.
        shown, guidance, factors, tables, facts: as in `market_moment`.
    """

    def __init__(
        self,
        bars: pd.DataFrame,
        *,
        shown: int = RECENT,
        guidance: GuidanceAt | None = None,
        factors: FactorsSource | None = None,
        tables: Tables | None = None,
        facts: bool = False,
    ) -> None:
        self.bars = bars
        self.shown = shown
        self._dates = pd.DatetimeIndex(bars.index)
        self._guidance, self._factors, self._tables, self._facts = guidance, as_factors(factors), tables, facts
        self._read: OrderedDict[int, MarketMoment] = OrderedDict()

    def at(self, account: AccountView) -> Moment:
        """Return what an account's next decision knows."""
        return Moment(self._market(account.bar), account)

    def at_all(self, accounts: Sequence[AccountView]) -> list[Moment]:
        """Return what the next decision of each account knows."""
        return [self.at(account) for account in accounts]

    def _market(self, bar: int) -> MarketMoment:
        if bar not in self._read:
            if len(self._read) >= _KEPT:
                self._read.popitem(last=False)
            self._read[bar] = market_moment(
                self.bars.iloc[:bar],
                self._dates[bar],
                shown=self.shown,
                guidance=self._guidance,
                factors=self._factors,
                tables=self._tables,
                facts=self._facts,
            )
        return self._read[bar]
