"""The published Sharpe ratios of the prompts P0 to P4 (arXiv 2508.02366, experiment 1), of the test of 2018 and 2019.

P4 is the prompt behind the arm "LLM only" of the same paper's main table, and its Sharpe ratios are the same there,
except that of TSLA: 0.79 here, 0.87 there.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmguide.experiments.published import ALIASES

__all__ = ["PROMPT_SHARPE", "PROMPT_TOKENS", "published_sharpe"]

PROMPT_SHARPE: Mapping[str, Mapping[str, float]] = {
    "AAPL": {"P0": 1.13, "P1": 1.09, "P2": 1.07, "P3": 1.07, "P4": 2.09},
    "AMZN": {"P0": 0.51, "P1": 0.35, "P2": 0.38, "P3": 0.63, "P4": 0.84},
    "FB": {"P0": 0.60, "P1": -0.06, "P2": -0.28, "P3": 0.30, "P4": 0.77},
    "GOOGL": {"P0": 0.34, "P1": 0.26, "P2": 0.52, "P3": 0.52, "P4": 1.12},
    "MSFT": {"P0": 0.36, "P1": 1.07, "P2": 1.11, "P3": 1.31, "P4": 0.50},
    "TSLA": {"P0": 0.34, "P1": 0.71, "P2": 0.75, "P3": 0.43, "P4": 0.79},
}
"""Sharpe ratio of following each prompt's guidance alone, on the six instruments of the paper."""

PROMPT_TOKENS = 8_300
"""Tokens of one question by prompt P4, as the paper has it."""


def published_sharpe(symbol: str, prompt: str) -> float:
    """Return the Sharpe ratio that was published for a prompt on an instrument, NaN where none was."""
    return PROMPT_SHARPE.get(ALIASES.get(symbol, symbol), {}).get(prompt, float("nan"))
