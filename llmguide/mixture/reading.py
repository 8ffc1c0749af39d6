"""A policy that reads, bar by bar: its states told from the bars that are over, and its side on an account of its own.

The policy is FLAG-Trader's (`llmguide.rl.flag`), a language model. Nothing of that is known here but what `Reads` says,
so that torch is loaded by those who have such a policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import LlmguideError
from llmguide.guidance.live import COLUMNS
from llmguide.mixture.followers import Bar, Follower, KnownBars, Rows
from llmguide.states.factors import FactorsSource, as_factors
from llmguide.trading.flag_accounts import AccountView
from llmguide.trading.flag_rules import BUY, HOLD, trade
from llmguide.trading.flag_watch import WatchedAccount

if TYPE_CHECKING:
    from llmguide.rl.flag.config import FlagConfig
    from llmguide.sources.tables import Tables
    from llmguide.states.moment import GuidanceAt
    from llmguide.states.text import StateTemplate

__all__ = ["Choice", "PolicyFollower", "Reads", "StateTeller"]

Array = NDArray[np.float64]


class Choice(Protocol):
    """What a policy does in a state."""

    @property
    def action(self) -> int:
        """0 sell, 1 hold, 2 buy."""


@runtime_checkable
class Reads(Protocol):
    """What the mixture needs of a trained policy (see `llmguide.rl.flag.trained.TrainedPolicy`)."""

    @property
    def config(self) -> FlagConfig:
        """The settings it was trained with."""

    @property
    def template(self) -> StateTemplate:
        """What tells its states."""

    @property
    def notes(self) -> dict[str, Any]:
        """What is known of its training."""

    def begin(self) -> None:
        """Read what all states begin with."""

    def choose(self, state: str, legal: Sequence[bool]) -> Choice:
        """Return the likeliest possible action in a state."""


@dataclass(frozen=True, eq=False)
class StateTeller:
    """Tells the state before a bar from the bars that are over, as `llmguide.rl.flag.evaluation.walk_flag` has it.

    Attributes:
        template: tells it.
        shown: so many of the last bars are told.
        factors, tables: what else is told of (see `llmguide.states.moment.market_moment`).

    Raises ModelError for factors and tables that the template does not tell.
    """

    template: StateTemplate
    shown: int
    factors: FactorsSource | None = None
    tables: Tables | None = None

    def __post_init__(self) -> None:
        self.template.refuse_untold(factors=self.factors, tables=self.tables)
        object.__setattr__(self, "factors", as_factors(self.factors))  # read once, and not at every bar

    def tell(self, known: KnownBars, day: date, account: AccountView, guidance: GuidanceAt | None = None) -> str:
        """Return the state of an account before the bar of a date, which follows on the known ones."""
        from llmguide.states.moment import Moment, market_moment  # TA-Lib is loaded by those who read
        from llmguide.states.text import render

        facts = self.template.uses_facts
        market = market_moment(
            known.frame() if facts else known.last(self.shown),
            day,
            shown=self.shown,
            guidance=guidance,
            factors=self.factors,
            tables=self.tables,
            facts=facts,
        )
        return render(self.template, Moment(market, account), shown=self.shown)


class PolicyFollower(Follower):
    """The likeliest possible actions of a policy that reads, on a paper account by the rules of its training.

    One episode, which begins with the first bar that `counts`, or later, once there are as many bars as a state shows,
    and goes on for ever. The side is 1 while it means to be long, 0 while it means to hold nothing; before the episode
    it has no opinion.

    Args:
        policy: see `Reads`.
        counts: whether the bar of a time belongs to its record.
        teller: tells its states.
        rows: guidance that the states tell of.
    """

    needs: tuple[str, ...] = COLUMNS

    def __init__(
        self, policy: Reads, counts: Callable[[datetime], bool], teller: StateTeller, rows: Rows | None = None
    ) -> None:
        self._policy, self._counts, self._teller, self._rows = policy, counts, teller, rows
        self._rules = policy.config.rules
        self._seen: GuidanceAt | None = None
        self._watched: WatchedAccount | None = None
        self._shares, self._cash, self._action = 0.0, self._rules.cash, HOLD

    def begin(self, history: pd.DataFrame, first: datetime) -> Array:
        """See `Follower`."""
        if self._rows is not None:
            self._seen = self._rows.begin(history, first)
        return super().begin(history, first)

    def past(self, history: pd.DataFrame) -> Array:
        """See `Follower`."""
        return self.walk(history, self._seen)

    def walk(self, bars: pd.DataFrame, guidance: GuidanceAt | None) -> Array:
        """Return the sides for bars of which nothing was said yet, shape ``(bars,)``."""
        missing = [name for name in COLUMNS if name not in bars]
        if missing:
            raise LlmguideError(
                f"its states need {', '.join(COLUMNS)}, and these bars lack {', '.join(missing)}; pass them "
                "through llmguide.read_bars"
            )
        known, sides = KnownBars(), np.empty(len(bars))
        stamps = pd.DatetimeIndex(bars.index).to_pydatetime()
        for place, values in enumerate(bars[list(COLUMNS)].to_numpy(dtype=np.float64).tolist()):
            sides[place] = self._next(known, stamps[place], guidance)
            known.add(Bar(stamps[place], values))
        return sides

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """See `Follower`."""
        guidance = None if self._rows is None else _InForce(self._rows.at(known, stamp))
        return self._next(known, stamp, guidance)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the policy out: what comes back from another process, such as an optimisation's, decides no more."""
        return self.__dict__ | {"_policy": None}

    def _next(self, known: KnownBars, stamp: datetime, guidance: GuidanceAt | None) -> float:
        """Carry out what was decided on the bar before, and decide on the next one."""
        if self._watched is None:
            if len(known) < self._teller.shown or not self._counts(stamp):
                return math.nan
            self._policy.begin()
            self._watched = WatchedAccount(self._rules, cost=self._rules.cost)
        price = float(known.closes[-1])
        self._shares, self._cash = trade(self._shares, self._cash, self._action, price, self._rules.cost)
        account = self._watched.look(len(known), self._shares, self._cash, price)
        state = self._teller.tell(known, stamp, account, guidance)
        self._action = int(self._policy.choose(state, account.legal).action)
        return float(self._action == BUY or (self._action == HOLD and self._shares > 0.0))


@dataclass(frozen=True)
class _InForce:
    """The row of guidance that the next bar may see."""

    row: Any

    def at(self, day: date) -> Any:
        """See `llmguide.states.moment.GuidanceAt`."""
        return self.row
