"""The agent alone."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.indicators import QValues
from llmguide.indicators.q_values import as_agent
from llmguide.rl.agent import best_decision
from llmguide.strategies.base import AccountStrategy
from llmguide.trading.account import ACTIONS

__all__ = ["DQN"]


class DQN(AccountStrategy):
    """A double-DQN that was trained without guidance (arXiv 2004.06627): takes the largest Q-value.

    One of three actions (docs/levers.md) also decides to hold nothing.

    ``DQN(model="rl-0.safetensors")``; `model` is an `Agent` or the path of a checkpoint. A path is what
    `cerebro.optstrategy` wants: each of its processes then loads the agent itself.
    """

    params: ClassVar[Any] = (("model", None),)
    _decisions: ClassVar[tuple[int, ...]] = ACTIONS

    def __init__(self) -> None:
        super().__init__()
        agent = as_agent(self.p.model, needed_by=type(self).__name__, guided=False)
        self.q_values = QValues(self.traded, model=agent)

    def decide(self) -> int:
        """Return the decision with the largest Q-value on the side held; a tie is short."""
        return best_decision(self.q_values.select(self.side))
