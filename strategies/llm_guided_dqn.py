"""The hybrid: an agent that observes what the language model said."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.indicators import QValues
from llmguide.indicators.q_values import as_agent
from llmguide.rl.agent import best_decision
from llmguide.strategies.guided import GuidedStrategy
from llmguide.trading.account import ACTIONS

__all__ = ["LLMGuidedDQN"]


class LLMGuidedDQN(GuidedStrategy):
    """Trades a double-DQN that was trained with guidance; tau is the last value of its observation.

    For example::

        cerebro.addstrategy(LLMGuidedDQN, model="hybrid-0.safetensors", guidance="aapl.parquet")

    Decides at bar t from bars up to and including t-1 and the guidance in force on the date of bar t.

    Params:
        model: an `llmguide.rl.agent.Agent`, or the path of a checkpoint. `cerebro.optstrategy` needs paths, which each
            of its processes then loads itself.

    Guidance comes from a table or a provider: those params are explained in `GuidedStrategy`, all others in
    `AccountStrategy`. Raises ModelError for no agent, or one that was trained without guidance.

    Attributes:
        q_values: the `llmguide.indicators.QValues` on the traded feed.
        guidance: the `llmguide.indicators.LLMGuidance` on the traded feed.

    Source: arXiv 2508.02366, section II.
    """

    params: ClassVar[Any] = (("model", None),)
    _decisions: ClassVar[tuple[int, ...]] = ACTIONS

    def __init__(self) -> None:
        super().__init__()
        agent = as_agent(self.p.model, needed_by=type(self).__name__, guided=True)
        self.q_values = QValues(self.traded, model=agent, guidance=self.guidance)

    def decide(self) -> int:
        """Return the decision with the largest Q-value on the side held; a tie is short."""
        return best_decision(self.q_values.select(self.side))
