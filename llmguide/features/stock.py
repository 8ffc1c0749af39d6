"""The instrument itself: price, volume, weekly returns, volatility, beta."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.features.fact import Fact, as_amount, as_percent, as_price, is_known
from llmguide.features.rolling import historical_volatility, weekly_returns
from llmguide.features.vintages import DAILY_AGE, last_figures
from llmguide.sources.tables import Tables

__all__ = ["beta_of", "classify", "stock_facts"]

BETA_RETURNS = 252
BETA_LEAST = 60
_BETA_SPAN = pd.Timedelta(days=2 * BETA_RETURNS + DAILY_AGE)


def stock_facts(bars: pd.DataFrame, tables: Tables, moment: pd.Timestamp) -> list[Fact]:
    """Return what is known at the last bar; `tables` are cut at `moment`, its close."""
    close = np.array(bars["close"], dtype=np.float64)
    volume = float(bars["volume"].iloc[-1])
    facts = [Fact("stock.close", "last close", float(close[-1]), as_price(close[-1]))]
    if volume > 0:
        facts.append(Fact("stock.volume", "last volume", volume, as_amount(volume)))
    for week, value in enumerate(weekly_returns(close)[-1].tolist(), start=1):
        if is_known(value):
            label = "return of the last 5 days" if week == 1 else f"return of the 5 days before return_{week - 1}w"
            facts.append(Fact(f"stock.return_{week}w", label, value, as_percent(value)))
    volatility = float(historical_volatility(close)[-1])
    if is_known(volatility):
        text = f"{as_percent(volatility, sign=False)} a year"
        facts.append(Fact("stock.historical_volatility", "volatility of the last 20 days", volatility, text))
    if tables.options is not None and "implied_volatility" in tables.options:
        implied = last_figures(tables.options, "implied_volatility", per="date")
        if implied.is_fresh(moment, days=DAILY_AGE):
            value = implied.last
            text = f"{as_percent(value, sign=False)} a year"
            facts.append(Fact("stock.implied_volatility", "volatility that option prices imply", value, text))
    beta = beta_of(bars, tables.market)
    if beta is not None:
        facts.append(Fact("stock.beta", "return for each 1 % of the index", beta, f"{beta:.2f}"))
        kind = classify(beta)
        facts.append(Fact("stock.classification", "by its beta", kind, kind))
    return facts


def beta_of(bars: pd.DataFrame, market: pd.DataFrame | None) -> float | None:
    """Return the slope of the returns on those of SPX over the last 252 days that both have; None below 60.

    A return spans the days between two closes that both know; of intraday bars the last of a day counts. None too where
    the last day of both is more than 7 days before the last bar; days more than 511 days before it do not count.
    """
    if market is None or "SPX" not in market:
        return None
    close = pd.Series(bars["close"].to_numpy(dtype=np.float64), index=pd.DatetimeIndex(bars.index).normalize())
    close = close[~close.index.duplicated(keep="last")]
    figures = last_figures(market, "SPX", per="date")
    index = pd.Series(figures.values, index=pd.DatetimeIndex(figures.periods))
    both = pd.concat([close, index], axis=1, join="inner")  # (days, 2): stock, index
    ages = close.index[-1] - pd.DatetimeIndex(both.index)
    if len(both) == 0 or ages[-1] > pd.Timedelta(days=DAILY_AGE):
        return None
    closes = both[ages <= _BETA_SPAN].to_numpy()
    returns = (closes[1:] / closes[:-1] - 1.0)[-BETA_RETURNS:]
    if len(returns) < BETA_LEAST:
        return None
    own, common = (returns - returns.mean(axis=0)).T
    spread = float(common @ common)
    return float(own @ common) / spread if spread > 0 else None


def classify(beta: float) -> str:
    """Return what a beta says of a stock, in words."""
    if beta < 0:
        return "negative beta: moves against the market"
    if beta < 0.8:
        return "low beta: moves less than the market"
    if beta <= 1.2:
        return "average beta: moves like the market"
    return "high beta: moves more than the market"
