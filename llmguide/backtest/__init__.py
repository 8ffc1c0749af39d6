"""Backtrader's side of llmguide below strategies and indicators: broker, feed, analyzers, observer, and a run of it all."""

from llmguide.backtest.analyzers import OrderLog, SharpeDrawdown, TradeLog
from llmguide.backtest.broker import CloseFillBroker, cost_rate, use_close_fills
from llmguide.backtest.feeds import BarsData
from llmguide.backtest.observers import GuidanceAction
from llmguide.backtest.run import BacktestResult, make_cerebro, run_backtest

__all__ = [
    "BacktestResult",
    "BarsData",
    "CloseFillBroker",
    "GuidanceAction",
    "OrderLog",
    "SharpeDrawdown",
    "TradeLog",
    "cost_rate",
    "make_cerebro",
    "run_backtest",
    "use_close_fills",
]
