"""Questions about what a model remembers: no data for a direction, or data for a name and a date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from llmguide.guidance.news.anonymise import Names
from llmguide.llm.protocol import Message

__all__ = [
    "ORDERS",
    "IdentityReply",
    "RecallReply",
    "anonymous_question",
    "full_name",
    "identity_question",
    "named_question",
]

ORDERS = (("LONG", "SHORT"), ("SHORT", "LONG"))
"""The two orders in which a question can name the directions."""

_RISE = {"LONG": "LONG if the price rose", "SHORT": "SHORT if the price fell"}
_RECALL = """You are asked what you remember about markets. You are given no data.

Answer with one JSON object:
- direction: {first}, {second}."""
_IDENTITY = """You are shown what was known about one listed instrument on the day before a decision. Its name and all \
dates were left out. Say which instrument it is and when the decision was taken. Where you are not sure, give your \
best guess.

Answer with one JSON object:
- instrument: the number of the instrument in the list.
- year, month: of the decision."""


def _one_of(first: int, last: int) -> dict[str, Any]:
    return {"enum": list(range(first, last + 1))}


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecallReply(_Reply):
    """The direction alone: nothing stands before it that it could rest on."""

    direction: Literal["LONG", "SHORT"]


class IdentityReply(_Reply):
    """Which instrument and month a prompt describes."""

    # As enumerations, which every endpoint with structured output holds a model to: few take bounds on numbers.
    instrument: int = Field(description="Number of the instrument in the list.", ge=1, json_schema_extra=_one_of(1, 8))
    year: int = Field(ge=1900, le=2100, json_schema_extra=_one_of(1980, 2039))
    month: int = Field(ge=1, le=12, json_schema_extra=_one_of(1, 12))


def full_name(symbol: str, names: Names | None) -> str:
    """Return the symbol, with the first company name of the table of names where there is one."""
    companies = [] if names is None else [entry.name for entry in names.entries if entry.kind == "company"]
    other = [name for name in companies if name.casefold() != symbol.casefold()]
    return f"{symbol} ({other[0]})" if other else symbol


def named_question(name: str, issued_at: pd.Timestamp, *, horizon: int) -> tuple[Message, ...]:
    """Ask for the direction over the `horizon` trading days from the close of `issued_at`, by name and date alone."""
    return _recall(name, f"{issued_at:%Y-%m-%d}", horizon, ORDERS[0])


def anonymous_question(order: tuple[str, str], *, horizon: int) -> tuple[Message, ...]:
    """Ask the same of no instrument and no date in particular: what the model answers without any memory."""
    return _recall("a large listed company", "an unknown trading day", horizon, order)


def identity_question(shown: Sequence[Message], options: Sequence[str]) -> tuple[Message, ...]:
    """Ask which of `options` and which month the data of a Strategist's prompt are of.

    Its system message is left out: it forbids the model to recognise anything.
    """
    data = "\n\n".join(message.content for message in shown if message.role != "system")
    listed = "\n".join(f"{number}. {option}" for number, option in enumerate(options, start=1))
    return Message("system", _IDENTITY), Message("user", f"{data}\n\n# Which instrument is it?\n{listed}")


def _recall(name: str, day: str, horizon: int, order: tuple[str, str]) -> tuple[Message, ...]:
    first, second = order
    asked = (
        f"Instrument: {name}\nFrom the close of: {day}\nOver the following {horizon} trading days, was the right "
        f"direction {first} or {second}?"
    )
    return Message("system", _RECALL.format(first=_RISE[first], second=_RISE[second])), Message("user", asked)
