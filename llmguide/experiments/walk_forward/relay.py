"""One account that passes from strategy to strategy, a window each, in a single run of Cerebro.

Every window has a strategy of its own, with what was trained for it, and all of them stand in one Cerebro over one feed
and one broker. Each acts on the bars of its window alone, and takes over position, cash and side as the one before it
left them: nothing is closed, nothing is opened anew, and no returns are glued together. The feed begins with the bars
before the first window, on which nobody trades: they are the past that indicators and agents look back on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, cast

import pandas as pd

from llmguide.backtest import make_cerebro
from llmguide.strategies.base import AccountStrategy, Decided

__all__ = ["Leg", "Relayed", "run_relay"]


class Leg(NamedTuple):
    """A strategy and the bars on which it trades: positions in the feed, the second number not included."""

    strategy: type[AccountStrategy]
    params: dict[str, Any]
    bars: tuple[int, int]


class Relayed(NamedTuple):
    """What came of a relay.

    Attributes:
        account: after each bar from the first leg's first one on, columns as in `llmguide.backtest.BacktestResult`.
        decisions: 1 long, 0 short, -1 flat, or target weights, by date; bars before the first decision have none.
            ``simulate(bars, decisions, start=first)`` makes the same account of them.
        orders: one row per order (see `llmguide.backtest.OrderLog`), with the number of its leg, from 0, as ``leg``.
    """

    account: pd.DataFrame
    decisions: pd.Series
    orders: pd.DataFrame


@dataclass
class _Baton:
    """What a strategy knows of the account beyond what the broker tells, and the next one needs."""

    end: int  # of the last leg
    side: int = 0
    cash: float = math.nan
    log: list[Decided] = field(default_factory=list)
    first: date | None = None
    last: date | None = None


class _Runner:
    """Makes a strategy act on its window only, and lets it keep what it remembers of the account in the baton."""

    p: Any
    traded: Any

    @property
    def side(self) -> int:
        """The side of the account, whoever took it."""
        return cast("_Baton", self.p.baton).side

    @side.setter
    def side(self, side: int) -> None:
        self.p.baton.side = side

    @property
    def decision_log(self) -> list[Decided]:
        """The decisions of all legs so far."""
        return cast("_Baton", self.p.baton).log

    @decision_log.setter
    def decision_log(self, log: list[Decided]) -> None:
        self.p.baton.log = log

    @property
    def _cash(self) -> float:
        return cast("_Baton", self.p.baton).cash

    @_cash.setter
    def _cash(self, cash: float) -> None:
        self.p.baton.cash = cash

    @property
    def first_date(self) -> date | None:
        """The first date of the whole relay, for the last strategy; the others have none.

        A strategy with guidance warns at the end where all of its bars saw the same one, as those of a week do.
        """
        baton = cast("_Baton", self.p.baton)
        return baton.first if self.p.end == baton.end else None

    @first_date.setter
    def first_date(self, first: date | None) -> None:
        self.p.baton.first = self.p.baton.first or first

    @property
    def last_date(self) -> date | None:
        """The last date so far."""
        return cast("_Baton", self.p.baton).last

    @last_date.setter
    def last_date(self, last: date | None) -> None:
        self.p.baton.last = last

    def next(self) -> None:
        """Act, while the window lasts."""
        if self.p.start < len(self.traded) <= self.p.end:
            super().next()  # type: ignore[misc]  # of the strategy that it is mixed with


def run_relay(
    bars: pd.DataFrame, legs: Sequence[Leg], *, cash: float = 100_000.0, cost: float = 0.001, periods: float
) -> Relayed:
    """Run strategies one after the other on one account, filled at the close.

    Args:
        bars: as `llmguide.read_bars` returns them; those before the first leg are history.
        legs: oldest first, each beginning where the one before it ends, at bar 1 or later.
        cash: capital at the beginning.
        cost: fraction of each traded value.
        periods: bars per year.

    Raises what the strategies raise.
    """
    baton = _Baton(end=legs[-1].bars[1])
    first, *rest = legs
    cerebro = make_cerebro(
        bars.iloc[: legs[-1].bars[1]], _runner(first.strategy), cash=cash, cost=cost, periods=periods,
        **_params(first, baton),
    )  # fmt: skip
    for leg in rest:
        cerebro.addstrategy(_runner(leg.strategy), **_params(leg, baton))
    ran = cerebro.run()
    # The last strategy's turn comes last on every bar: its analyzer sees the account after the bar's trade.
    account = ran[-1].analyzers.sharpedrawdown.account
    begin, end = first.bars[0], legs[-1].bars[1]
    stamps = pd.DatetimeIndex(bars.index[:end])
    account = account.set_index(stamps).iloc[begin:]
    decided = [entry.decision for entry in baton.log]  # on every bar from the first decision on
    decisions = pd.Series(decided, stamps[end - len(decided) :], name="decision", dtype="float64")
    orders = [one.analyzers.orderlog.frame.assign(leg=number) for number, one in enumerate(ran)]
    # Without the empty ones, whose columns have no types; where all are, one of them has the columns.
    sent = pd.concat([frame for frame in orders if len(frame)] or orders[:1], ignore_index=True)
    return Relayed(account, decisions, sent.assign(ref=range(1, len(sent) + 1)))


def _params(leg: Leg, baton: _Baton) -> dict[str, Any]:
    return {**leg.params, "start": leg.bars[0], "end": leg.bars[1], "baton": baton}


def _runner(strategy: type[AccountStrategy]) -> type[AccountStrategy]:
    """Return a strategy as one of a relay, under the same name, which is that of its errors."""
    body = {"__module__": __name__, "params": (("end", None), ("baton", None))}
    metaclass: Any = type(strategy)
    made = metaclass("_Leg", (_Runner, strategy), body)  # the underscore keeps it out of Backtrader's own list
    made.__name__ = strategy.__name__
    return cast("type[AccountStrategy]", made)
