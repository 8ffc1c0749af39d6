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
from llmguide.errors import LlmguideError, did_you_mean
from llmguide.periods import periods_of
from llmguide.trading.simulate import check_account

__all__ = ["BacktestResult", "make_cerebro", "run_backtest"]

Fill = Literal["close", "next_open"]


@dataclass(frozen=True)
class BacktestResult:
    """What a strategy did and what it earned.

    Attributes:
        account: the account after each bar, the idle ones included, as `llmguide.simulate` has it: side (+1, -1, 0),
            shares, cash, holdings, value, returns (fraction).
        decisions: 1 long or 0 short on each bar from the first decision on, by date; of a `SizedStrategy` the target
            weights. Replayed through ``simulate(bars, decisions, start=len(bars) - len(decisions))``, or
            ``simulate(bars, weights=decisions, ...)``, with the strategy's `long_only`, `max_leverage` and `band`,
            they give the same account (fill "close").
        orders: one row per order, rejected ones too (see `llmguide.backtest.OrderLog`).
        trades: one row per trade (see `llmguide.backtest.TradeLog`).
        sharpe: annual, of all bars; NaN where the value never changed.
        periods: bars per year by which it is annual.
        max_drawdown: positive fraction of the peak.
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
        """Relative change of the value at each bar."""
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
    """Return a Cerebro that is ready to run, with the three analyzers of this package; see `run_backtest`."""
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
        raise LlmguideError(f"fill is 'close' or 'next_open', got {fill!r}{did_you_mean(fill, ('close', 'next_open'))}")
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
    """Run a strategy over bars.

    Args:
        bars: as `llmguide.read_bars` returns them.
        strategy: a class of `llmguide.strategies`, or any `bt.Strategy`; only the former have `decisions`.
        cash: capital at the beginning.
        cost: fraction of each traded value, 0.001 is 0.1 %.
        fill: "close", orders are filled at the close on which they are sent (the benchmark's rule), or "next_open", by
            Backtrader's own broker.
        periods: bars per year; None reads it from the dates of the bars (see `llmguide.periods`).
        params: the strategy's own, such as ``model=`` and ``guidance=``.

    Raises:
        LlmguideError: an unknown parameter or fill; DataError: an impossible cash or cost, or unusable bars; and what
            the strategy raises.
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
