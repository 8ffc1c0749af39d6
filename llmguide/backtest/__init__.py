"""Backtrader, below indicators and strategies: broker, feed, analyzers, observer, plot, and one call for all of it."""

from llmguide.backtest.analyzers import OrderLog, SharpeDrawdown, TradeLog
from llmguide.backtest.broker import CloseFillBroker, cost_rate, use_close_fills
from llmguide.backtest.feeds import BarsData
from llmguide.backtest.observers import GuidanceAction
from llmguide.backtest.plotting import save_plot
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
    "save_plot",
    "use_close_fills",
]
