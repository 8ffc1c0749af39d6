"""The door: a rule, its parameters, and bars in; every combination's measures out."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.guidance.table import Guidance
from llmguide.sweeps.engines import ENGINES
from llmguide.sweeps.grid import Grid, Where, make_grid, restrict
from llmguide.sweeps.measure import Engine, make_markets, measure_plan
from llmguide.sweeps.result import Plan, SweepResult, Which
from llmguide.sweeps.rules import REQUIRED, Rule, check_overlays, find_rule

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.rl.agent import Agent
    from llmguide.sweeps.heatmap import Heatmap
    from llmguide.sweeps.validation import Validation

__all__ = ["Sweep", "sweep"]


class Sweep(SweepResult):
    """What `llmguide.sweep` returns: a `SweepResult`, which has all measures and settings, that can be validated."""

    def validate(
        self, bars: Any, *, guidance: Any = None, rule: Any = None, by: str = "sharpe", **options: Any
    ) -> Validation:
        """Measure the same combinations on later bars; see `llmguide.sweeps.validation.validate`."""
        from llmguide.sweeps.validation import validate

        return validate(self, bars, guidance=guidance, rule=rule, by=by, **options)

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
            x, y: the parameters, to the right and upwards.
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
    rule: Any = "trend",
    *,
    experts: Mapping[str, Any] | None = None,
    history: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
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
    periods: float | None = None,
    **parameters: Any,
) -> Sweep:
    """Measure every combination of a rule's parameters on the benchmark's account.

    ``sweep(bars, "trend", short=range(1, 20), long=range(10, 60, 5), start=60, cost=[0.0, 0.001])``

    Args:
        bars: as `llmguide.read_bars` returns them; several instruments by their symbol.
        rule: "trend", "reversion", "guidance", "blend" or "mixture" (see `llmguide.sweeps.rules`), a numba function
            ``(close, parameters ..., out)``, or decisions as an array or frame, one column for each combination: 1
            long, 0 short, -1 flat. Signals of another coding (1 long, -1 short, 0 flat) have to be changed first. A
            frame with dates must have those of the bars, or of the bars from `start` on.
        experts: of the rule "mixture", by name, as `llmguide.mix` takes them; with several instruments such a mapping
            for each symbol.
        history: of the rule "mixture", bars before these, on which its records begin; with several instruments for each
            symbol.
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
        periods: bars per year; None reads it from the dates of each instrument (see `llmguide.periods`).
        parameters: those of the rule, and `cost`, `delay` and `stop_loss`: each a scalar or a sequence of values.

    Returns:
        A `Sweep`; its `frame` has a row for each combination. The same call gives the same bits, whatever `threads`.

    Raises:
        LlmguideError: an unknown rule, parameter or engine, values that mean nothing, a rule that looks ahead.
        DataError: bars, cash, cost or start that cannot be used.
        GuidanceError: guidance of another time than the bars. Where it only ends long before them, a DataWarning.
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
