"""Measures and settings of a sweep in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from llmguide.counting import counted
from llmguide.report.heat_figure import Measure
from llmguide.report.html import number

__all__ = ["MEASURED", "cell", "many", "measured", "setting", "summary"]

_PERCENT: dict[str, Any] = {"digits": 1, "scale": 100.0, "unit": " %"}
MEASURED = {
    "sharpe": Measure("Sharpe ratio"),
    "sortino": Measure("Sortino ratio"),
    "max_drawdown": Measure("maximum drawdown", signed=False, less_is_better=True, **_PERCENT),
    "total_return": Measure("total return", **_PERCENT),
    "annual_return": Measure("annual return", **_PERCENT),
    "trades": Measure("number of trades", digits=0, signed=False),
    "exposure": Measure("share of bars with a position", signed=False, **_PERCENT),
    "turnover": Measure("annual turnover", signed=False, less_is_better=True),
}
"""The columns of a sweep's frame, by how they are called and written."""


def measured(by: str, value: float) -> str:
    """A measure's value as text."""
    shown = MEASURED[by]
    text = number(shown.scale * value, shown.digits)
    return text if text == "n/a" else f"{text}{shown.unit}"


def summary(row: pd.Series[Any], by: str) -> str:
    """One combination's measures: the one that chose it, then those that nobody should choose without."""
    names = dict.fromkeys([by, "sharpe", "max_drawdown", "total_return"])
    shown = [f"{MEASURED[name].label} {measured(name, row[name])}" for name in names if name != "trades"]
    return ", ".join([*shown, counted(int(row["trades"]), "trade")])


def cell(value: Any) -> str:
    """A parameter's value as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting(parameters: Mapping[str, Any], names: Any = None) -> str:
    """Some parameters, all by default, with their values."""
    wanted = parameters if names is None else names
    return ", ".join(f"{name} {cell(parameters[name])}" for name in wanted)


def many(values: pd.Index[Any]) -> str:
    """The values of a parameter: each, or of more than six the first and the last, and how many."""
    shown = [cell(value) for value in values]
    return ", ".join(shown) if len(shown) <= 6 else f"{shown[0]} to {shown[-1]}, {len(shown)} values"
