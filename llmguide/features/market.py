"""The market: indices and expected volatility."""

from __future__ import annotations

import pandas as pd

from llmguide.features.fact import Fact, Meaning, as_percent, as_price
from llmguide.features.levels import Levels
from llmguide.features.rolling import WEEK, YEAR, slope
from llmguide.features.vintages import DAILY_AGE, last_figures
from llmguide.sources.kinds import INDICES

__all__ = ["market_facts", "market_meanings"]

PERIOD = 20


def market_facts(market: pd.DataFrame | None, moment: pd.Timestamp, levels: Levels = "relative") -> list[Fact]:
    """Return what the table, cut at `moment`, says of each index: close, mean and slope of 20 days, last week.

    Relative: of the close the share of the other closes of the last 252 days that are below it, of the mean the
    distance of the close from it, both fractions. Absolute: the close and the mean, and the last week of SPX alone.
    """
    relative = levels == "relative"
    facts: list[Fact] = []
    for index in INDICES:
        if market is None or index not in market:
            continue
        figures = last_figures(market, index, per="date")
        if not figures.is_fresh(moment, days=DAILY_AGE):
            continue
        name = f"market.{index.lower()}"
        year = figures.days(YEAR) if relative else None
        if year is not None:
            below = float((year[:-1] < year[-1]).mean())
            facts.append(Fact(name, below, as_percent(below, decimals=0, sign=False)))
        elif not relative:
            facts.append(Fact(name, figures.last, as_price(figures.last)))
        closes = figures.days(PERIOD)
        if closes is not None:
            mean = float(closes.mean())
            distance = float(closes[-1] / mean - 1.0)
            told = (distance, as_percent(distance)) if relative else (mean, as_price(mean))
            facts.append(Fact(f"{name}_mean_{PERIOD}", *told))
            trend = float(slope(closes, period=PERIOD)[-1] / closes[-1])
            facts.append(Fact(f"{name}_slope", trend, as_percent(trend, decimals=3)))
        closes = figures.days(WEEK + 1)
        if closes is not None and (relative or index == "SPX"):
            week = float(closes[-1] / closes[0] - 1.0)
            facts.append(Fact(f"{name}_return_1w", week, as_percent(week)))
    return facts


def market_meanings(levels: Levels) -> list[Meaning]:
    """Return what the names of these facts mean."""
    relative = levels == "relative"
    names = tuple(f"market.{index.lower()}" for index in INDICES)

    def several(suffix: str, text: str) -> Meaning:
        return Meaning(f"market.*{suffix}", text, tuple(f"{name}{suffix}" for name in names))

    return [
        Meaning(
            ", ".join(names),
            "share of the past year's closes of the index below its last one"
            if relative
            else "last close of the index",
            names,
        ),
        several(
            f"_mean_{PERIOD}",
            f"distance of the last close from its mean over {PERIOD} days"
            if relative
            else f"mean close over {PERIOD} days",
        ),
        several(
            "_slope",
            f"slope of the least-squares line through its last {PERIOD} closes, in per cent of the close per day",
        ),
        several("_return_1w", f"change over the last {WEEK} days")
        if relative
        else Meaning("market.spx_return_1w", f"change over the last {WEEK} days", ("market.spx_return_1w",)),
    ]
