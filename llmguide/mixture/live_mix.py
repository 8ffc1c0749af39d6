"""`llmguide.mix` on bars as they come: experts are asked and weighed at each bar, from the bars before it alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError, DataWarning, LlmguideError
from llmguide.guidance.live import COLUMNS
from llmguide.guidance.schedule import bar_dates
from llmguide.mixture.experts import Expert, find_experts, naming
from llmguide.mixture.followers import Bar, KnownBars
from llmguide.mixture.live import Mixed, Mixture, check_cost, check_sides
from llmguide.mixture.result import Mix, mixed_of
from llmguide.trading.simulate import closes

__all__ = ["LiveMix", "Weighed"]

Array = NDArray[np.float64]


class Weighed(NamedTuple):
    """What a mixture holds at one bar, and which experts it trusts; mappings are by the experts' names.

    Attributes:
        date: of the bar.
        position: fraction of the account to hold from the bar's close on, in [-1, 1].
        weights: add up to 1; all 0 where no expert has a positive record.
        records: the mean results that the weights are made of.
        sides: what each expert proposes, in [-1, 1]; NaN is no opinion.
    """

    date: datetime
    position: float
    weights: dict[str, float]
    records: dict[str, float]
    sides: dict[str, float]


class LiveMix:
    """A mixture of experts on bars as they arrive: sides, weights and positions are those of `llmguide.mix`.

    Call `see` once for each bar, from the first one on. Everything it returns is known at the close of the bar before,
    except for the date.

    Args:
        experts: by name, as `llmguide.mix` takes them.
        cost: fraction of each traded value.
        history: bars before the first one, as `llmguide.read_bars` returns them, for experts that look back and for
            their records: the result is that of `llmguide.mix` on the history and what follows as one frame.

    Attributes:
        names: names of the experts.
        needs: columns that every bar must have.
        uses_future: whether an expert was made with knowledge of the future.

    Raises LlmguideError, DataError, GuidanceError and ModelError as `llmguide.mix` does, as early as possible.
    """

    def __init__(self, experts: Mapping[str, Any], *, cost: float = 0.001, history: pd.DataFrame | None = None) -> None:
        self._experts = [_Heard(name, expert) for name, expert in find_experts(experts).items()]
        self.names = tuple(heard.name for heard in self._experts)
        self.needs = tuple(
            dict.fromkeys(["close", *(name for heard in self._experts for name in heard.follower.needs)])
        )
        self.uses_future = any(heard.expert.uses_future for heard in self._experts)
        self._priors = {heard.name: heard.expert.belief for heard in self._experts}
        self._cost = check_cost(cost)
        self._mixture = Mixture(self._priors, cost=cost)
        self._sides: list[Array] = []  # of every bar, those of the history first
        self._history = pd.DataFrame() if history is None or len(history) == 0 else self._checked(history)
        self._known = KnownBars()
        self._begun = False

    def see(self, stamp: datetime, before: Bar | None) -> Weighed:
        """Return what to hold from the close of the next bar on.

        Args:
            stamp: date or time of the next bar, by which guidance is looked up and records begin; its prices are not
                needed.
            before: the bar before it, which is over; None for the first bar.
        """
        if not self._begun:
            self._walk_history(stamp)
        elif before is not None:
            self._known.add(before)
        else:
            raise LlmguideError(f"expected the bar before the one of {stamp}, got None; only the first bar has none")
        sides = np.array([heard.side(self._known, stamp) for heard in self._experts])
        self._sides.append(sides)
        mixed = self._mixture.update(_newest_return(self._known.closes), sides)
        return self._named(stamp, mixed, sides)

    def mixed(self, last: Bar, *, start: int = 0) -> Mix:
        """Return the `Mix` of the history and the bars so far.

        Args:
            last: the bar of the last call of `see`, once it is over.
            start: idle bars at the beginning, those of the history included.
        """
        if len(self._sides) != len(self._known) + 1:
            raise LlmguideError("no bar has been seen yet; call see with the first one")
        stamps = pd.DatetimeIndex([*self._known.stamps, last.stamp], name="date")
        prices = np.append(self._known.closes, last.values[COLUMNS.index("close")])
        return mixed_of(
            pd.Series(prices, stamps, name="close"),
            np.array(self._sides),
            self._priors,
            cost=self._cost,
            start=start,
            uses_future=self.uses_future,
        )

    def check(self) -> None:
        """Check, once all bars are known, that every table fits them, as `llmguide.mix` does.

        Warns (DataWarning) of experts that had no opinion on any bar.
        """
        if len(self._known) == 0:
            return
        bars = self._known.frame()
        for heard in self._experts:
            if heard.spoke:
                with naming(heard.name):
                    heard.expert.check(bars)
                continue
            warnings.warn(
                f"the expert {heard.name!r} had no opinion on any bar from {bars.index[0].date()} to "
                f"{bars.index[-1].date()}; the mixture ignores it; its record begins later, or it needs more "
                "bars",
                DataWarning,
                stacklevel=3,
            )

    def _walk_history(self, first: datetime) -> None:
        """Let the experts speak on the history, and book what they earned there."""
        self._begun = True
        history = self._history
        if len(history) and not history.index[-1] < pd.Timestamp(first):
            raise DataError(
                f"expected a history that ends before the first bar of {first}, got one until {history.index[-1]}; cut "
                "it"
            )
        sides = np.column_stack([heard.begin(history, first) for heard in self._experts])
        self._known = KnownBars(history)
        self._sides = list(sides)
        for bar, row in enumerate(sides):
            self._mixture.update(_newest_return(self._known.closes[:bar]), row)

    def _checked(self, history: pd.DataFrame) -> pd.DataFrame:
        """Return the history; DataError where a bar of it cannot be used."""
        bar_dates(history)
        closes(history)
        for name in self.needs:
            if name not in history or not np.isfinite(history[name].to_numpy(dtype=np.float64)).all():
                raise DataError(f"the history lacks {name}, which an expert needs; use llmguide.read_bars")
        return history

    def _named(self, stamp: datetime, mixed: Mixed, sides: Array) -> Weighed:
        """Return what came of a bar, by name."""
        by_name = (dict(zip(self.names, row.tolist(), strict=True)) for row in (mixed.weights, mixed.records, sides))
        return Weighed(stamp, float(mixed.position), *by_name)


class _Heard:
    """An expert as it is heard, bar by bar: by name, and from its record's beginning on."""

    def __init__(self, name: str, expert: Expert) -> None:
        self.name, self.expert = name, expert
        with naming(name):
            self.follower = expert.follow()
            self._counts = expert.counts()
        self.spoke = False

    def begin(self, history: pd.DataFrame, first: datetime) -> Array:
        """Return the sides for the history."""
        with naming(self.name):
            sides = check_sides(self.follower.begin(history, first), (len(history),), "the sides").copy()
        for bar, stamp in enumerate(history.index):
            sides[bar] = self._from_its_beginning(sides[bar], stamp)
        return sides

    def side(self, known: KnownBars, stamp: datetime) -> float:
        """Return the side for the next bar."""
        with naming(self.name):
            side = float(check_sides([self.follower.side(known, stamp)], (1,), "the sides")[0])
        return self._from_its_beginning(side, stamp)

    def _from_its_beginning(self, side: float, stamp: datetime) -> float:
        """Return the side, or NaN on a bar that is not of its record."""
        if not self._counts(stamp):
            return math.nan
        self.spoke = self.spoke or not math.isnan(side)
        return side


def _newest_return(prices: Array) -> float:
    """Return the last bar's return; NaN where there is no bar before it."""
    return float((prices[-1] - prices[-2]) / prices[-2]) if len(prices) > 1 else math.nan
