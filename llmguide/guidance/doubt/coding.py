"""A Strategist's question in words that mean the same: the labels under codes, the groups of data in another order.

A model may lean to LONG because of the word, or because it stands first, or to what the last group of data says. Under
the codes X and Y the words are gone; with the codes given out both ways, and the groups in both orders, each of these
leanings points once to LONG and once to SHORT, so that the mean over the four forms is free of it.

Walk a message through it: `coded` replaces every LONG and SHORT by their codes, names X first wherever both stand side
by side, says at the top what the codes mean, and reverses the sections (lines that begin with "# ") of the user's
message where the form says so. `decoded` reads the code of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from llmguide.guidance.advice import FEATURES, FeatureUse, StrategistReply
from llmguide.llm.protocol import Message

__all__ = ["CODES", "FORMS", "CodedFeature", "CodedReply", "Form", "coded", "decoded", "reordered"]

Code = Literal["X", "Y"]

CODES: tuple[Code, Code] = ("X", "Y")

_LONG, _SHORT = "you gain if the price rises and lose if it falls", "you gain if the price falls and lose if it rises"
_LABEL = re.compile(r"\b(LONG|SHORT)\b")
_PAIR = re.compile(r"\b(LONG|SHORT)(,? (?:or|and)(?: for)? |, |/)(LONG|SHORT)\b")
_SECTION = re.compile(r"^(?=# )", re.MULTILINE)


class Form(NamedTuple):
    """One of the ways to ask."""

    long: Code  # what LONG is called
    reversed: bool  # whether the groups of data come in the opposite order

    @property
    def name(self) -> str:
        """Such as "LONG is X, groups reversed"."""
        return f"LONG is {self.long}{', groups reversed' if self.reversed else ''}"


FORMS = (Form("X", False), Form("Y", False), Form("X", True), Form("Y", True))
"""The four forms: both ways to give out the codes, in both orders of the groups."""


class CodedFeature(FeatureUse):
    """`FeatureUse` under codes."""

    direction: Literal["X", "Y", "NEUTRAL"]  # type: ignore[assignment]  # the same field, other words


class CodedReply(StrategistReply):
    """`StrategistReply` under codes; the fields come in the same order."""

    features: list[CodedFeature] = Field(  # type: ignore[assignment]  # the same field, other words
        description="The data that the decision rests on, the weightiest first.",
        json_schema_extra={"maxItems": FEATURES},
    )
    direction: Code  # type: ignore[assignment]  # the same field, other words


def coded(messages: Sequence[Message], form: Form) -> tuple[Message, ...]:
    """Return the Strategist's messages in this form.

    Every LONG and SHORT in capitals is replaced, those that the model wrote itself in earlier decisions too. What the
    codes mean stands at the beginning of the first message.
    """
    first, second = (_LONG, _SHORT) if form.long == "X" else (_SHORT, _LONG)
    meaning = f"Two directions are open to you, called X and Y. X: {first}. Y: {second}.\n\n"
    found = []
    for message in messages:
        text = reordered(message.content) if form.reversed and message.role == "user" else message.content
        found.append(Message(message.role, meaning + _in_codes(text, form)))
        meaning = ""
    return tuple(found)


def decoded(reply: CodedReply, form: Form) -> int:
    """Return the direction that an answer in this form means: 1 long, 0 short."""
    return int(reply.direction == form.long)


def reordered(text: str) -> str:
    """Return a message with its sections in the opposite order; what stands before the first one stays there."""
    head, *sections = _SECTION.split(text)
    return head + "\n\n".join(section.strip("\n") for section in reversed(sections))


def _in_codes(text: str, form: Form) -> str:
    codes = {"LONG": form.long, "SHORT": CODES[form.long == "X"]}

    def pair(match: re.Match[str]) -> str:
        one, between, other = match.groups()
        return match[0] if one == other else f"{CODES[0]}{between}{CODES[1]}"

    return _LABEL.sub(lambda match: codes[match[0]], _PAIR.sub(pair, text))
