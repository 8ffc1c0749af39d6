"""What stands above a tearsheet's drawings: whose account it is, beside whom, when, and how it is measured."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from llmguide.counting import counted
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.report.html import number, percent
from llmguide.report.returns import value_of

__all__ = ["header_of", "heading_of"]

_SHARPE = "Sharpe ratio: mean over standard deviation of the returns per bar, annualised, without a risk-free rate"
_FALL = "Maximum drawdown: deepest fall of the value from its highest so far, including the start, bar by bar"


def heading_of(strategy: str, instrument: str, benchmark: str) -> str:
    """A title of what is known."""
    named = " on ".join(part for part in (strategy, instrument) if part) if strategy else instrument
    return f"{named} against {benchmark}" if named and benchmark else named or "Tearsheet"


def header_of(
    title: str,
    strategy: str,
    instrument: str,
    benchmark: str,
    mine: pd.Series[Any],
    peer: pd.Series[Any] | None,
    periods: float,
    rhythm: str,
) -> str:
    """The header as HTML; `peer` is the returns of the benchmark, which may have no name, None where there is none."""
    other = "none" if peer is None else benchmark or "returns given without a name"
    names = [("Strategy", strategy or "returns given without a name"), ("Benchmark", other)]
    if instrument:
        names.insert(1, ("Instrument", instrument))
    who = " &#183; ".join(f"<b>{label}:</b> {escape(name)}" for label, name in names)
    lines = []
    for label, percents, measure in (
        ("Sharpe ratio", False, lambda returns: sharpe_ratio(returns, periods=periods)),
        ("maximum drawdown", True, lambda returns: max_drawdown(value_of(returns))),
        ("total return", True, lambda returns: value_of(returns)[-1] - 1),
    ):
        cells = [
            percent(measure(part)) if percents else number(measure(part)) for part in (mine, peer) if part is not None
        ]
        lines.append(f"{label} {cells[0]}" + (f" (benchmark {cells[1]})" if len(cells) > 1 else ""))
    measured = "; ".join(lines)
    span = (
        f"{mine.index[0]:%Y-%m-%d} to {mine.index[-1]:%Y-%m-%d}, {counted(len(mine), 'bar')}. Annualised by: {rhythm}."
    )
    return (
        f"<h1>{escape(title)}</h1>\n<p class='who'>{who}</p>\n<p class='who'>{measured[0].upper()}{measured[1:]}.</p>\n"
        f"<p class='how'>{escape(span)} {_SHARPE}. {_FALL}.</p>"
    )
