"""The guidance alone."""

from __future__ import annotations

from llmguide.strategies.guided import GuidedStrategy

__all__ = ["LLMOnly"]


class LLMOnly(GuidedStrategy):
    """Follows the direction in force on each bar (the "LLM only" arm of arXiv 2508.02366).

    ``LLMOnly(guidance="aapl.parquet")``; `guidance` is a `llmguide.Guidance` or the path of one. Or
    ``LLMOnly(provider="llm")``, which asks while it runs: see `GuidedStrategy`. Before the first row,
    and on an abstention, it keeps what it has.
    """

    def decide(self) -> int | None:
        """Return the direction, or None where there is none."""
        direction = self.guidance.lines.direction[0]
        return None if direction != direction else int(direction)
