"""Backtrader strategies, one per file."""

from llmguide.strategies.base import AccountStrategy, Decided
from llmguide.strategies.buy_and_hold import BuyAndHold
from llmguide.strategies.dqn import DQN
from llmguide.strategies.flag_trader import Acted, FlagTrader
from llmguide.strategies.guided import GuidedStrategy
from llmguide.strategies.llm_guided_dqn import LLMGuidedDQN
from llmguide.strategies.llm_only import LLMOnly
from llmguide.strategies.mean_reversion import MeanReversion
from llmguide.strategies.mixture_of_experts import MixtureOfExperts
from llmguide.strategies.moving_averages import MovingAverageStrategy
from llmguide.strategies.sell_and_hold import SellAndHold
from llmguide.strategies.sized import SizedStrategy
from llmguide.strategies.trend_following import TrendFollowing

__all__ = [
    "DQN",
    "AccountStrategy",
    "Acted",
    "BuyAndHold",
    "Decided",
    "FlagTrader",
    "GuidedStrategy",
    "LLMGuidedDQN",
    "LLMOnly",
    "MeanReversion",
    "MixtureOfExperts",
    "MovingAverageStrategy",
    "SellAndHold",
    "SizedStrategy",
    "TrendFollowing",
]
