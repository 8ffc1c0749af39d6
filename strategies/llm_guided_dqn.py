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
    """A double-DQN that was trained with guidance (arXiv 2508.02366): tau is the last value of its observation.

    ``LLMGuidedDQN(model="hybrid-0.safetensors", guidance="aapl.parquet")``; `model` is an `Agent` or the path of a
    checkpoint, `guidance` a `llmguide.Guidance` or the path of one; `provider=` instead of it asks while the backtest
    runs (see `GuidedStrategy`). `cerebro.optstrategy` wants paths: each of its processes then loads them itself.
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
