"""The arms of a comparison: what each one trains, observes and trades with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import backtrader as bt
import pandas as pd

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.guidance import Guidance
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.strategies import DQN, BuyAndHold, LLMGuidedDQN, LLMOnly, MeanReversion, SellAndHold, TrendFollowing
from llmguide.trading.moving_averages import LONGEST, Rule, choose_windows

__all__ = ["ARMS", "DEFAULT_ARMS", "Arm", "choose_arms"]


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        strategy: the Backtrader strategy that trades it.
        trained: whether there is one agent per seed.
        guided: whether it is given the guidance.
        windows: the rule by which its moving averages are chosen on the training bars, if it has any.
    """

    name: str
    strategy: type[bt.Strategy]
    trained: bool = False
    guided: bool = False
    windows: Rule | None = None

    def params(
        self, agent: Agent | None, guidance: Guidance | None, train: pd.DataFrame, config: DQNConfig
    ) -> dict[str, Any]:
        """Return the strategy's parameters; `train` are the training bars, raw."""
        params: dict[str, Any] = {}
        if self.trained:
            params["model"] = agent
        if self.guided:
            params["guidance"] = guidance
        if self.windows:
            start = config.lookback
            chosen = choose_windows(
                train, self.windows, cash=config.cash, cost=config.cost, start=start, longest=min(LONGEST, start)
            )
            params["short"], params["long"] = chosen.short, chosen.long
        return params


ARMS = {
    arm.name: arm
    for arm in (
        Arm("hybrid", LLMGuidedDQN, trained=True, guided=True),
        Arm("rl", DQN, trained=True),
        Arm("llm", LLMOnly, guided=True),
        Arm("hold", BuyAndHold),
        Arm("sell", SellAndHold),
        Arm("trend", TrendFollowing, windows="trend"),
        Arm("reversion", MeanReversion, windows="reversion"),
    )
}
"""Every arm by name."""

DEFAULT_ARMS = ("hybrid", "rl", "llm", "hold", "sell")
"""The arms of a comparison that names none."""


def choose_arms(names: tuple[str, ...] | list[str]) -> tuple[Arm, ...]:
    """Return the arms of these names; unknown and repeated ones are refused."""
    for name in names:
        if name not in ARMS:
            raise LlmguideError(f"unknown arm {name!r}, choose from {', '.join(ARMS)}{did_you_mean(name, ARMS)}")
    if not names or len(set(names)) < len(names):
        raise LlmguideError(f"expected one or more different arms, got {list(names)}")
    return tuple(ARMS[name] for name in names)
