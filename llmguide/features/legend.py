"""What the names of facts mean, told once: it is the same for every month and instrument."""

from __future__ import annotations

from llmguide.features.fact import Meaning, matcher
from llmguide.features.fundamentals import fundamental_meanings
from llmguide.features.levels import Levels
from llmguide.features.macro import macro_meanings
from llmguide.features.market import market_meanings
from llmguide.features.options import option_meanings
from llmguide.features.stock import stock_meanings
from llmguide.features.technical import technical_meanings

__all__ = ["legend", "meanings"]


def meanings(levels: Levels = "relative") -> tuple[Meaning, ...]:
    """Return what every fact means that `facts_at` may ever tell, in the order of the facts."""
    return (
        *stock_meanings(levels),
        *technical_meanings(levels),
        *market_meanings(levels),
        *fundamental_meanings(),
        *macro_meanings(levels),
        *option_meanings(),
    )


def legend(*patterns: str, levels: Levels = "relative") -> str:
    """Return the meanings of facts of these names, one per line; a * stands for any text.

    It does not depend on which of them are known: a prompt that begins with it begins the same in every month.
    """
    chosen = matcher(patterns)
    return "\n".join(
        f"{meaning.shown}: {meaning.text}" for meaning in meanings(levels) if any(map(chosen.fullmatch, meaning.names))
    )
