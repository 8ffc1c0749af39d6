"""The page of a policy that reads: what it earned beside its controls, and how it learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.files import write_text
from llmguide.report import figures
from llmguide.report.html import document, figure, number, paragraph, percent, section, table

__all__ = ["FlagPage", "render_flag_page", "write_flag_page"]

_MEASURES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "sharpe": ("Sharpe ratio", number),
    "max_drawdown": ("Maximum drawdown", percent),
    "total_return": ("Total return", percent),
    "trades": ("Purchases", lambda x: number(x, 1)),
}
_CONTROLS = (
    "Untrained is the same policy before its first step; zero-shot the language model as it is, asked for one of the "
    "three words; hold buys on the first day. All trade by the same rules on the same bars."
)


@dataclass(frozen=True)
class FlagPage:
    """What the page shows; see `llmguide.experiments.flag.FlagStudy`. `trained` is the name of the trained arm."""

    table: pd.DataFrame
    values: Mapping[str, pd.DataFrame]
    curves: pd.DataFrame
    settings: Mapping[str, str]
    trained: str


def write_flag_page(page: FlagPage, path: Path | str) -> Path:
    """Write the page as one self-contained HTML file; return the path."""
    return write_text(path, render_flag_page(page))


def render_flag_page(page: FlagPage) -> str:
    """Return the page as HTML."""
    rows = [[str(arm), *(_spread(row, name) for name in _MEASURES)] for arm, row in page.table.iterrows()]
    body = [
        paragraph(_verdict(page), "lead"),
        section("Test bars"),
        table(["Arm", *(title for title, _ in _MEASURES.values())], rows),
        paragraph(f"Mean over seeds, with the lowest and the highest. {_CONTROLS}", "soft"),
        figure(
            figures.equity(page.values), "Account value of every arm", "Line: mean over seeds; band: lowest to highest."
        ),
        figure(figures.drawdown(page.values), "Drawdown of every arm", "Below the highest value so far."),
        section("Training"),
        figure(
            figures.learning(page.curves),
            "Learning curves",
            "Running means over ten rollouts; line: mean over seeds; band: lowest to highest. "
            "Nothing was selected by these curves.",
        ),
        section("What was run"),
        table(["Setting", ""], page.settings.items(), text=True),
    ]
    return document("A language model that trades", "\n".join(body))


def _spread(row: pd.Series[Any], name: str) -> str:
    """Return the mean, and the range where there is one."""
    text = _MEASURES[name][1]
    mean, low, high = (text(row[f"{name}_{kind}"]) for kind in ("mean", "low", "high"))
    return mean if low == high else f"{mean} ({low} to {high})"


def _verdict(page: FlagPage) -> str:
    """Return in one sentence where the trained policies stand."""
    sharpe = page.table["sharpe_mean"]
    own, others = sharpe[page.trained], sharpe.drop(page.trained)
    beaten = [str(arm) for arm in others.index if own > others[arm]]
    seeds = len(page.values[page.trained].columns)
    runs = "one trained policy has a" if seeds == 1 else f"{seeds} trained policies have a mean"
    against = f"above {', '.join(beaten)}" if beaten else "above none of its controls"
    above = "above all of its controls" if len(beaten) == len(others) else against
    return (
        f"On these test bars the {runs} Sharpe ratio of {number(own)}, {above} "
        f"({', '.join(f'{arm} {number(value)}' for arm, value in others.items())}). One window of one instrument: this "
        "shows what happened, not what will."
    )
