"""The rules that a sweep knows, and those that a user brings.

A rule turns parameters into one decision per bar: 1 long, 0 short, -1 flat, for every bar from the first tradable one
on. The decision for bar t uses bars up to and including t-1, and guidance issued by the date of bar t.

| rule | parameters | decides |
|---|---|---|
| trend, reversion | short, long | by two moving averages (see `llmguide.trading.moving_averages`) |
| guidance | threshold, hold, max_entropy, min_confidence | the direction of guidance that is strong and sure enough |
| blend | weight, scale, band | by guidance and an agent's Q-gap together, with hysteresis |
| mixture | m0_NAME, n0_NAME, all_in, long_only, max_leverage, band | by `llmguide.sweeps.mixture` |
| decisions | column | what an array or a frame says |
| a function | those of its signature | what it writes |

**guidance.** A row of the table is followed if it has a direction, its strength is `threshold` or more, its normalised
entropy `max_entropy` or less (a row without entropy only where `max_entropy` is 1), and its confidence `min_confidence`
(1..3) or more. A row that is not followed leaves the side as it is, until `hold` rows have been issued since the one
that was followed (months, for a table with one row a month; that one is the first of them): then flat. The defaults
follow every row with a direction, as `llmguide.strategies.LLMOnly` does.

**blend.** score = weight * tau + (1 - weight) * clip(gap / scale, -1, 1), where gap is the agent's Q-value of long less
that of short, on the side that the rule's own decisions lead to, and `scale` is the gap that counts as much as the
strongest guidance. Long above `band`, short at or below -`band`, the side as it is between. A score of 0 is no opinion,
and leaves the side as it is too: so does weight 1 on an abstention, as `llmguide.strategies.LLMOnly` does. Weight 0 and
band 0 is the agent alone, which is short on a tie.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.look_ahead import find_look_ahead
from llmguide.sweeps.following import ALL_IN, Follow
from llmguide.sweeps.grid import Grid
from llmguide.sweeps.kernels import (
    blend_decisions,
    guidance_decisions,
    moving_average_decisions,
    window_means,
)
from llmguide.sweeps.market import Market, check_guidance, kind_of
from llmguide.trading.account import FLAT, LONG, SHORT
from llmguide.trading.moving_averages import LONGEST

if TYPE_CHECKING:
    pass

__all__ = [
    "REQUIRED",
    "RULES",
    "Decide",
    "Rule",
    "between",
    "check_overlays",
    "find_rule",
]

REQUIRED = object()
"""Stands where a parameter has no default."""
Decisions = NDArray[np.int8]
Decide = Callable[[slice, NDArray[Any]], None]
"""Writes what a slice of the grid's combinations wants, shape ``(rows, bars - start)``: decisions, or weights of a rule
that is sized (see `llmguide.sweeps.following`)."""


class Rule(ABC):
    """Parameters with their defaults, and what they decide on a market."""

    name: str
    defaults: Mapping[str, Any]
    """Parameters in their order, with the values that are taken where none are given."""
    follow: Follow = ALL_IN
    """How an account follows what the rule wants."""

    @property
    def uses_future(self) -> bool:
        """Whether what it decides by was made with knowledge of its future, guidance apart."""
        return False

    def restrict(self, grid: Grid) -> Grid:
        """Leave out combinations that mean nothing; LlmguideError for values that mean nothing anywhere."""
        return grid

    def check(self, market: Market) -> None:
        """Refuse a market that the rule cannot be measured on, and warn of what is unusual."""
        return

    def try_out(self, market: Market, grid: Grid, row: int) -> None:
        """Raise LlmguideError where one combination looks ahead: for rules that are not our own."""
        return

    @abstractmethod
    def prepare(self, market: Market, grid: Grid) -> Decide:
        """Return what writes the decisions on one market."""


class MovingAverages(Rule):
    """Trend following or mean reversion by two windows, in bars; pairs other than short < long are left out."""

    defaults = MappingProxyType({"short": range(1, LONGEST), "long": range(2, LONGEST + 1)})

    def __init__(self, name: str) -> None:
        self.name = name

    def restrict(self, grid: Grid) -> Grid:
        """Keep short < long."""
        for name in self.defaults:
            _whole(grid, name, least=1)
        kept = grid.column("short") < grid.column("long")
        if not kept.any():
            raise LlmguideError("no pair of windows has short < long; pass longer ones as long=")
        return grid.keep(kept)

    def prepare(self, market: Market, grid: Grid) -> Decide:
        """Compute the mean of every window once."""
        longest = int(grid.column("long").max())
        if longest > market.start:
            raise LlmguideError(
                f"a window of {longest} bars does not fit into the {market.start} idle ones before the first decision; "
                f"pass start={longest}"
            )
        windows = np.unique(np.concatenate([grid.levels[name] for name in self.defaults])).astype(np.int64)
        means = window_means(market.prices, windows[windows <= longest], market.start)
        short, long = (
            np.searchsorted(windows, grid.levels[name])[grid.codes[name]].astype(np.int64) for name in self.defaults
        )
        trend = self.name == "trend"

        def decide(rows: slice, decisions: Decisions) -> None:
            moving_average_decisions(means, short[rows], long[rows], trend, decisions)

        return decide


class FollowGuidance(Rule):
    """The direction of those rows of a guidance table that are strong and sure enough."""

    name = "guidance"
    defaults = MappingProxyType({"threshold": 0.0, "hold": inf, "max_entropy": 1.0, "min_confidence": 1})

    def restrict(self, grid: Grid) -> Grid:
        """Check the values."""
        between(grid, "threshold", 0.0, 1.0)
        between(grid, "hold", 1.0, inf)
        between(grid, "max_entropy", 0.0, 1.0)
        between(grid, "min_confidence", 1.0, 3.0)
        return grid

    def check(self, market: Market) -> None:
        """Check that the guidance is of the bars' time."""
        check_guidance(market)

    def prepare(self, market: Market, grid: Grid) -> Decide:
        """Take the table apart."""
        if market.guidance is None:
            raise LlmguideError("the rule 'guidance' needs a table; pass guidance=")
        table = market.guidance.frame
        direction, confidence, entropy, strength = (
            table[name].to_numpy(dtype=np.float64, na_value=np.nan)
            for name in ("direction", "confidence", "entropy", "strength")
        )
        issued = market.guidance.align(market.dates)["issued_at"].to_numpy()[market.start :]
        stamps = table["issued_at"].to_numpy()
        # NaT, where there is no guidance yet, sorts last.
        seen = np.where(np.isnat(issued), 0, np.searchsorted(stamps, issued, side="right")).astype(np.int64)

        def decide(rows: slice, decisions: Decisions) -> None:
            settings = grid.numbers(self.defaults, rows)
            guidance_decisions(direction, confidence, entropy, strength, seen, settings, decisions)

        return decide


class Blend(Rule):
    """Guidance and an agent's Q-gap, weighed, with hysteresis."""

    name = "blend"
    defaults = MappingProxyType({"weight": 0.5, "scale": 0.01, "band": 0.0})

    def restrict(self, grid: Grid) -> Grid:
        """Check the values."""
        between(grid, "weight", 0.0, 1.0)
        between(grid, "band", 0.0, 1.0)
        between(grid, "scale", 0.0, inf)
        if grid.levels["scale"].min() == 0:
            raise LlmguideError("scale is a Q-gap above 0, got 0")
        return grid

    def check(self, market: Market) -> None:
        """Check that the guidance is of the bars' time."""
        check_guidance(market)

    def prepare(self, market: Market, grid: Grid) -> Decide:
        """Ask the agent once."""
        if market.agent is None:
            raise LlmguideError(
                "the rule 'blend' needs a trained agent; pass agent=, as llmguide.load_agent returns it"
            )
        if market.agent.config.actions != 2:
            raise LlmguideError(
                "the rule 'blend' weighs long against short, and this agent has a third action, flat; let it decide by "
                "itself: rule=agent.decide(bars, tau)"
            )
        lookback = market.agent.config.lookback
        if market.start < lookback:
            raise LlmguideError(f"this agent looks back {lookback} bars; pass start={lookback} or more")
        if market.guidance is None:
            tau = np.zeros(len(market.prices))
        else:
            tau = market.guidance.tau(market.dates)
        if market.agent.guided and market.guidance is None:
            raise LlmguideError("this agent was trained with guidance; pass guidance=")
        if market.guidance is None and grid.column("weight").max() > 0:
            raise LlmguideError("a weight above 0 needs guidance; pass guidance=, or weight 0 for the agent alone")
        table = market.agent.q_table(market.bars, tau if market.agent.guided else None)[market.start - lookback :]
        gaps = np.ascontiguousarray(table[:, :, LONG] - table[:, :, SHORT])
        tau = np.ascontiguousarray(tau[market.start :])

        def decide(rows: slice, decisions: Decisions) -> None:
            blend_decisions(gaps, tau, grid.numbers(self.defaults, rows), decisions)

        return decide


class Given(Rule):
    """Decisions made elsewhere: shape ``(bars, columns)`` or ``(bars - start, columns)``, or one column.

    1 is long, 0 short (not flat) and -1 flat (not short). A series or frame with an index of its own, such as dates,
    must have that of the bars; one numbered 0, 1, 2, ... is taken by position, as an array is.
    """

    name = "decisions"

    def __init__(self, given: Any) -> None:
        if isinstance(given, pd.DataFrame) and isinstance(given.columns, pd.MultiIndex):
            raise LlmguideError("decisions in a frame need one level of columns; join the names of the levels first")
        if isinstance(given, pd.Series):
            given = given.to_frame()
        columns = given.columns if isinstance(given, pd.DataFrame) else None
        numbered = columns is None or given.index.equals(pd.RangeIndex(len(given)))
        self.index = None if numbered else given.index
        table = np.asarray(given)
        if table.ndim == 1:
            table = table[:, None]
        if table.ndim != 2 or not table.size:
            raise LlmguideError(f"expected decisions of shape (bars, columns), got {table.shape}")
        _check_decisions(table)
        self.table = np.ascontiguousarray(table.T, dtype=np.int8)
        self.defaults = {"column": range(len(self.table)) if columns is None else list(columns)}

    def prepare(self, market: Market, grid: Grid) -> Decide:
        """Cut the idle bars off."""
        bars = self.table.shape[1]
        if bars not in (len(market.prices), market.tradable):
            raise LlmguideError(
                f"expected decisions for {len(market.prices)} bars, or for the {market.tradable} from bar "
                f"{market.start} on, got {bars} rows"
            )
        index = market.bars.index[len(market.prices) - bars :]
        if self.index is not None and not self.index.equals(index):
            kinds = [kind_of(own) for own in (self.index, index)]
            if kinds[0] != kinds[1]:
                raise LlmguideError(
                    f"the decisions have {kinds[0]}, the bars {kinds[1]}; give both of one kind, or pass an array to "
                    "have the decisions taken by position"
                )
            at = int(np.argmin([own == theirs for own, theirs in zip(self.index, index, strict=True)]))
            raise LlmguideError(
                f"the decisions are of other dates than the bars: row {at} is {self.index[at]}, but its bar is "
                f"{index[at]}; reindex them to bars.index, or pass an array to have them taken by position"
            )
        table, codes = self.table[:, bars - market.tradable :], grid.codes["column"]

        def decide(rows: slice, decisions: Decisions) -> None:
            decisions[:] = table[codes[rows]]

        return decide


class Function(Rule):
    """A user's function ``rule(close, *parameters, out)``, best compiled by numba; called once per combination.

    It gets the closes of all bars and writes to ``out``, int8 of shape ``(bars,)`` and flat at first, the decision for
    each bar t: from ``close[:t]``. That it looks no further is tried out on the first and the last combination, and on
    those that are asked for, the best one among them (see `llmguide.look_ahead`).
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        plain = getattr(function, "py_func", function)
        self.name = getattr(plain, "__name__", type(plain).__name__)
        given = list(inspect.signature(plain).parameters.values())
        if len(given) < 2 or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in given):
            raise LlmguideError(
                f"a rule is a function (close, parameters ..., out), got {self.name}{inspect.signature(plain)}"
            )
        self.function = function
        self._tried: set[tuple[Any, ...]] = set()
        self.defaults = {p.name: REQUIRED if p.default is p.empty else p.default for p in given[1:-1]}

    def prepare(self, market: Market, grid: Grid) -> Decide:
        """Try it on bars whose end is changed."""
        for row in sorted({0, len(grid) - 1}):
            self.try_out(market, grid, row)

        def decide(rows: slice, decisions: Decisions) -> None:
            for place, values in enumerate(self._values(grid, rows)):
                decisions[place] = self._ask(market.prices, values)[market.start :]
            _check_decisions(decisions)

        return decide

    def _values(self, grid: Grid, rows: slice) -> list[tuple[Any, ...]]:
        """Return the function's parameters in each combination, as Python's own numbers."""
        columns = [grid.column(name, rows).tolist() for name in self.defaults]
        return list(zip(*columns, strict=True)) if columns else [()] * len(grid.column("cost", rows))

    def _ask(self, prices: NDArray[np.float64], values: tuple[Any, ...]) -> Decisions:
        out = np.full(len(prices), FLAT, dtype=np.int8)
        self.function(
            prices.copy(), *values, out
        )  # its own: the market's are read-only, and numba compiles anew for that
        return out

    def try_out(self, market: Market, grid: Grid, row: int) -> None:
        """Refuse a combination that looks ahead; each is tried once on the same closes."""
        (values,) = self._values(grid, slice(row, row + 1))
        tried = (values, market.start, hash(market.prices.tobytes()))  # not hash(values): -1 and -2 have the same
        if tried in self._tried:
            return
        decided = self._ask(market.prices, values)
        found = find_look_ahead(lambda prices: self._ask(prices, values), market.prices, decided, start=market.start)
        if found is not None:
            raise LlmguideError(
                f"the rule {self.name} looks ahead: its decision for bar {found.said} changes with closes from "
                f"bar {found.changed} on; decide bar t from close[:t] alone, and without chance"
            )
        self._tried.add(tried)


RULES: dict[str, Rule] = {
    rule.name: rule for rule in (MovingAverages("trend"), MovingAverages("reversion"), FollowGuidance(), Blend())
}
"""The rules that have a name."""


def find_rule(rule: Any) -> Rule:
    """Return the rule of a name, a function, or an array of decisions."""
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        if rule not in RULES:
            known = [*RULES, "mixture"]  # which is made of its experts
            raise LlmguideError(
                f"unknown rule {rule!r}; known: {', '.join(known)}, or a function, or an array of decisions"
                f"{did_you_mean(rule, known)}"
            )
        return RULES[rule]
    if callable(rule):
        return Function(rule)
    return Given(rule)


def check_overlays(grid: Grid) -> None:
    """Refuse an impossible cost, delay or stop-loss."""
    cost = grid.levels["cost"]
    if not pd.api.types.is_numeric_dtype(cost) or not ((cost >= 0) & (cost < 1)).all():
        raise LlmguideError(
            f"cost must be a fraction of the traded value in [0, 1), got {list(cost)[:5]}; 0.1 % is 0.001"
        )
    _whole(grid, "delay", least=0)
    limit = grid.levels["stop_loss"]
    if not pd.api.types.is_numeric_dtype(limit) or not (limit > 0).all():
        raise LlmguideError(
            f"stop_loss is a fraction of the price above 0, or float('inf') for none, got {list(limit)[:5]}"
        )


def _check_decisions(table: NDArray[Any]) -> None:
    known = (table == LONG) | (table == SHORT) | (table == FLAT)
    if not known.all():
        raise LlmguideError(f"decisions are 1 (long), 0 (short) or -1 (flat), but {table[~known][0]} is among them")


def _whole(grid: Grid, name: str, *, least: int) -> None:
    level = grid.levels[name]
    if not pd.api.types.is_integer_dtype(level) or level.min() < least:
        raise LlmguideError(f"{name} is a whole number of bars, at least {least}, got {list(level)[:5]}")


def between(grid: Grid, name: str, low: float, high: float) -> None:
    level = grid.levels[name]
    if not pd.api.types.is_numeric_dtype(level) or level.min() < low or level.max() > high:
        raise LlmguideError(f"{name} lies between {low:g} and {high:g}, got {list(level)[:5]}")
