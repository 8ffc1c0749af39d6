"""What the model returns as trainer, writer and judge, checked so far that it can go into a template.

A reply that does not pass is told to the model once, with the reason (`llmguide.llm.asking.Asker`); after that the
question has no answer.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from llmguide.errors import did_you_mean
from llmguide.features.legend import meanings

__all__ = [
    "INSTRUCTIONS",
    "INSTRUCTION_WORDS",
    "JudgeReply",
    "LabelReply",
    "RankReply",
    "RankedFeature",
    "WriterReply",
    "known_features",
    "plain_line",
]

INSTRUCTIONS = 10
INSTRUCTION_WORDS = 50
RATIONALE_WORDS = 80
CRITICISM_WORDS = 150
ADVICE = 4
RANKED = 12
CHARACTERS = 10

_MARKS = ("{{", "{%", "{#")
_GROUPS = "stock|technical|market|fundamentals|macro|options"
_NAMED = re.compile(rf"\b(?:{_GROUPS})\.\w+")


@cache
def known_features() -> tuple[str, ...]:
    """Return the names of all facts that a prompt may ever show, in their order."""
    return tuple(name for meaning in meanings() for name in meaning.names)


def plain_line(text: str, *, words: int = INSTRUCTION_WORDS) -> str:
    """Return a text as one line; ValueError unless it has words, not too many, no mark of a template, no unknown fact.

    Ten characters a word are the most, whatever counts as a word.
    """
    line = " ".join(text.split())
    if len(line) > CHARACTERS * words:
        raise ValueError(f"expected at most {CHARACTERS * words} characters, got {len(line):,}")
    if len(line.split()) > words:
        raise ValueError(f"expected at most {words} words, got {len(line.split())}")
    if not any(character.isalnum() for character in line):
        raise ValueError("expected words, got none")
    if not line.isprintable():
        raise ValueError("expected plain text, got control characters")
    if found := [mark for mark in _MARKS if mark in line]:
        raise ValueError(f"expected plain text, got {found[0]!r}, which is a mark of a template; write no template")
    for name in _NAMED.findall(line):
        if name not in known_features():
            raise ValueError(f"there are no data named {name!r}{did_you_mean(name, known_features())}")
    return line


def _at_most(words: int) -> AfterValidator:
    return AfterValidator(lambda text: plain_line(text, words=words))


def _known(name: str) -> str:
    if name not in known_features():
        raise ValueError(f"there are no data named {name!r}{did_you_mean(name, known_features())}")
    return name


def _length(characters: int) -> Any:
    """A bound for endpoints that honour one, so that a reply ends."""
    return Field(min_length=1, json_schema_extra={"maxLength": characters})


_Instruction = Annotated[str, _length(6 * INSTRUCTION_WORDS), _at_most(INSTRUCTION_WORDS)]
_Rationale = Annotated[str, _length(6 * RATIONALE_WORDS), _at_most(RATIONALE_WORDS)]
_Feature = Annotated[str, Field(json_schema_extra={"enum": list(known_features())}), AfterValidator(_known)]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RankedFeature(_Reply):
    """One piece of the data, and how much it mattered."""

    name: _Feature
    importance: Literal[1, 2, 3] = Field(description="1 little, 2 some, 3 much.")


class RankReply(_Reply):
    """How much each piece of the data mattered for a decision whose reasons are known."""

    features: list[RankedFeature] = Field(
        description="The data that mattered, the weightiest first.", json_schema_extra={"maxItems": RANKED}
    )


class LabelReply(_Reply):
    """Why a decision was right, and how much each piece of the data mattered."""

    rationale: _Rationale = Field(description=f"Why the data spoke for it, in at most {RATIONALE_WORDS} words.")
    features: list[RankedFeature] = Field(
        description="The data that mattered, the weightiest first.", json_schema_extra={"maxItems": RANKED}
    )


class WriterReply(_Reply):
    """The instructions of a prompt."""

    why: _Rationale = Field(description=f"What is better about them, in at most {RATIONALE_WORDS} words.")
    instructions: list[_Instruction] = Field(
        description=f"1 to {INSTRUCTIONS} rules, each in at most {INSTRUCTION_WORDS} words.",
        min_length=1,
        max_length=INSTRUCTIONS,
    )


class JudgeReply(_Reply):
    """What is wrong with a prompt, and what to do about it."""

    criticism: Annotated[str, _length(6 * CRITICISM_WORDS), _at_most(CRITICISM_WORDS)] = Field(
        description=f"Which instructions led to losses, and how, in at most {CRITICISM_WORDS} words."
    )
    advice: list[_Instruction] = Field(description=f"At most {ADVICE} changes to make.", max_length=ADVICE)
