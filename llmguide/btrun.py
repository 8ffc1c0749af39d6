"""The file to name to Backtrader's own `btrun`, which loads classes by file path.

    FILE=$(python -m llmguide.btrun)
    btrun --csvformat btcsv --data aapl.csv --commission 0.001 \\
          --strategy "$FILE:LLMGuidedDQN:model='hybrid-0.safetensors',guidance='aapl.parquet'" \\
          --analyzer "$FILE:SharpeDrawdown" --pranalyzer --hook "$FILE:close_fills"

Always name the class: without one `btrun` takes the first in the alphabet. `btrun` gives this module a random name, so
everything here is imported absolutely.
"""

from __future__ import annotations

from typing import Any

from llmguide.backtest import GuidanceAction, OrderLog, SharpeDrawdown, TradeLog, use_close_fills
from llmguide.indicators import ExpertWeights, LLMGuidance, QValues
from llmguide.strategies import (
    DQN,
    BuyAndHold,
    FlagTrader,
    LLMGuidedDQN,
    LLMOnly,
    MeanReversion,
    MixtureOfExperts,
    SellAndHold,
    TrendFollowing,
)

__all__ = [
    "DQN",
    "BuyAndHold",
    "ExpertWeights",
    "FlagTrader",
    "GuidanceAction",
    "LLMGuidance",
    "LLMGuidedDQN",
    "LLMOnly",
    "MeanReversion",
    "MixtureOfExperts",
    "OrderLog",
    "QValues",
    "SellAndHold",
    "SharpeDrawdown",
    "TradeLog",
    "TrendFollowing",
    "close_fills",
]


def close_fills(cerebro: Any) -> None:
    """Hook for `btrun`: fill orders at the close on which they are sent, with the cash and commission asked for."""
    use_close_fills(cerebro)


if __name__ == "__main__":
    print(__file__)
