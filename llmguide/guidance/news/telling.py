"""The Analyst's factors as a table of their own, for those who read them without the Strategist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from llmguide.errors import GuidanceError
from llmguide.guidance.advice import Advice
from llmguide.states.factors import Factor, Factors

__all__ = ["factors_of"]


def factors_of(advice: Iterable[Advice], *, symbol: str) -> Factors:
    """Return the factors of one instrument by their issue; a month without any says so.

    Of prompts beside each other the first that was shown the news counts: all are shown the same factors. A month of
    which the Analyst gave no usable answer has none. Raises GuidanceError where no advice is of this instrument.
    """
    issues: dict[datetime, tuple[Factor, ...]] = {}
    for one in advice:
        if one.symbol == symbol and not issues.get(one.issued_at):
            issues[one.issued_at] = tuple(Factor(each.text, each.sentiment, each.impact) for each in one.factors)
    if not issues:
        raise GuidanceError(f"there is no advice on {symbol}, so there are no factors of its news")

    def rows() -> Iterator[tuple[datetime, Factor | None]]:
        for at, factors in issues.items():
            yield from ((at, factor) for factor in factors or (None,))

    return Factors.of(rows())
