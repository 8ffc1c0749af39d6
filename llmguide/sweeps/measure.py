"""A plan in, every combination's measures out: on each instrument, with each table of guidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.counting import counted
from llmguide.errors import DataError, LlmguideError
from llmguide.guidance.table import Guidance
from llmguide.periods import DEFAULT, periods_of
from llmguide.sweeps.engines import ENGINES, Progress, threads_used
from llmguide.sweeps.kernels import MEASURES
from llmguide.sweeps.market import Market
from llmguide.sweeps.result import Plan, SweepResult
from llmguide.trading.simulate import check_account, closes

__all__ = ["Engine", "make_markets", "measure_plan"]

Engine = Literal["stream", "vbt"]


def measure_plan(
    plan: Plan, *, engine: Engine = "stream", threads: int | None = None, progress: bool = False
) -> SweepResult:
    """Measure every combination of a plan; see `llmguide.sweep`."""
    grid, markets = plan.grid, plan.markets
    for market in markets:
        highest, latest = float(grid.levels["cost"].max()), int(grid.levels["delay"].max())
        check_account(cash=plan.cash, cost=highest, start=market.start, bars=len(market.prices))
        plan.rule.check(market)
        if latest >= market.tradable:
            raise LlmguideError(f"a delay of {latest} bars leaves none of the {market.tradable} that could be traded")
    with threads_used(threads), _Bar(len(grid) * len(markets), shown=progress) as bar:
        measured = [_annualised(_measured(plan, market, engine, bar.advance), market) for market in markets]
    frame = pd.DataFrame(np.concatenate(measured), index=plan.index, columns=pd.Index(MEASURES), copy=False)
    return SweepResult(frame.astype({"trades": np.int64}), plan)


def _measured(plan: Plan, market: Market, engine: Engine, advance: Progress) -> NDArray[np.float64]:
    return ENGINES[engine](
        market, plan.rule.prepare(market, plan.grid), plan.rule.follow, plan.grid, plan.cash, advance
    )


def _annualised(measures: NDArray[np.float64], market: Market) -> NDArray[np.float64]:
    """Turn the engines' years of 252 bars into those of the market, in place."""
    share = market.periods / DEFAULT
    for name, power in (("sharpe", 0.5), ("sortino", 0.5), ("turnover", 1.0)):
        measures[:, MEASURES.index(name)] *= share**power
    return measures


def make_markets(
    bars: Any, guidance: Any, agent: Any, start: int, periods: float | None = None, *, history: Any = None
) -> tuple[Market, ...]:
    """Return every instrument with every table of guidance for it; `history` are earlier bars, by symbol as `bars`."""
    several = isinstance(bars, Mapping)
    if several and not bars:
        raise DataError("expected bars of at least one instrument, got none")
    markets = []
    for symbol, frame in bars.items() if several else [(None, bars)]:
        prices, year = closes(frame), periods_of(frame, periods)
        before = _of(history, symbol, several, "history")
        for name, table in _tables(_of(guidance, symbol, several, "guidance"), several).items():
            labels = {} if symbol is None else {"symbol": str(symbol)}
            if name is not None:
                labels["guidance"] = name
            own = _of(agent, symbol, several, "agent")
            markets.append(Market(labels, frame, prices, table, own, start, year, before))
    named = {tuple(market.labels) for market in markets}
    if len(named) > 1:
        raise LlmguideError("pass tables by name for every symbol, or one table for each; got both")
    return tuple(markets)


def _of(given: Any, symbol: Any, several: bool, what: str) -> Any:
    """Return what is meant for one symbol."""
    if given is None or not several:
        if what == "history" and isinstance(given, Mapping):
            raise LlmguideError("histories by symbol go with bars by symbol; pass one history=")
        if what == "agent" and isinstance(given, Mapping):
            raise LlmguideError("agents by symbol go with bars by symbol; pass one agent=")
        return given
    if not isinstance(given, Mapping):
        if what == "history":
            raise LlmguideError("a history is of one instrument; pass history={symbol: bars, ...}")
        if what == "guidance":
            raise LlmguideError("a table of guidance is for one instrument; pass guidance={symbol: table, ...}")
        return given
    if symbol not in given:
        raise LlmguideError(f"there is no {what} for {symbol}, only for {', '.join(map(str, given))}")
    return given[symbol]


def _tables(given: Any, several: bool) -> dict[str | None, Guidance | None]:
    if given is None or isinstance(given, Guidance):
        return {None: given}
    if not isinstance(given, Mapping) or not given or not all(isinstance(t, Guidance) for t in given.values()):
        inner = "for each symbol " if several else ""
        raise LlmguideError(
            f"guidance is {inner}a llmguide.Guidance, or several by name, got {type(given).__name__}; "
            "llmguide.Guidance.read reads a file"
        )
    return {str(name): table for name, table in given.items()}


class _Bar:
    """Combinations done and time left, on standard error or in a notebook; silent where it is not wanted."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._progress: Any = None
        self._total, self._shown = total, shown

    def __enter__(self) -> _Bar:
        if self._shown:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

            from llmguide.progress import make_progress
            from llmguide.time_left import Outlook, open_console

            console = open_console()
            self._outlook = Outlook(console, counted(self._total, "combination"), self._total)
            self._progress = make_progress(
                TextColumn("combinations"),
                BarColumn(bar_width=24 if console.width >= 80 else 8),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                console=console,
            )
            self._task = self._progress.add_task("", total=self._total, left="")
            self._done = 0
            self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, combinations: int) -> None:
        """Count combinations as done."""
        if self._progress is not None:
            self._done += combinations
            self._outlook.advance(combinations, f"{self._done:,} of {counted(self._total, 'combination')}")
            self._progress.update(self._task, advance=combinations, left=self._outlook.left_in_words())
