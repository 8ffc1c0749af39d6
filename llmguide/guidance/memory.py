"""What the Strategist is told about its last decisions, and what had come of them by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from llmguide.features.fact import as_percent
from llmguide.guidance.advice import Advice, StrategistReply

__all__ = ["Remembered", "recall"]


class Remembered(NamedTuple):
    """One earlier decision, as texts for a prompt; without a date."""

    ago: str
    direction: str  # LONG, SHORT, or "" for an abstention
    confidence: int
    features: str
    explanation: str
    price_return: str
    advice_return: str


def recall(
    past: Sequence[Advice], known: pd.DataFrame, *, last: int, anonymise: Callable[[str], str] = str
) -> list[Remembered]:
    """Return the `last` newest of the advice given before, newest first, with its realised return.

    `known` are the bars before the new decision, and nothing else is looked at. An advice issued at the date of bar i
    trades at that bar's close; its return runs from there to the close of the bar at which the next one was issued, or
    for the newest to the last close known. An advice whose bar is not known is left out.
    What the model wrote passes through `anonymise`.
    """
    close = known["close"]
    remembered: list[Remembered] = []
    until = len(close) - 1
    for age, advice in enumerate(reversed(past[-last:] if last else []), start=1):
        i = int(close.index.searchsorted(pd.Timestamp(advice.issued_at)))
        if i > until:
            continue
        change = float(close.iloc[until] / close.iloc[i] - 1.0)
        reply = advice.reply
        followed = change if reply is not None and reply.direction == "LONG" else -change
        remembered.append(
            Remembered(
                ago="The last one" if age == 1 else f"{age} decisions ago",
                direction=reply.direction if reply else "",
                confidence=reply.confidence if reply else 0,
                features=anonymise(_features(reply)) if reply else "",
                explanation=anonymise(" ".join(reply.explanation.split())) if reply else "",
                price_return=as_percent(change),
                advice_return=as_percent(followed),
            )
        )
        until = i
    return remembered


def _features(reply: StrategistReply) -> str:
    return ", ".join(f"{use.name} ({use.direction}, {use.weight})" for use in reply.features)
