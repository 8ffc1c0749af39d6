"""The instrument itself: price, volume, weekly returns, volatility, beta."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.features.bar_lines import RECENT
from llmguide.features.fact import Fact, Meaning, as_amount, as_number, as_percent, as_price, is_known
from llmguide.features.levels import Levels
from llmguide.features.rolling import WEEK, Values, historical_volatility, weekly_returns
from llmguide.features.vintages import DAILY_AGE, last_figures
from llmguide.sources.tables import Tables

__all__ = ["beta_of", "classify", "stock_facts", "stock_meanings"]

WEEKS = 4
BETA_RETURNS = 252
BETA_LEAST = 60
_BETA_SPAN = pd.Timedelta(days=2 * BETA_RETURNS + DAILY_AGE)


def stock_facts(bars: pd.DataFrame, tables: Tables, moment: pd.Timestamp, levels: Levels = "relative") -> list[Fact]:
    """Return what is known at the last bar; `tables` are cut at `moment`, its close.

    Relative: the close where the first one of the last 20 bars is 100, as the table of bars has it, and the volume as a
    multiple of the mean of these bars.
    """
    close = np.array(bars["close"], dtype=np.float64)
    facts = [_close(close, levels), *_volume(np.array(bars["volume"], dtype=np.float64), levels)]
    for week, value in enumerate(weekly_returns(close, weeks=WEEKS)[-1].tolist(), start=1):
        if is_known(value):
            facts.append(Fact(f"stock.return_{week}w", value, as_percent(value)))
    volatility = float(historical_volatility(close)[-1])
    if is_known(volatility):
        text = f"{as_percent(volatility, sign=False)} a year"
        facts.append(Fact("stock.historical_volatility", volatility, text))
    if tables.options is not None and "implied_volatility" in tables.options:
        implied = last_figures(tables.options, "implied_volatility", per="date")
        if implied.is_fresh(moment, days=DAILY_AGE):
            value = implied.last
            text = f"{as_percent(value, sign=False)} a year"
            facts.append(Fact("stock.implied_volatility", value, text))
    beta = beta_of(bars, tables.market)
    if beta is not None:
        facts.append(Fact("stock.beta", beta, f"{beta:.2f}"))
        kind = classify(beta)
        facts.append(Fact("stock.classification", kind, kind))
    return facts


def stock_meanings(levels: Levels) -> list[Meaning]:
    """Return what the names of these facts mean."""
    relative = levels == "relative"

    def one(name: str, text: str) -> Meaning:
        return Meaning(f"stock.{name}", text, (f"stock.{name}",))

    return [
        one("close", f"last close{', where the first one shown is 100' if relative else ''}"),
        one("volume", f"last volume{f', as a multiple of its mean over {RECENT} days' if relative else ''}"),
        Meaning(
            "stock.return_*w",
            f"returns of the last {WEEKS} weeks of {WEEK} days each, 1w the newest",
            tuple(f"stock.return_{week}w" for week in range(1, WEEKS + 1)),
        ),
        one("historical_volatility", "standard deviation of the last 20 daily returns, annualised"),
        one("implied_volatility", "volatility that option prices imply"),
        one("beta", "slope of the daily returns on those of SPX, over a year"),
        one("classification", "the beta in words"),
    ]


def _close(close: Values, levels: Levels) -> Fact:
    last = float(close[-1])
    if levels == "absolute":
        return Fact("stock.close", last, as_price(last))
    rebased = float(100.0 * close[-1] / close[-RECENT:][0])
    return Fact("stock.close", rebased, as_number(rebased, sign=False))


def _volume(volume: Values, levels: Levels) -> list[Fact]:
    """Return the last volume; nothing where none was traded, or too few bars tell what is usual."""
    last = float(volume[-1])
    if last <= 0 or (levels == "relative" and len(volume) < RECENT):
        return []
    if levels == "absolute":
        return [Fact("stock.volume", last, as_amount(last))]
    multiple = float(last / volume[-RECENT:].mean())
    return [Fact("stock.volume", multiple, as_number(multiple, sign=False))]


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
