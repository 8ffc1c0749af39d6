"""The tables of a sweep and of its validation as text: the same for the command line, a terminal and a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmguide.inline import Table
from llmguide.numbers import CALLED, number, percent
from llmguide.sketches import diverging
from llmguide.sweeps.wording import cell

if TYPE_CHECKING:
    from llmguide.sweeps.result import SweepResult

__all__ = ["best_table", "heat_map", "validation_table", "varied"]

_ALWAYS = ("sharpe", "max_drawdown", "total_return", "trades")
_PERCENT = ("annual_return", "total_return", "exposure")


def best_table(found: SweepResult, rows: list[pd.Series[Any]], by: str) -> Table:
    """The best combinations: the parameters that differ between combinations, and their measures."""
    names, measures = varied(found), [name for name in CALLED if name in _ALWAYS or name == by]
    lines = []
    for row in rows:
        setting = found.parameters(row)
        shown = [
            str(int(row[name])) if name == "trades" else (percent if name in _PERCENT else number)(row[name])
            for name in measures
        ]
        lines.append([*(cell(setting[name]) for name in names), *shown])
    title = f"best of {len(found):,} by {CALLED[by]}, {found.plan.markets[0].periods:g} bars a year"
    return Table(title, [*names, *(CALLED[name] for name in measures)], lines)


def validation_table(found: pd.Series[Any], by: str, name: str, note: str) -> Table:
    """What became of the best combination on later bars called `name`; `found` is a row of `Validation.table`."""
    rows = [
        [f"{CALLED[by]} where it was chosen", number(found["train"])],
        [f"{CALLED[by]} on {name}", number(found["test"])],
        ["share of other combinations that do worse there (chance: 50%)", percent(found["beaten"])],
        ["rank correlation of all Sharpe ratios, before and after", number(found["rank_correlation"])],
        [f"probability of backtest overfitting\n({note})", percent(found["pbo"])],
        [f"Sharpe ratio that the luckiest of {int(found['trials']):,} reaches without skill", number(found["hurdle"])],
        ["probability that it is more than luck (deflated Sharpe ratio)", percent(found["deflated_sharpe"])],
    ]
    return Table("The best combination on later bars", ["measure", ""], rows)


def heat_map(found: SweepResult) -> str:
    """Draw the Sharpe ratios where exactly two parameters differ, and both are numbers; "" elsewhere."""
    names = varied(found)
    levels = [found.frame.index.get_level_values(name) for name in names]
    if len(names) != 2 or not all(pd.api.types.is_numeric_dtype(level) for level in levels):
        return ""
    sharpes = found.frame["sharpe"].to_numpy()
    ticks = [level.unique().sort_values() for level in levels]
    at = list(zip(*(tick.get_indexer(level).tolist() for tick, level in zip(ticks, levels, strict=True)), strict=True))
    x, y = (f"{name} from {tick[0]:g} to {tick[-1]:g}" for name, tick in zip(names, ticks, strict=True))
    return diverging(
        [(column, row, value) for (column, row), value in zip(at, sharpes.tolist(), strict=True)],
        shape=(len(ticks[0]), len(ticks[1])),
        best=at[int(np.nanargmax(sharpes))],
        label=f"Sharpe ratio by {x} (rightwards) and {y} (upwards): blue above 0, orange below, the best one framed",
    )


def varied(found: SweepResult) -> list[str]:
    """Return the names of what differs between combinations; the first one where nothing does."""
    index = found.frame.index
    return [str(name) for name in index.names if index.unique(name).size > 1] or [str(index.names[0])]
