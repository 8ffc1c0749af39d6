"""The arms of a comparison: what each one trains, observes and trades with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import backtrader as bt

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.guidance import Guidance
from llmguide.rl.agent import Agent
from llmguide.strategies import DQN, BuyAndHold, LLMGuidedDQN, LLMOnly, SellAndHold

__all__ = ["ARMS", "Arm", "choose_arms"]


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        strategy: the Backtrader strategy that trades it.
        trained: whether there is one agent per seed.
        guided: whether it is given the guidance.
    """

    name: str
    strategy: type[bt.Strategy]
    trained: bool = False
    guided: bool = False

    def params(self, agent: Agent | None, guidance: Guidance | None) -> dict[str, Any]:
        """Return the strategy's parameters."""
        params: dict[str, Any] = {}
        if self.trained:
            params["model"] = agent
        if self.guided:
            params["guidance"] = guidance
        return params


ARMS = {
    arm.name: arm
    for arm in (
        Arm("hybrid", LLMGuidedDQN, trained=True, guided=True),
        Arm("rl", DQN, trained=True),
        Arm("llm", LLMOnly, guided=True),
        Arm("hold", BuyAndHold),
        Arm("sell", SellAndHold),
    )
}
"""Every arm by name."""


def choose_arms(names: tuple[str, ...] | list[str]) -> tuple[Arm, ...]:
    """Return the arms of these names; unknown and repeated ones are refused."""
    for name in names:
        if name not in ARMS:
            raise LlmguideError(f"unknown arm {name!r}, choose from {', '.join(ARMS)}{did_you_mean(name, ARMS)}")
    if not names or len(set(names)) < len(names):
        raise LlmguideError(f"expected one or more different arms, got {list(names)}")
    return tuple(ARMS[name] for name in names)
