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
    """Trades a double-DQN that was trained without guidance: always the action with the largest Q-value.

    ``DQN(model="rl-0.safetensors")``. An agent with three actions (docs/levers.md) may also hold nothing. Decides at
    bar t from bars up to and including t-1.

    Params:
        model: an `llmguide.rl.agent.Agent`, or the path of a checkpoint. `cerebro.optstrategy` needs a path, which each
            of its processes then loads itself.

    Further params are those of `AccountStrategy`. Raises ModelError for no agent, or one that was trained with
    guidance.

    Attributes:
        q_values: the `llmguide.indicators.QValues` on the traded feed.

    Source: arXiv 2004.06627, algorithm 1.
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
