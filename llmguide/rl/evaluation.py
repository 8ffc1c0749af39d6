"""How an agent does on given bars, straight on the account: for curves during training and for its use of guidance.

The comparison's own figures come from Backtrader; a test holds the two together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.rl.agent import Agent
from llmguide.trading import account
from llmguide.trading.observation import smooth
from llmguide.trading.simulate import closes

__all__ = ["Path", "follow"]


class Path(NamedTuple):
    """An agent's greedy way through some bars."""

    decisions: NDArray[np.int8]  # (bars - lookback,)
    values: NDArray[np.float64]  # (bars,)


def follow(agent: Agent, bars: pd.DataFrame, tau: NDArray[np.float64] | None, *, training: bool = False) -> Path:
    """Let an agent decide on every bar.

    Args:
        agent: it observes smoothed bars, as in training.
        bars: raw bars.
        tau: guidance in force at every bar, shape ``(bars,)``; None for an agent without guidance.
        training: trade at smoothed closes, as training does, instead of the raw ones.
    """
    decisions = agent.decide(bars, tau)
    prices = closes(bars)
    if training:
        prices = np.ascontiguousarray(smooth(prices, agent.config.smoothing))
    config = agent.config
    side, shares, cash, _ = account.trajectory(prices, decisions, config.cash, config.cost, config.lookback)
    return Path(decisions, cash + side * shares * prices)
