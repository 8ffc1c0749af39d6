"""All runs of one arm on one page: their measures side by side, and their curves as a band."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from llmguide.files import write_text
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.periods import calendar_of, periods_of
from llmguide.report import figures
from llmguide.report.accounts import HOLD, run_arms, run_instrument, run_values
from llmguide.report.html import document, figure, number, paragraph, percent, section, table

__all__ = ["SeedMeasures", "measure_seeds", "write_seeds"]

SeedMeasures = pd.DataFrame
"""One row a seed: sharpe (annual), max_drawdown and total_return (fractions), final_value (money)."""


def measure_seeds(folder: Path, arm: str, *, periods: float | None = None) -> SeedMeasures:
    """Return the measures of every seed of an arm of a comparison's run folder.

    They are those of a seed's own tearsheet: the returns count from the first bar's value on. `periods` is the number
    of bars in a year, None to read it from the dates. Raises DataError as `run_values` does.
    """
    values = run_values(folder, arm)
    year = periods_of(values, periods)
    rows = {}
    for seed, value in values.items():
        money = value.to_numpy(dtype=np.float64)
        returns = np.append(0.0, money[1:] / money[:-1] - 1.0)
        rows[seed] = {
            "sharpe": sharpe_ratio(returns, periods=year),
            "max_drawdown": max_drawdown(money),
            "total_return": money[-1] / money[0] - 1.0,
            "final_value": money[-1],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")


def write_seeds(folder: Path, arm: str, output: Path, *, title: str = "", periods: float | None = None) -> SeedMeasures:
    """Write the page of all seeds of an arm, with the hold arm beside it where there is one; return its measures."""
    found = measure_seeds(folder, arm, periods=periods)
    shown = {arm: run_values(folder, arm)}
    rhythm = calendar_of(shown[arm].index) if periods is None else f"{periods:g} bars a year, as given"
    held = arm != "hold" and "hold" in run_arms(folder)
    if held:
        shown["hold"] = run_values(folder, "hold")
    rows = [[str(seed) if int(str(seed)) >= 0 else "none", *_cells(row)] for seed, row in found.iterrows()]
    if len(found) > 1:
        rows += [["mean", *_cells(found.mean())], ["standard deviation", *_cells(found.std(ddof=1))]]
    if held:
        rows.append([HOLD, *_cells(measure_seeds(folder, "hold", periods=periods).iloc[0])])
    instrument, dates = run_instrument(folder), shown[arm].index
    on, of = (f" on {instrument}", f" of {instrument}") if instrument else ("", "")
    many = f"all {len(found)} seeds" if len(found) > 1 else "one run"
    heading = title or f"{arm}{on}, {many}{f', against {HOLD}' if held else ''}"
    benchmark = f"Benchmark: {HOLD}{of} (the arm hold)." if held else "Benchmark: none."
    body = [
        paragraph(f"Strategy: every run of the arm {arm}{on} on the test bars. {benchmark}"),
        paragraph(
            f"{dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}, {len(dates):,} bars. Annualised by {rhythm}. Sharpe ratio "
            "without a risk-free rate; maximum drawdown from the highest value so far, bar by bar."
        ),
        section("Measures"),
        table(["Seed", "Sharpe ratio", "Maximum drawdown", "Total return", "Final value"], rows),
        section("Curves"),
        figure(figures.equity(shown), "Portfolio value", "Line: mean over seeds; band: lowest to highest."),
        figure(
            figures.drawdown(shown), "Drawdown", "Drawdown from the highest value so far: mean and band over seeds."
        ),
    ]
    write_text(output, document(heading, "\n".join(body)))
    return found


def _cells(row: pd.Series) -> list[str]:
    return [
        number(row["sharpe"]),
        percent(row["max_drawdown"]),
        percent(row["total_return"]),
        f"{row['final_value']:,.0f}",
    ]
