"""How an agent does on given bars, straight on the account: for curves during training and for its use of guidance.

A comparison's own figures come from Backtrader; a test holds the two together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from llmguide.metrics import sharpe_ratio
from llmguide.rl.agent import LEAKY_SLOPE, SIDES, Agent, QFunction, Weights, greedy_decisions
from llmguide.rl.course import Course, training_prices
from llmguide.rl.products import product
from llmguide.trading import account
from llmguide.trading.simulate import closes, returns_of

__all__ = ["Path", "follow", "quick_sharpe_ratio"]


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
        training: trade at the closes of training, which are smoothed unless it had ``raw_prices``.
    """
    decisions = agent.decide(bars, tau)
    prices = closes(bars)
    if training:
        prices = training_prices(prices, agent.config)
    config = agent.config
    side, shares, cash, _ = account.trajectory(prices, decisions, config.cash, config.cost, config.lookback)
    return Path(decisions, cash + side * shares * prices)


def quick_sharpe_ratio(weights: Weights, course: Course, prices: NDArray[np.float64]) -> float:
    """Return the annual Sharpe ratio of following a network over a course, trading at `prices`, shape ``(bars,)``.

    For curves: the network is evaluated in single precision on one thread, at a fraction of the cost of `follow`, whose
    decisions can differ where two Q-values are closer than that.
    """
    layers = [
        (torch.from_numpy(w.astype(np.float32)), torch.from_numpy(b.astype(np.float32)))
        for w, b in QFunction.fold(weights).layers
    ]
    rows = np.repeat(course.rows[None, :-1], len(SIDES), axis=0)  # (sides, decisions, inputs)
    rows[..., course.market.side_column] = np.array(SIDES, dtype=np.float32)[:, None]
    x = torch.from_numpy(rows.reshape(-1, course.inputs))
    *hidden, (w, b) = layers
    for weight, bias in hidden:
        x = product(x, weight, bias, leaky_slope=LEAKY_SLOPE)
    q = product(x, w, b).numpy().astype(np.float64).reshape(len(SIDES), -1, course.config.actions)
    config = course.config
    side, shares, cash, _ = account.trajectory(
        prices, greedy_decisions(q.transpose(1, 0, 2)), config.cash, config.cost, config.lookback
    )
    return sharpe_ratio(returns_of(cash + side * shares * prices), periods=course.periods)
