"""The door: a rule, its parameters, and bars in; every combination's measures out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from llmguide.counting import counted
from llmguide.errors import LlmguideError, did_you_mean
from llmguide.guidance.table import Guidance
from llmguide.inline import FUTURE, Inline, Shown
from llmguide.sweeps.engines import ENGINES
from llmguide.sweeps.grid import Grid, Where, make_grid, restrict
from llmguide.sweeps.measure import Engine, make_markets, measure_plan
from llmguide.sweeps.result import Plan, SweepResult, Which
from llmguide.sweeps.rows import best_table, heat_map, varied
from llmguide.sweeps.rules import REQUIRED, Rule, check_overlays, find_rule

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from llmguide.rl.agent import Agent
    from llmguide.sweeps.heatmap import Heatmap
    from llmguide.sweeps.validation import Validation

__all__ = ["Sweep", "sweep"]


class Sweep(Inline, SweepResult):
    """The result of `llmguide.sweep`: the measures of every combination, and `validate` for later bars."""

    def validate(
        self, bars: Any, *, guidance: Any = None, rule: Any = None, by: str = "sharpe", **options: Any
    ) -> Validation:
        """Measure the same combinations on later bars, and return how much of the best one's result was luck.

        Args:
            bars: later bars of the same instruments.
            guidance: as in `llmguide.sweep`; None takes the tables of the sweep, which may extend into the later bars.
            rule: decisions for the later bars, where the sweep was one of given decisions; None otherwise.
            by: the measure that chooses the best combination.
            options: further arguments of `llmguide.sweeps.validation.validate`: `min_trades`, `blocks`, `settings`,
                `seed`.

        Raises LlmguideError as `llmguide.sweeps.validation.validate` does.
        """
        from llmguide.sweeps.validation import validate

        return validate(self, bars, guidance=guidance, rule=rule, by=by, **options)

    @property
    def verdict(self) -> str:
        """The best setting by Sharpe ratio with its measures, and that it was not checked for overfitting."""
        from llmguide.sweeps.verdict import unchecked
        from llmguide.sweeps.wording import setting, summary

        what = f"{counted(len(self), 'combination')} of the rule {self.plan.rule.name}"
        try:
            best = self.best()
        except LlmguideError as error:
            return f"{what}: {error}."
        chosen, measured = setting(self.parameters(best), varied(self)), summary(best, "sharpe")
        return f"Best of {what}: {chosen}. {measured[:1].upper()}{measured[1:]}. {unchecked(len(self))}"

    def _shown(self) -> Shown:
        try:
            tables = [best_table(self, self.ranked(top=5), "sharpe")]
        except LlmguideError:
            tables = []
        tables_of = [market.guidance for market in self.plan.markets]
        future = self.plan.rule.uses_future or any(table is not None and table.uses_future for table in tables_of)
        return Shown(self.verdict, tables, warning=FUTURE if future else "", picture=heat_map(self) if tables else "")

    def heatmap(
        self,
        x: str,
        y: str,
        by: str = "sharpe",
        *,
        at: Which = None,
        slices: str = "",
        min_trades: int | None = None,
        validation: Validation | None = None,
        name: str = "",
    ) -> Heatmap:
        """Return a measure over two parameters, the best ringed; shown by notebooks, written by its `write_html`.

        Args:
            x: the parameter to the right.
            y: the parameter upwards.
            by: the measure.
            at: the others are as this setting has them; those that it leaves out, as the best one has them, unless they
                have one value.
            slices: a third parameter, of which each value has a map of its own.
            min_trades: which combinations can be the best, see `best`.
            validation: what `validate` returned for this sweep; without it the page says that the best combination
                was not checked for overfitting.
            name: what the bars are of, such as "AAPL", for the title; instruments given by symbol are known.

        Raises LlmguideError for what this sweep does not have, and for a validation of another choice.
        """
        from llmguide.sweeps.heatmap import heatmap_of

        return heatmap_of(self, x, y, by, at=at, slices=slices, min_trades=min_trades, validation=validation, name=name)


def sweep(
    bars: pd.DataFrame | Mapping[str, pd.DataFrame],
    rule: str | Callable[..., Any] | Rule | ArrayLike | pd.DataFrame = "trend",
    *,
    experts: Mapping[str, Any] | None = None,
    history: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    guidance: Guidance | Mapping[str, Any] | None = None,
    agent: Agent | Mapping[str, Agent] | None = None,
    cash: float = 100_000.0,
    cost: float | Iterable[float] = 0.001,
    delay: int | Iterable[int] = 0,
    stop_loss: float | Iterable[float] = inf,
    start: int = 30,
    where: Where | None = None,
    engine: Engine = "stream",
    threads: int | None = None,
    progress: bool = False,
    periods: float | None = None,
    **parameters: Any,
) -> Sweep:
    """Measure every combination of a rule's parameters on the benchmark's account.

    ``sweep(bars, "trend", short=range(1, 20), long=range(10, 60, 5), start=60, cost=[0.0, 0.001])``

    Args:
        bars: as `llmguide.read_bars` returns them; several instruments as a mapping by symbol.
        rule: "trend", "reversion", "guidance", "blend" or "mixture" (see `llmguide.sweeps.rules`), a numba function
            ``(close, parameters ..., out)``, or decisions as an array or frame, one column for each combination: 1
            long, 0 short, -1 flat. Signals of another coding (1 long, -1 short, 0 flat) must be converted first. A
            frame with dates must have those of the bars, or of the bars from `start` on.
        experts: for the rule "mixture": experts by name, as `llmguide.mix` takes them; with several instruments such a
            mapping for each symbol.
        history: for the rule "mixture": bars before these, on which its records begin; with several instruments for
            each symbol.
        guidance: a table, or several by name. With several instruments: for each symbol a table, or tables by name.
        agent: for the rule "blend"; with several instruments one for all, or one for each symbol.
        cash: initial capital, as in `llmguide.simulate`.
        cost: fraction of each traded value; one value, or a sequence to sweep.
        delay: bars by which every decision is carried out later than it could be; one value, or a sequence to sweep.
            The account idles that much longer.
        stop_loss: fraction by which the close may move against a position since its entry; one value, or a sequence to
            sweep. At the first close at which it has moved as far, the position is known to be lost, and it is closed
            at the next bar's close; the account stays flat until the rule decides something else. A delay does not hold
            it up.
        start: idle bars at the beginning, the same for every combination.
        where: gets a frame of all combinations, one column for each parameter, and returns which of them to keep.
        engine: "stream", llmguide's own kernel, or "vbt", vectorbt's accounts: the same numbers to 1e-9, tens of times
            slower.
        threads: threads of the kernel; None for as many as numba uses.
        progress: show a progress bar on a terminal or in a notebook.
        periods: bars per year; None reads it from the dates of each instrument (see `llmguide.periods`).
        parameters: those of the rule, each a scalar or a sequence of values.

    Returns:
        A `Sweep`; its `frame` has a row for each combination. The same call gives the same bits, whatever `threads`.

    Raises:
        LlmguideError: an unknown rule, parameter or engine, impossible values, a rule that looks ahead.
        DataError: bars, cash, cost or start that cannot be used.
        GuidanceError: guidance that does not overlap the bars in time. Where it only ends long before them, a
            DataWarning.
    """
    mixes = isinstance(rule, str) and rule == "mixture"
    chosen = _mixture(bars, experts, guidance, agent) if mixes else find_rule(rule)
    if not mixes and not (experts is None and history is None):
        raise LlmguideError("experts= and history= are for the rule 'mixture'; pass rule='mixture', or leave them out")
    if engine not in ENGINES:
        raise LlmguideError(f"engine is 'stream' or 'vbt', got {engine!r}{did_you_mean(engine, ENGINES)}")
    grid = _grid(chosen, {"cost": cost, "delay": delay, "stop_loss": stop_loss}, parameters, where)
    plan = Plan(chosen, grid, make_markets(bars, guidance, agent, start, periods, history=history), float(cash))
    return Sweep(measure_plan(plan, engine=engine, threads=threads, progress=progress).frame, plan)


def _mixture(bars: Any, experts: Any, guidance: Any, agent: Any) -> Rule:
    """Return the rule of these experts."""
    from llmguide.sweeps.mixture import MixtureRule  # and with it what experts need

    if experts is None:
        raise LlmguideError("the rule 'mixture' needs experts; pass experts={'guidance': table, 'hold': 'hold'}")
    if guidance is not None or agent is not None:
        raise LlmguideError("guidance and agent of a mixture are experts; pass them in experts=")
    return MixtureRule(experts, symbols=tuple(map(str, bars)) if isinstance(bars, Mapping) else ())


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
