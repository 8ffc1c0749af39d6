"""Backtrader lines, one indicator per file."""

from llmguide.indicators.expert_weights import ExpertWeights, FollowLine
from llmguide.indicators.historical_volatility import HistoricalVolatility
from llmguide.indicators.llm_guidance import LLMGuidance
from llmguide.indicators.macd_strength import MACDStrength
from llmguide.indicators.q_values import QValues
from llmguide.indicators.slope import Slope
from llmguide.indicators.vwap import VWAP
from llmguide.indicators.weekly_returns import WeeklyReturns
from llmguide.indicators.zscore import ZScore

__all__ = [
    "VWAP",
    "ExpertWeights",
    "FollowLine",
    "HistoricalVolatility",
    "LLMGuidance",
    "MACDStrength",
    "QValues",
    "Slope",
    "WeeklyReturns",
    "ZScore",
]
