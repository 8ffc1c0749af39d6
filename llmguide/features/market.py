"""The market: indices and expected volatility."""

from __future__ import annotations

import pandas as pd

from llmguide.features.fact import Fact, as_percent, as_price
from llmguide.features.rolling import slope
from llmguide.features.vintages import DAILY_AGE, last_figures
from llmguide.sources.tables import INDICES

__all__ = ["market_facts"]

PERIOD = 20


def market_facts(market: pd.DataFrame | None, moment: pd.Timestamp) -> list[Fact]:
    """Return what the table, cut at `moment`, says of each index: close, mean and slope of 20 days, SPX's last week."""
    facts: list[Fact] = []
    for index in INDICES:
        if market is None or index not in market:
            continue
        figures = last_figures(market, index, per="date")
        if not figures.is_fresh(moment, days=DAILY_AGE):
            continue
        name = f"market.{index.lower()}"
        close = figures.values
        facts.append(Fact(name, f"last {index} close", float(close[-1]), as_price(close[-1])))
        if len(close) >= PERIOD:
            mean = float(close[-PERIOD:].mean())
            trend = float(slope(close[-PERIOD:], period=PERIOD)[-1] / close[-1])
            facts.append(Fact(f"{name}_mean_20", f"mean {index} close of 20 days", mean, as_price(mean)))
            label = f"a day, over {PERIOD} days"
            facts.append(Fact(f"{name}_slope", label, trend, f"{as_percent(trend, decimals=3)} of its close"))
        if index == "SPX" and len(close) > 5:
            week = float(close[-1] / close[-6] - 1.0)
            facts.append(Fact("market.spx_return_1w", "return of SPX over the last 5 days", week, as_percent(week)))
    return facts
