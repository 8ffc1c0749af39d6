"""The guidance alone."""

from __future__ import annotations

from llmguide.strategies.guided import GuidedStrategy

__all__ = ["LLMOnly"]


class LLMOnly(GuidedStrategy):
    """Follows the direction in force on each bar: the "LLM only" arm of arXiv 2508.02366.

    ``LLMOnly(guidance="aapl.parquet")``, or ``LLMOnly(provider="llm")``, which asks while the backtest runs. Before the
    first row, and on an abstention, it keeps the position it has.

    Params are those of `GuidedStrategy` and `AccountStrategy`.
    """

    def decide(self) -> int | None:
        """Return 1 (long) or 0 (short), the direction in force, or None where there is none."""
        direction = self.guidance.lines.direction[0]
        return None if direction != direction else int(direction)
