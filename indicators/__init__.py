"""Backtrader lines, one indicator per file."""

from llmguide.indicators.llm_guidance import LLMGuidance
from llmguide.indicators.q_values import QValues

__all__ = ["LLMGuidance", "QValues"]
