"""The door: a rule, its parameters, and bars in; every combination's measures out."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from llmguide.errors import DataError, LlmguideError, did_you_mean
from llmguide.guidance.table import Guidance
from llmguide.sweeps.engines import ENGINES, threads_used
from llmguide.sweeps.grid import Grid, Where, make_grid, restrict
from llmguide.sweeps.kernels import MEASURES
from llmguide.sweeps.market import Market
from llmguide.sweeps.result import Plan, Sweep
from llmguide.sweeps.rules import REQUIRED, Rule, check_overlays, find_rule
from llmguide.trading.simulate import check_account, closes

if TYPE_CHECKING:
    from llmguide.rl.agent import Agent

__all__ = ["make_markets", "measure_plan", "sweep"]

Engine = Literal["stream", "vbt"]


def sweep(
    bars: pd.DataFrame | Mapping[str, pd.DataFrame],
    rule: Any = "trend",
    *,
    guidance: Guidance | Mapping[str, Any] | None = None,
    agent: Agent | Mapping[str, Agent] | None = None,
    cash: float = 100_000.0,
    cost: Any = 0.001,
    delay: Any = 0,
    stop_loss: Any = inf,
    start: int = 30,
    where: Where | None = None,
    engine: Engine = "stream",
    threads: int | None = None,
    progress: bool = False,
    **parameters: Any,
) -> Sweep:
    """Measure every combination of a rule's parameters on the benchmark's account.

    ``sweep(bars, "trend", short=range(1, 20), long=range(10, 60, 5), start=60, cost=[0.0, 0.001])``

    Args:
        bars: as `llmguide.read_bars` returns them; several instruments by their symbol.
        rule: "trend", "reversion", "guidance" or "blend" (see `llmguide.sweeps.rules`), a numba function ``(close,
            parameters ..., out)``, or decisions as an array or frame, one column for each combination: 1 long, 0 short,
            -1 flat. Signals of another coding (1 long, -1 short, 0 flat) have to be changed first. A frame with dates
            must have those of the bars, or of the bars from `start` on.
        guidance: a table; several by name. With several instruments: for each symbol a table, or tables by name.
        agent: for the rule "blend"; with several instruments one for all, or one for each symbol.
        cash: capital at the beginning, as in `llmguide.simulate`.
        cost: fraction of each traded value.
        delay: bars by which every decision is carried out later than it could be. The account idles that much longer.
        stop_loss: fraction by which the close may move against a position since its entry. At the first close at which
            it has moved as far, the position is known to be lost, and it is left, whole, at the next bar's close; the
            account stays flat until the rule decides something else. A delay does not hold it up.
        start: idle bars at the beginning, the same for every combination.
        where: gets a frame of all combinations, one column for each parameter, and returns which of them to keep.
        engine: "stream", our kernel, or "vbt", vectorbt's accounts: the same numbers to 1e-9, tens of times slower.
        threads: of the kernel; None for as many as numba uses.
        progress: show a bar on standard error, where that is a terminal.
        parameters: those of the rule, and `cost`, `delay` and `stop_loss`: each a scalar or a sequence of values.

    Returns:
        A `Sweep`; its `frame` has a row for each combination. The same call gives the same bits, whatever `threads`.

    Raises:
        LlmguideError: an unknown rule, parameter or engine, values that mean nothing, a rule that looks ahead.
        DataError: bars, cash, cost or start that cannot be used.
        GuidanceError: guidance of another time than the bars. Where it only ends long before them, a DataWarning.
    """
    chosen = find_rule(rule)
    if engine not in ENGINES:
        raise LlmguideError(f"engine is 'stream' or 'vbt', got {engine!r}{did_you_mean(engine, ENGINES)}")
    grid = _grid(chosen, {"cost": cost, "delay": delay, "stop_loss": stop_loss}, parameters, where)
    plan = Plan(chosen, grid, make_markets(bars, guidance, agent, start), float(cash))
    return measure_plan(plan, engine=engine, threads=threads, progress=progress)


def measure_plan(plan: Plan, *, engine: Engine = "stream", threads: int | None = None, progress: bool = False) -> Sweep:
    """Measure every combination of a plan; see `sweep`."""
    grid, markets = plan.grid, plan.markets
    for market in markets:
        highest, latest = float(grid.levels["cost"].max()), int(grid.levels["delay"].max())
        check_account(cash=plan.cash, cost=highest, start=market.start, bars=len(market.prices))
        plan.rule.check(market)
        if latest >= market.tradable:
            raise LlmguideError(f"a delay of {latest} bars leaves none of the {market.tradable} that could be traded")
    with threads_used(threads), _Bar(len(grid) * len(markets), shown=progress) as bar:
        measured = [
            ENGINES[engine](market, plan.rule.prepare(market, grid), grid, plan.cash, bar.advance) for market in markets
        ]
    frame = pd.DataFrame(np.concatenate(measured), index=plan.index, columns=pd.Index(MEASURES), copy=False)
    return Sweep(frame.astype({"trades": np.int64}), plan)


def _grid(rule: Rule, account: dict[str, Any], given: dict[str, Any], where: Where | None) -> Grid:
    """Return the combinations to measure: the rule's parameters, then the account's."""
    clash = sorted(account.keys() & rule.defaults.keys())
    if clash:
        raise LlmguideError(f"{rule.name} has a parameter {clash[0]!r}, which is the account's; rename it in the rule")
    known = [*rule.defaults, *account]
    for name in given:
        if name not in rule.defaults:
            raise LlmguideError(
                f"the rule {rule.name} has no parameter {name!r}, only {', '.join(known)}{did_you_mean(name, known)}"
            )
    parameters = {**rule.defaults, **given}
    missing = [name for name, value in parameters.items() if value is REQUIRED]
    if missing:
        raise LlmguideError(f"the rule {rule.name} needs {missing[0]}=, a value or a sequence of values")
    grid = make_grid(parameters | account)
    check_overlays(grid)
    grid = rule.restrict(grid)
    return grid if where is None else restrict(grid, where)


def make_markets(bars: Any, guidance: Any, agent: Any, start: int) -> tuple[Market, ...]:
    """Return every instrument with every table of guidance for it."""
    several = isinstance(bars, Mapping)
    if several and not bars:
        raise DataError("expected bars of at least one instrument, got none")
    markets = []
    for symbol, frame in bars.items() if several else [(None, bars)]:
        prices = closes(frame)
        for name, table in _tables(_of(guidance, symbol, several, "guidance"), several).items():
            labels = {} if symbol is None else {"symbol": str(symbol)}
            if name is not None:
                labels["guidance"] = name
            markets.append(Market(labels, frame, prices, table, _of(agent, symbol, several, "agent"), start))
    named = {tuple(market.labels) for market in markets}
    if len(named) > 1:
        raise LlmguideError("pass tables by name for every symbol, or one table for each; got both")
    return tuple(markets)


def _of(given: Any, symbol: Any, several: bool, what: str) -> Any:
    """Return what is meant for one symbol."""
    if given is None or not several:
        if what == "agent" and isinstance(given, Mapping):
            raise LlmguideError("agents by symbol go with bars by symbol; pass one agent=")
        return given
    if not isinstance(given, Mapping):
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
    """Combinations done, on standard error; silent where that is no terminal, or where it is not wanted."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._progress: Any = None
        self._total, self._shown = total, shown

    def __enter__(self) -> _Bar:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console(stderr=True)
            self._progress = Progress(
                TextColumn("combinations"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console,
                disable=not console.is_terminal,
            )
            self._task = self._progress.add_task("", total=self._total)
            self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, combinations: int) -> None:
        """Count combinations as done."""
        if self._progress is not None:
            self._progress.update(self._task, advance=combinations)
