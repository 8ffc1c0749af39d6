"""The market: indices and expected volatility."""

from __future__ import annotations

import pandas as pd

from llmguide.features.fact import Fact, as_percent, as_price
from llmguide.features.rolling import WEEK, slope
from llmguide.features.vintages import DAILY_AGE, last_figures
from llmguide.sources.kinds import INDICES

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
        facts.append(Fact(name, f"last {index} close", figures.last, as_price(figures.last)))
        closes = figures.days(PERIOD)
        if closes is not None:
            mean = float(closes.mean())
            trend = float(slope(closes, period=PERIOD)[-1] / closes[-1])
            facts.append(Fact(f"{name}_mean_20", f"mean {index} close of 20 days", mean, as_price(mean)))
            label = f"a day, over {PERIOD} days"
            facts.append(Fact(f"{name}_slope", label, trend, f"{as_percent(trend, decimals=3)} of its close"))
        closes = figures.days(WEEK + 1)
        if index == "SPX" and closes is not None:
            week = float(closes[-1] / closes[0] - 1.0)
            facts.append(Fact("market.spx_return_1w", "return of SPX over the last 5 days", week, as_percent(week)))
    return facts
