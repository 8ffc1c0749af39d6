"""Numbers as text: the same in tables on a terminal and in a notebook."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["CALLED", "number", "percent", "share_interval", "spread"]

CALLED = {
    "sharpe": "Sharpe",
    "sortino": "Sortino",
    "max_drawdown": "MDD",
    "total_return": "return",
    "annual_return": "annual return",
    "trades": "trades",
    "exposure": "exposure",
    "turnover": "turnover",
}
"""Measures of an account by what a table calls them."""


def number(value: Any, digits: int = 2) -> str:
    """Return a number as text, "n/a" where it is undefined; nothing reads -0.00."""
    return "n/a" if value is None or not math.isfinite(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def spread(mean: Any, std: Any) -> str:
    """Return mean (std), without the brackets where there is no spread."""
    return number(mean) if std is None or not math.isfinite(std) else f"{number(mean)} ({number(std)})"


def percent(value: Any) -> str:
    """Return a fraction as percent."""
    return "n/a" if value is None or not math.isfinite(value) else f"{value:.0%}"


def share_interval(low: float, high: float) -> str:
    """Return an interval of a share as percent."""
    return "n/a" if math.isnan(low) else f"{100 * low:.0f}-{100 * high:.0f} %"
