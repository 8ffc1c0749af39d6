"""The page of a policy that reads: what it earned beside its controls, and how it learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.files import write_text
from llmguide.report import figures
from llmguide.report.html import document, figure, number, paragraph, percent, section, table

__all__ = ["FlagPage", "render_flag_page", "summary", "write_flag_page"]

_MEASURES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "sharpe": ("Sharpe ratio", number),
    "max_drawdown": ("Maximum drawdown", percent),
    "total_return": ("Total return", percent),
    "trades": ("Purchases", lambda x: number(x, 0 if float(x).is_integer() else 1)),
}
_STYLE = "td { white-space: pre; }"  # a range stands below its mean: so all columns fit
_BANDS = "Line: mean over seeds; band: lowest to highest."
_CONTROLS = (
    "Untrained is the same policy before its first training step; zero-shot is the language model as it is, "
    "asked for one of the three words; hold buys on the first day. All trade the same bars under the same "
    "rules."
)


@dataclass(frozen=True)
class FlagPage:
    """What the page shows; see `llmguide.experiments.flag.FlagStudy`.

    `trained` is the name of the trained arm; `remarks` are what a reader must know before anything else.
    """

    table: pd.DataFrame
    values: Mapping[str, pd.DataFrame]
    curves: pd.DataFrame
    settings: Mapping[str, str]
    trained: str
    remarks: Sequence[str] = ()


def write_flag_page(page: FlagPage, path: Path | str) -> Path:
    """Write the page as one self-contained HTML file; return the path."""
    return write_text(path, render_flag_page(page))


def render_flag_page(page: FlagPage) -> str:
    """Return the page as HTML."""
    rows = [
        [str(arm), *(_spread(row, name) for name in _MEASURES), number(row["never_traded"], 0)]
        for arm, row in page.table.iterrows()
    ]
    body = [
        *(paragraph(remark, "warning") for remark in page.remarks),
        paragraph(summary(page), "lead"),
        section("Test bars"),
        table(["Arm", *(title for title, _ in _MEASURES.values()), "Never traded"], rows),
        paragraph(
            "Mean over seeds, with the lowest and the highest below it. An account that never traded counts "
            f"with a Sharpe ratio of 0. {_CONTROLS}",
            "soft",
        ),
        figure(figures.equity(page.values), "Account value of every arm", f"Account value. {_BANDS}"),
        figure(figures.drawdown(page.values), "Drawdown of every arm", f"Drawdown. {_BANDS}"),
        section("Training"),
        figure(
            figures.learning(page.curves),
            "Learning curves",
            f"Running means over ten rollouts. {_BANDS} Nothing was selected on these curves.",
        ),
        section("Settings"),
        table(["Setting", ""], page.settings.items(), text=True),
    ]
    return document("A language model that trades", "\n".join(body), style=_STYLE)


def _spread(row: pd.Series[Any], name: str) -> str:
    """Return the mean, and below it the range where there is one."""
    text = _MEASURES[name][1]
    mean, low, high = (text(row[f"{name}_{kind}"]) for kind in ("mean", "low", "high"))
    return mean if low == high else f"{mean}\n{low.removesuffix(' %')} to {high}"


def summary(page: FlagPage) -> str:
    """Return in one sentence where the trained policies stand."""
    sharpe = page.table["sharpe_mean"]
    own, others = sharpe[page.trained], sharpe.drop(page.trained)
    beaten = [str(arm) for arm in others.index if own > others[arm]]
    seeds = len(page.values[page.trained].columns)
    runs = "one trained policy has a" if seeds == 1 else f"{seeds} trained policies have a mean"
    whose = "its" if seeds == 1 else "their"
    against = f"above {', '.join(beaten)}" if beaten else f"above none of {whose} controls"
    above = f"above all of {whose} controls" if len(beaten) == len(others) else against
    idle = int(page.table["never_traded"][page.trained])
    kept = f" {idle} of them never traded." if idle and seeds > 1 else " It never traded." if idle else ""
    return (
        f"On these test bars the {runs} Sharpe ratio of {number(own)}, {above} "
        f"({', '.join(f'{arm} {number(value)}' for arm, value in others.items())}).{kept} This is one period "
        "of one instrument: it shows what happened, not what will happen."
    )
