"""Put skews: how much dearer protection is, out of, at and in the money."""

from __future__ import annotations

import pandas as pd

from llmguide.features.fact import Fact
from llmguide.features.vintages import DAILY_AGE, last_figures

__all__ = ["option_facts"]

PERIOD = 20

_LABELS = {
    "otm_skew": "put skew out of the money",
    "atm_skew": "put skew at the money",
    "itm_skew": "put skew in the money",
}


def option_facts(options: pd.DataFrame | None, moment: pd.Timestamp) -> list[Fact]:
    """Return the last skews of the table, cut at `moment`, and their means over 20 days."""
    facts: list[Fact] = []
    for column, label in _LABELS.items():
        if options is None or column not in options:
            continue
        figures = last_figures(options, column, per="date")
        if not figures.is_fresh(moment, days=DAILY_AGE):
            continue
        last = figures.last
        facts.append(Fact(f"options.{column}", label, last, f"{last:+.4f}"))
        skews = figures.days(PERIOD)
        if skews is not None:
            mean = float(skews.mean())
            facts.append(Fact(f"options.{column}_mean_20", f"mean {label} of 20 days", mean, f"{mean:+.4f}"))
    return facts
