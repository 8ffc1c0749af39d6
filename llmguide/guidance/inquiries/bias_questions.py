"""The questions by which a bias shows: a month that says nothing, and the first paragraph in other words."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from llmguide.llm.protocol import Message

__all__ = ["flat_bars", "paraphrased", "replaces_own"]

_OWN = (
    "You are the Strategist of an investment desk. For one instrument you decide whether to be LONG or SHORT over the "
    "next {horizon} trading days. All of the capital follows your direction; there is no neutral position."
)
_OTHER_WORDS = (
    "Your part at a trading firm is that of the Strategist: for a single instrument you choose LONG or SHORT for the "
    "{horizon} trading days to come. The firm puts its whole capital behind your choice, and you cannot stay out of "
    "the market."
)
_FLAT = 252  # bars: a year, from which every indicator of the bars is known
_PRICE, _VOLUME = 100.0, 1e6


def flat_bars() -> pd.DataFrame:
    """Return a year of bars on which nothing ever moved: every price is 100, every volume a million.

    Their reflection (`llmguide.guidance.inquiries.mirror`) is the same bars, so whoever treats rise and fall alike
    holds LONG and SHORT equally likely on them. They pass through every template like any month, which values replaced
    by "n/a" would not: the model would be asked about missing data, a question that no month asks.
    """
    prices = dict.fromkeys(("open", "high", "low", "close"), _PRICE)
    return pd.DataFrame({**prices, "volume": _VOLUME}, index=pd.bdate_range("2000-01-03", periods=_FLAT))


def paraphrased(messages: Sequence[Message], *, horizon: int) -> tuple[Message, ...]:
    """Return the messages with the first paragraph of the system's in other words.

    The words are those of llmguide's own prompts, whose first paragraph says what is to be decided over the `horizon`
    trading days. They take the place of the first paragraph of any other template too (see `replaces_own`), and stand
    alone where there is no system message.
    """
    other = _OTHER_WORDS.format(horizon=horizon)
    if messages[0].role != "system":
        return Message("system", other), *messages
    _, *rest = messages[0].content.split("\n\n")
    return Message("system", "\n\n".join([other, *rest])), *messages[1:]


def replaces_own(messages: Sequence[Message], *, horizon: int) -> bool:
    """Whether `paraphrased` changes words alone: the first paragraph is that of llmguide's prompts."""
    first = messages[0]
    return first.role == "system" and first.content.split("\n\n")[0] == _OWN.format(horizon=horizon)
