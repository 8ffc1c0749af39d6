"""Put skews: how much dearer protection is, out of, at and in the money."""

from __future__ import annotations

import pandas as pd

from llmguide.features.fact import Fact, Meaning
from llmguide.features.vintages import DAILY_AGE, last_figures

__all__ = ["option_facts", "option_meanings"]

PERIOD = 20

_SKEWS = ("otm_skew", "atm_skew", "itm_skew")


def option_facts(options: pd.DataFrame | None, moment: pd.Timestamp) -> list[Fact]:
    """Return the last skews of the table, cut at `moment`, and their means over 20 days."""
    facts: list[Fact] = []
    for column in _SKEWS:
        if options is None or column not in options:
            continue
        figures = last_figures(options, column, per="date")
        if not figures.is_fresh(moment, days=DAILY_AGE):
            continue
        last = figures.last
        facts.append(Fact(f"options.{column}", last, f"{last:+.4f}"))
        skews = figures.days(PERIOD)
        if skews is not None:
            mean = float(skews.mean())
            facts.append(Fact(f"options.{column}_mean_20", mean, f"{mean:+.4f}"))
    return facts


def option_meanings() -> list[Meaning]:
    """Return what the names of these facts mean."""
    names = tuple(f"options.{column}" for column in _SKEWS)
    return [
        Meaning("options.*_skew", "last put skew out of (otm), at (atm) and in the money (itm)", names),
        Meaning("options.*_skew_mean_20", f"its mean over {PERIOD} days", tuple(f"{name}_mean_20" for name in names)),
    ]
