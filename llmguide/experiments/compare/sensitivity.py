"""How far a comparison's result hangs on what trading costs: every arm run again in Backtrader under other conditions.

One condition is changed at a time, from those of the comparison: its cost, no slippage, fills at the close. The agents
are the trained ones, those of the arm flag too, moving averages keep the windows that were chosen at the comparison's
cost, and a mixture the positions that follow from what its experts earned at it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import pandas as pd

from llmguide.backtest import run_backtest
from llmguide.backtest.feed_checks import closes_outside, refuse_two_scales
from llmguide.errors import DataError, DataWarning
from llmguide.experiments.arms import ARMS
from llmguide.experiments.measure import NO_SEED
from llmguide.mixture import Mix
from llmguide.rl.config import DQNConfig

if TYPE_CHECKING:
    from llmguide.backtest.run import Fill
    from llmguide.experiments.arms import Trained
    from llmguide.experiments.compare.result import ComparisonResult

__all__ = ["COLUMNS", "LEVELS", "Condition", "conditions", "sensitivity", "with_slippage"]

LEVELS = (0.0, 0.0005, 0.001, 0.002, 0.005)
"""Costs, as fractions of the traded value, and slippages, as fractions of the price, that are tried."""

COLUMNS = ("what", "level", "arm", "seed", "sr", "mdd")


class Condition(NamedTuple):
    """One change of the conditions, and what they are then."""

    what: str  # "cost", "slippage" or "fill"
    level: float  # the fraction set; of a fill 0 at the close, 1 at the next open
    cost: float
    slippage: float
    fill: str

    @property
    def words(self) -> str:
        """What is changed, as a person says it."""
        if self.what == "fill":
            return "fills at the next open" if self.level else "fills at the close"
        return f"a {self.what} of {self.level:.2%}"


def conditions(
    cost: float, *, costs: Sequence[float] = LEVELS, slippages: Sequence[float] = LEVELS
) -> tuple[Condition, ...]:
    """Return the conditions to try around those of a comparison, which are among them.

    Raises DataError for a level outside [0, 1).
    """
    for level in (*costs, *slippages):
        if not 0.0 <= level < 1.0:
            raise DataError(f"costs and slippages are fractions in [0, 1), got {level}; 0.1 % is 0.001")
    return (
        *(Condition("cost", level, level, 0.0, "close") for level in sorted({cost, *costs})),
        *(Condition("slippage", level, cost, level, "close") for level in sorted({0.0, *slippages})),
        Condition("fill", 0.0, cost, 0.0, "close"),
        Condition("fill", 1.0, cost, 0.0, "next_open"),
    )


def sensitivity(
    comparison: ComparisonResult,
    *,
    costs: Sequence[float] = LEVELS,
    slippages: Sequence[float] = LEVELS,
    seeds: int = 3,
    each: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """Run every arm of a comparison again on its test bars under other costs, slippages and fills.

    Args:
        comparison: what `llmguide.compare` returned.
        costs, slippages: levels to try, as fractions; the comparison's own cost and no slippage are added.
        seeds: of each trained arm only so many runs, the first ones.
        each: called after each backtest.

    Returns:
        One row per condition, arm and seed: columns `COLUMNS` (see `Condition`); ``sr`` and ``mdd`` as in
        `ComparisonResult.runs`.

    Raises DataError for a level outside [0, 1). Where only the closes of the test bars are adjusted, fills at the next
    open are left out, and a DataWarning says so. What the runs of one condition warn of, such as purchases that were
    not filled at the next open, is one DataWarning.
    """
    config = DQNConfig.from_dict(comparison.settings["agent"])
    known: dict[tuple[Any, ...], tuple[float, float]] = {
        (config.cost, 0.0, "close", *key): (result.sharpe, result.max_drawdown)
        for key, result in comparison.results.items()
    }
    params = {
        name: [
            (seed, arm.params(agent, comparison.guidance, comparison.train, config, mixed))
            for seed, agent, mixed in _runs(comparison, name, seeds)
        ]
        for name, arm in ((name, ARMS[name]) for name in comparison.arms)
    }
    rows, said = [], set[str]()
    on_two_scales = _on_two_scales(comparison.test)
    for condition in conditions(config.cost, costs=costs, slippages=slippages):
        if condition.fill == "next_open" and on_two_scales:
            warnings.warn(
                f"{condition.words} are left out: {on_two_scales}; nothing else is affected", DataWarning, stacklevel=2
            )
            continue
        heard: list[str] = []
        for name, runs in params.items():
            for seed, own in runs:
                key = (*condition[2:], name, seed)
                if key not in known:
                    with _listening(heard):
                        result = run_backtest(
                            comparison.test,
                            with_slippage(cast("Any", ARMS[name].strategy)),
                            cash=config.cash,
                            cost=condition.cost,
                            fill=cast("Fill", condition.fill),
                            start=config.lookback,
                            slippage=condition.slippage,
                            periods=comparison.settings["periods"],
                            **own,
                        )
                    known[key] = (result.sharpe, result.max_drawdown)
                    if each is not None:
                        each()
                rows.append((condition.what, condition.level, name, seed, *known[key]))
        new = [text for text in dict.fromkeys(heard) if text not in said]
        said.update(new)
        if new:
            more = f" (and {len(new) - 1} more of this kind)" if len(new) > 1 else ""
            warnings.warn(f"run again with {condition.words}: {new[0]}{more}", DataWarning, stacklevel=2)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _runs(comparison: ComparisonResult, arm: str, seeds: int) -> list[tuple[int, Trained | None, Mix | None]]:
    """Return seed, agent and mixture of an arm's first runs, as far as it has them."""
    if not ARMS[arm].trained:
        return [(NO_SEED, None, None)]
    mixed = comparison.mixed if ARMS[arm].mixed else {}
    return [(agent.seed, agent, mixed.get(agent.seed)) for agent in comparison.agents[arm][:seeds]]


def _on_two_scales(bars: pd.DataFrame) -> str:
    """Return why orders cannot wait for the next open of these bars; empty where they can."""
    outside = closes_outside(bars["low"], bars["high"], bars["close"])
    try:
        refuse_two_scales(outside, len(bars), "the test bars")
    except DataError as error:
        return str(error).partition(";")[0]
    return ""


@contextmanager
def _listening(heard: list[str]) -> Iterator[None]:
    """Add the texts of DataWarnings to a list in place of showing them; let all others through."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        if issubclass(one.category, DataWarning):
            heard.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


@cache
def with_slippage(strategy: Any) -> Any:
    """Return a strategy of `llmguide.strategies` with one parameter more, `slippage`.

    The broker makes every fill worse by that fraction of its price, beyond the bar's range if need be. The strategy
    knows: it sizes an order for the price that it will get, since a broker refuses what the cash cannot pay.
    """

    class Slipping(strategy):  # type: ignore[misc]  # a class chosen while running
        params: ClassVar[Any] = (("slippage", 0.0),)

        def start(self) -> None:
            super().start()
            if self.p.slippage:
                self.broker.set_slippage_perc(self.p.slippage, slip_out=True)
                self._cost: float = (1.0 + self._cost) * (1.0 + self.p.slippage) - 1.0

    Slipping.__name__ = Slipping.__qualname__ = strategy.__name__
    return Slipping
