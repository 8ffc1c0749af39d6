"""Import this module, and llmguide's classes are Backtrader's too.

    import llmguide.plugin

    bt.ind.LLMGuidance, QValues, Slope, ZScore, WeeklyReturns, HistoricalVolatility, VWAP, MACDStrength,
        ExpertWeights
    bt.strategies.LLMGuidedDQN, DQN, LLMOnly, BuyAndHold, SellAndHold, TrendFollowing, MeanReversion, MixtureOfExperts,
        FlagTrader
    bt.analyzers.SharpeDrawdown, OrderLog, TradeLog; bt.observers.GuidanceAction; bt.brokers.CloseFillBroker

`btrun` run from the same process then finds them without a file: ``btrun --strategy :LLMGuidedDQN``. For `btrun` on the
command line, see `llmguide.btrun`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import backtrader as bt

from llmguide import backtest, indicators, strategies
from llmguide.errors import LlmguideError

__all__ = ["CLASSES", "register"]

CLASSES: dict[ModuleType, tuple[type[Any], ...]] = {
    bt.indicators: (
        indicators.LLMGuidance,
        indicators.QValues,
        indicators.Slope,
        indicators.ZScore,
        indicators.WeeklyReturns,
        indicators.HistoricalVolatility,
        indicators.VWAP,
        indicators.MACDStrength,
        indicators.ExpertWeights,
    ),
    bt.strategies: (
        strategies.LLMGuidedDQN,
        strategies.DQN,
        strategies.LLMOnly,
        strategies.BuyAndHold,
        strategies.SellAndHold,
        strategies.TrendFollowing,
        strategies.MeanReversion,
        strategies.MixtureOfExperts,
        strategies.FlagTrader,
    ),
    bt.analyzers: (backtest.SharpeDrawdown, backtest.OrderLog, backtest.TradeLog),
    bt.observers: (backtest.GuidanceAction,),
    bt.brokers: (backtest.CloseFillBroker,),
}


def register() -> None:
    """Put every class of `CLASSES` where Backtrader keeps its own; doing it again changes nothing.

    Raises LlmguideError, and registers nothing, if one of the names belongs to somebody else's class.
    """
    for room, classes in CLASSES.items():
        for cls in classes:
            present = getattr(room, cls.__name__, cls)
            if present is not cls:
                raise LlmguideError(
                    f"{room.__name__}.{cls.__name__} is already {present.__module__}.{cls.__name__}; import llmguide's "
                    f"own as {cls.__module__}.{cls.__name__} instead of importing llmguide.plugin"
                )
    for room, classes in CLASSES.items():
        for cls in classes:
            setattr(room, cls.__name__, cls)


register()
