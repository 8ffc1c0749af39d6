"""One strategy on one instrument's bars, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import backtrader as bt
import numpy as np
import pandas as pd

from llmguide.backtest.analyzers import OrderLog, SharpeDrawdown, TradeLog
from llmguide.backtest.broker import CloseFillBroker
from llmguide.backtest.feeds import BarsData
from llmguide.counting import counted
from llmguide.errors import LlmguideError, did_you_mean
from llmguide.inline import Inline, Shown, Table
from llmguide.numbers import number, percent
from llmguide.periods import periods_of
from llmguide.trading.simulate import check_account

__all__ = ["BacktestResult", "make_cerebro", "run_backtest"]

Fill = Literal["close", "next_open"]


@dataclass(frozen=True, repr=False)
class BacktestResult(Inline):
    """What a strategy did and what it earned.

    Attributes:
        account: the account after each bar, idle ones included, as `llmguide.simulate` returns it: ``side`` (+1, -1,
            0), ``shares``, ``cash``, ``holdings``, ``value`` and ``returns`` (fractions).
        decisions: 1 long or 0 short on each bar from the first decision on, by date; target weights for a
            `SizedStrategy`. With fill "close", ``simulate(bars, decisions, start=len(bars) - len(decisions))``, or
            ``simulate(bars, weights=decisions, ...)``, gives the same account, with the strategy's `long_only`,
            `max_leverage` and `band`.
        orders: one row per order, rejected ones too (see `llmguide.backtest.OrderLog`).
        trades: one row per trade (see `llmguide.backtest.TradeLog`).
        sharpe: annual Sharpe ratio over all bars; NaN where the value never changed.
        max_drawdown: positive fraction of the peak.
        periods: bars per year by which the Sharpe ratio is annual.
        strategy: the name of its class.
    """

    account: pd.DataFrame
    decisions: pd.Series
    orders: pd.DataFrame
    trades: pd.DataFrame
    sharpe: float
    max_drawdown: float
    periods: float
    strategy: str = ""

    @property
    def values(self) -> pd.Series:
        """The account's value after each bar."""
        return self.account["value"]

    @property
    def returns(self) -> pd.Series:
        """Relative change of the value at each bar, as a fraction."""
        return self.account["returns"]

    @property
    def sides(self) -> pd.Series:
        """+1 long, -1 short, 0 nothing, after each bar."""
        return self.account["side"]

    @property
    def trade_count(self) -> int:
        """Number of positions opened."""
        return len(self.trades)

    @property
    def exposure(self) -> float:
        """Share of the bars after which any shares were held."""
        return float((self.account["shares"] != 0).mean())

    @property
    def rows(self) -> list[list[str]]:
        """The measures as text, each with its name and value."""
        return [
            ["Sharpe ratio", number(self.sharpe)],
            ["annualised by", f"{self.periods:g} bars a year"],
            ["max drawdown", number(self.max_drawdown)],
            ["final value", f"{self.values.iloc[-1]:,.2f}"],
            ["trades", str(self.trade_count)],
            ["exposure", percent(self.exposure)],
        ]

    def _shown(self) -> Shown:
        first, last = (f"{self.account.index[place]:%Y-%m-%d}" for place in (0, -1))
        earned = f"a Sharpe ratio of {number(self.sharpe)} and a maximum drawdown of {number(self.max_drawdown)}"
        verdict = f"{counted(self.trade_count, 'trade')} from {first} to {last}, with {earned}."
        return Shown(
            verdict if self.trade_count else f"No trade from {first} to {last}.",
            [Table("", ["measure", ""], self.rows)],
        )


def make_cerebro(
    bars: pd.DataFrame,
    strategy: type[bt.Strategy],
    *,
    cash: float = 100_000.0,
    cost: float = 0.001,
    fill: Fill = "close",
    periods: float | None = None,
    **params: Any,
) -> bt.Cerebro:
    """Return a Cerebro that is ready to run, with the analyzers `SharpeDrawdown`, `OrderLog` and `TradeLog`.

    The arguments `bars`, `strategy`, `cash`, `cost`, `fill`, `periods` and `params` are those of `run_backtest`, and so
    are the errors (LlmguideError, DataError).
    """
    check_account(cash=cash, cost=cost, start=params.get("start", 1), bars=len(bars))
    known = list(strategy.params._getkeys())
    for name in params:
        if name not in known:
            raise LlmguideError(
                f"{strategy.__name__} has no parameter {name!r}, only {known}{did_you_mean(name, known)}"
            )
    cerebro = bt.Cerebro(stdstats=False)
    if fill == "close":
        cerebro.broker = CloseFillBroker()
    elif fill != "next_open":
        raise LlmguideError(
            f"expected fill to be 'close' or 'next_open', got {fill!r}{did_you_mean(fill, ('close', 'next_open'))}"
        )
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=cost)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addstrategy(strategy, **params)
    cerebro.addanalyzer(SharpeDrawdown, periods=periods)
    for analyzer in (OrderLog, TradeLog):
        cerebro.addanalyzer(analyzer)
    return cerebro


def run_backtest(
    bars: pd.DataFrame,
    strategy: type[bt.Strategy],
    *,
    cash: float = 100_000.0,
    cost: float = 0.001,
    fill: Fill = "close",
    periods: float | None = None,
    **params: Any,
) -> BacktestResult:
    """Run a strategy over bars in Backtrader and return its account, orders, trades and measures.

    Args:
        bars: as `llmguide.read_bars` returns them.
        strategy: a class of `llmguide.strategies`, or any `bt.Strategy`; only the former have `decisions`.
        cash: initial capital.
        cost: fraction of each traded value; 0.001 is 0.1 %.
        fill: "close", orders are filled at the close on which they are sent (the benchmark's rule), or "next_open", by
            Backtrader's own broker.
        periods: bars per year; None reads it from the dates of the bars (see `llmguide.periods`).
        params: the strategy's own params, such as ``model=`` and ``guidance=``.

    Returns:
        A `BacktestResult`.

    Raises:
        LlmguideError: an unknown param or fill, and whatever the strategy raises.
        DataError: an impossible cash or cost, or unusable bars.
    """
    year = periods_of(bars, periods)
    cerebro = make_cerebro(bars, strategy, cash=cash, cost=cost, fill=fill, periods=year, **params)
    (ran,) = cerebro.run()
    log = getattr(ran, "decision_log", [])
    decided = np.array([entry.decision for entry in log])
    weighted = len(log) > 0 and decided.dtype == np.float64
    measures = ran.analyzers.sharpedrawdown
    analysis = measures.get_analysis()
    return BacktestResult(
        account=measures.account.set_index(bars.index),
        decisions=pd.Series(
            decided if weighted else decided.astype(np.int8),
            index=bars.index[len(bars) - len(log) :],
            name="weight" if weighted else "decision",
        ),
        orders=ran.analyzers.orderlog.frame,
        trades=ran.analyzers.tradelog.frame,
        sharpe=analysis["sharpe"],
        max_drawdown=analysis["max_drawdown"],
        periods=year,
        strategy=strategy.__name__,
    )
