"""Write a comparison into its run folder, report and tearsheets included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from llmguide.bars import count_closes_outside
from llmguide.counting import counted
from llmguide.experiments.arms import ARMS
from llmguide.experiments.compare.script import script_of
from llmguide.experiments.compare.sensitivity import sensitivity
from llmguide.experiments.learners.learner import learner_of
from llmguide.experiments.markets import Market
from llmguide.experiments.outcomes import outcomes
from llmguide.experiments.run_folder import RunFolder
from llmguide.files import write_csv, write_parquet
from llmguide.report.accounts import HOLD
from llmguide.report.page import QCurves, ReportData, write_report
from llmguide.report.tearsheet import tearsheet

if TYPE_CHECKING:
    from llmguide.experiments.compare.result import ComparisonResult

__all__ = ["report_data", "write_comparison"]


def write_comparison(comparison: ComparisonResult, folder: Path, *, command: str = "", seeds: int = 3) -> Path:
    """Write everything (see `llmguide.experiments.run_folder`) and return the path of the report.

    The report shows `command` as the way to make the comparison again, or a call of the library where it is empty.
    `seeds` of each trained arm are run again under other costs, slippage and fills; 0 leaves that out.
    """
    run = RunFolder.open(folder, comparison.settings)
    for arm, agents in comparison.agents.items():
        for agent in agents:
            learner_of(ARMS[arm]).save(agent, run.agent_path(arm, agent.seed))
    if comparison.guidance is not None:
        comparison.guidance.save(folder / "guidance.parquet")
    write_csv(comparison.runs, folder / "runs.csv")
    write_csv(comparison.table.rename_axis("arm").reset_index(), folder / "table.csv")
    write_csv(comparison.tests, folder / "tests.csv")
    write_csv(comparison.intervals, folder / "intervals.csv")
    for name in ("controls", "placebo"):
        if comparison.measured_controls is None:
            (folder / f"{name}.csv").unlink(missing_ok=True)  # of a run before this one, which config.json forgets
        else:
            write_csv(getattr(comparison, name), folder / f"{name}.csv")
    write_parquet(comparison.curves, folder / "curves.parquet")
    rollouts = comparison.rollouts
    if len(rollouts):
        write_parquet(rollouts, folder / "rollouts.parquet")
    write_parquet(_long(comparison), folder / "values.parquet")
    if comparison.mixed:
        write_parquet(_mixed(comparison), folder / "mixture.parquet")
    for name in ("orders", "trades"):
        frames = [
            getattr(result, name).assign(arm=arm, seed=seed) for (arm, seed), result in comparison.results.items()
        ]
        write_csv(pd.concat([frame for frame in frames if len(frame)] or frames[:1]), folder / f"{name}.csv")
    hold = comparison.results.get(("hold", -1))
    for arm in comparison.arms:
        seed, result = next((s, r) for (name, s), r in comparison.results.items() if name == arm)
        tearsheet(
            result.returns,
            folder / "tearsheets" / f"{arm}.html",
            benchmark=None if hold is None or arm == "hold" else hold.returns,
            strategy=arm if seed < 0 else f"{arm}, seed {seed}",
            benchmark_name=HOLD,
            instrument=str(comparison.settings.get("name") or ""),
            parameters=_shown(comparison, arm),
            periods=comparison.settings["periods"],
        )
    found = sensitivity(comparison, seeds=seeds) if seeds else None
    if found is not None:
        write_csv(found, folder / "sensitivity.csv")
    data = report_data(comparison, found=found, reproduce=command or script_of(comparison))
    return write_report(data, folder / "report.html")


def report_data(comparison: ComparisonResult, *, found: pd.DataFrame | None = None, reproduce: str = "") -> ReportData:
    """Return what the report page shows of a comparison; `found` is its `sensitivity`."""
    guidance = comparison.guidance
    test = comparison.test
    year = comparison.settings["periods"]
    notes = [
        "Every arm was backtested in Backtrader, its orders filled at the close on which they are sent. Sharpe ratios "
        f"are annual, a year being {year:g} bars."
    ]
    if outside := count_closes_outside(test):
        notes.append(
            f"On {outside} of {len(test)} test bars the close lies outside low to high, as where only closes are "
            "adjusted for dividends: a fill at the next open is then at a price of another scale."
        )
    if comparison.mixed:
        notes.append(
            f"The mixture's agents did not learn from the last {comparison.settings['holdout']} training bars: their "
            "record begins there. Under Training they are shown as they trade by themselves."
        )
    deciding = [arm for arm in comparison.agents if ARMS[arm].follows_q_values]
    curves, rollouts = comparison.curves, comparison.rollouts
    if len(rollouts):
        notes.append(_of_flag(comparison))
    usage = comparison.usage
    return ReportData(
        title=_title(comparison),
        about=_about(comparison),
        table=comparison.table,
        tests=comparison.tests,
        values={arm: comparison.values(arm) for arm in comparison.arms},
        price=test["close"],
        intervals=comparison.intervals,
        guidance=None if guidance is None else guidance.align(pd.DatetimeIndex(test.index)),
        months=_months(comparison),
        decisions={arm: comparison.sides(arm) for arm in comparison.arms},
        runs=comparison.runs,
        curves=curves if len(curves) else None,
        rollouts=rollouts if len(rollouts) else None,
        q_values={arm: _q_curves(comparison, arm) for arm in deciding} or None,
        weights=comparison.weights,
        sensitivity=found,
        controls=None if comparison.measured_controls is None else comparison.controls,
        placebo=None if comparison.measured_controls is None else comparison.placebo,
        usage=usage if len(usage) else None,
        settings=comparison.settings,
        reproduce=reproduce,
        notes=notes,
        uses_future=guidance is not None and guidance.uses_future,
    )


def _title(comparison: ComparisonResult) -> str:
    """The instrument, where it is known, and the dates of the test."""
    name, index = comparison.settings.get("name") or "Comparison", comparison.test.index
    return f"{name}, {index[0]:%Y-%m-%d} to {index[-1]:%Y-%m-%d}"


def _about(comparison: ComparisonResult) -> str:
    """What was trained and tested on, how often, and by whom the guidance is."""
    train, test, guidance = comparison.train, comparison.test, comparison.guidance
    parts = [f"tested on {len(test):,} bars"]
    if comparison.agents:
        dates = f"{train.index[0]:%Y-%m-%d} to {train.index[-1]:%Y-%m-%d}"
        parts.insert(0, f"trained on {len(train):,} bars of {dates}")
        parts.append(counted(len(comparison.settings["seeds"]), "seed"))
    if guidance is not None:
        parts.append(f"guidance by {', '.join(comparison.settings['guidance']['provider'])}")
    text = " · ".join(parts)
    return text[0].upper() + text[1:]


def _of_flag(comparison: ComparisonResult) -> str:
    """What the arm flag is, and how it differs from the others."""
    flag, learned = comparison.settings["flag"], comparison.settings["flag"]["training"]
    policy = flag["policy"]
    adapter = f" (an adapter of rank {policy['lora_rank']})" if policy["lora_rank"] else ""
    count = policy["layers"] - policy["frozen"]
    trained = "the last" if count == 1 else f"the last {count}"
    reads = "reads the guidance" if flag["template"]["tells_guidance"] else "does not read the guidance"
    return (
        f"Flag is the language model {flag['base']} as the policy (FLAG-Trader): {trained} of its {policy['layers']} "
        f"layers{adapter}, trained by {learned['algorithm'].upper()} for {learned['steps']:,} steps a seed. It sells, "
        f"holds or buys, is never short, and {reads} (template {flag['template']['name']})."
    )


def _shown(comparison: ComparisonResult, arm: str) -> dict[str, object]:
    """What a tearsheet says of the run it is of."""
    config, guidance = comparison.settings["agent"], comparison.settings["guidance"]
    shown: dict[str, object] = {"Cash": config["cash"], "Cost": config["cost"]}
    if ARMS[arm].learner == "flag":
        flag = comparison.settings["flag"]
        shown |= {"Language model": flag["base"], "Steps": flag["training"]["steps"]}
    elif ARMS[arm].learner == "dqn":
        shown["Episodes"] = comparison.settings["episodes"]
    if guidance is not None:
        shown["Guidance"] = ", ".join(guidance["provider"])
    return shown


def _months(comparison: ComparisonResult) -> pd.DataFrame | None:
    """The guidance that test bars saw, as it was issued, and how the price went while it was the newest."""
    if comparison.guidance is None:
        return None
    rows = comparison.guidance.rows
    became = outcomes(Market("", comparison.train, comparison.test), [row.issued_at for row in rows])
    columns = ["issued_at", "direction", "confidence", "entropy", "strength", "realised", "explanation"]
    first, last = comparison.test.index[0], comparison.test.index[-1]
    seen = [
        row
        for row in rows
        if became[row.issued_at].bars and became[row.issued_at].until >= first and row.issued_at <= last
    ]
    months = [
        (row.issued_at, row.direction, row.confidence, row.entropy, row.strength, became[row.issued_at].realised,
         row.explanation)
        for row in seen
    ]  # fmt: skip
    return pd.DataFrame(months, columns=columns)


def _q_curves(comparison: ComparisonResult, arm: str) -> QCurves:
    """Every agent's Q-values on each test bar, for the side that it held before it."""
    tables = {agent.seed: comparison.q_values(arm, agent.seed) for agent in comparison.agents[arm]}
    names = [name for name in ("q_long", "q_short", "q_flat") if all(name in table for table in tables.values())]
    return QCurves(*(pd.DataFrame({seed: table[name] for seed, table in tables.items()}) for name in names))


def _mixed(comparison: ComparisonResult) -> pd.DataFrame:
    """Side, record and weight of every expert of the mixture at every bar, training bars included."""
    frames = [
        pd.DataFrame({name: getattr(found, f"{name}s")[expert] for name in ("side", "record", "weight")})
        .rename_axis("date")
        .reset_index()
        .assign(expert=str(expert), seed=seed)
        for seed, found in comparison.mixed.items()
        for expert in found.weights
    ]
    return pd.concat(frames, ignore_index=True)


def _long(comparison: ComparisonResult) -> pd.DataFrame:
    frames = [
        result.account[["value", "side", "shares", "cash"]].rename_axis("date").reset_index().assign(arm=arm, seed=seed)
        for (arm, seed), result in comparison.results.items()
    ]
    return pd.concat(frames, ignore_index=True)
