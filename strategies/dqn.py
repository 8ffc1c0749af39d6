"""The agent alone."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.indicators import QValues
from llmguide.indicators.q_values import as_agent
from llmguide.strategies.base import AccountStrategy
from llmguide.trading.account import LONG, SHORT

__all__ = ["DQN"]


class DQN(AccountStrategy):
    """A double-DQN that was trained without guidance (arXiv 2004.06627): takes the larger of the two Q-values.

    ``DQN(model="rl-0.safetensors")``; `model` is an `Agent` or the path of a checkpoint. A path is what
    `cerebro.optstrategy` wants: each of its processes then loads the agent itself.
    """

    params: ClassVar[Any] = (("model", None),)

    def __init__(self) -> None:
        super().__init__()
        agent = as_agent(self.p.model, needed_by=type(self).__name__, guided=False)
        self.q_values = QValues(self.traded, model=agent)

    def decide(self) -> int:
        """Return the action with the larger Q-value on the side held; a tie is short."""
        short, long = self.q_values.select(self.side)
        return LONG if long > short else SHORT
