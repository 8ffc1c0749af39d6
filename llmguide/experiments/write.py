"""Write a comparison into its run folder, report and tearsheets included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from llmguide.experiments.run_folder import RunFolder
from llmguide.files import write_csv, write_parquet
from llmguide.report.page import ReportData, write_report
from llmguide.report.tearsheet import tearsheet

if TYPE_CHECKING:
    from llmguide.experiments.comparison import Comparison

__all__ = ["report_data", "write_comparison"]


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write everything (see the module) and return the path of the report."""
    run = RunFolder.open(folder, comparison.settings)
    for arm, agents in comparison.agents.items():
        for agent in agents:
            run.save_agent(arm, agent)
    if comparison.guidance is not None:
        comparison.guidance.save(folder / "guidance.parquet")
    write_csv(comparison.runs, folder / "runs.csv")
    write_csv(comparison.table.rename_axis("arm").reset_index(), folder / "table.csv")
    write_csv(comparison.tests, folder / "tests.csv")
    write_parquet(comparison.curves, folder / "curves.parquet")
    write_parquet(_long(comparison), folder / "values.parquet")
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
            title=arm if seed < 0 else f"{arm}, seed {seed}",
        )
    return write_report(report_data(comparison), folder / "report.html")


def report_data(comparison: Comparison) -> ReportData:
    """Return what the report page shows of a comparison."""
    guidance = comparison.guidance
    train, test = comparison.train, comparison.test
    spans = [f"{len(bars)} bars ({bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d})" for bars in (train, test)]
    notes = [f"Trained on {spans[0]}, tested on {spans[1]}; every arm was backtested in Backtrader at close fills."]
    if guidance is not None:
        providers = ", ".join(comparison.settings["guidance"]["provider"])
        notes.append(f"Guidance by: {providers}.")
    trained = list(comparison.agents)
    curves = comparison.curves
    usage = comparison.usage
    return ReportData(
        title="Comparison of " + ", ".join(comparison.arms),
        table=comparison.table,
        tests=comparison.tests,
        values={arm: comparison.values(arm) for arm in comparison.arms},
        price=test["close"],
        guidance=None if guidance is None else guidance.align(pd.DatetimeIndex(test.index)),
        decisions={arm: comparison.sides(arm) for arm in comparison.arms},
        curves=curves if len(curves) else None,
        q_values={arm: comparison.q_values(arm) for arm in trained} or None,
        usage=usage if len(usage) else None,
        settings=comparison.settings,
        notes=notes,
        uses_future=guidance is not None and guidance.uses_future,
    )


def _long(comparison: Comparison) -> pd.DataFrame:
    frames = [
        result.account[["value", "side", "shares", "cash"]].rename_axis("date").reset_index().assign(arm=arm, seed=seed)
        for (arm, seed), result in comparison.results.items()
    ]
    return pd.concat(frames, ignore_index=True)
