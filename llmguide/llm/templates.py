"""Prompts from template files.

A template is a Jinja2 text file with two blocks, `system` and `user`: the two messages of a question. Those that come
with llmguide are in `llmguide/llm/prompts`. A user's own is the path of a file that extends one of them
(``{% extends "P4.md" %}``) or begins anew (``{% extends "layout.md" %}``). Templates run in Jinja2's sandbox, see only
the values that they are given, and a name that has no value is an error instead of an empty place.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel

from llmguide.errors import GuidanceError
from llmguide.llm.protocol import Message
from llmguide.llm.schemas import schema_of
from llmguide.sandbox import compiled, gather, named, packaged_texts, tidy

__all__ = [
    "NothingKnown",
    "PromptTemplate",
    "nothing",
    "packaged",
    "prompt_hash",
    "prompt_version",
    "read_template",
    "render",
    "source",
    "variables",
]

LAYOUT = "layout.md"
"""The template at the root of all: its value `part` says which of the two messages is wanted."""

# Packaged, but no prompt for the Strategist by itself.
_PARTS = ("analyst", "analyst-merge", "specialist", "tuning", "tuning-judge", "tuning-trainer", "tuning-writer")

_ROLES: tuple[Literal["system", "user"], ...] = ("system", "user")


class NothingKnown(GuidanceError):
    """A template has nothing to ask about this month."""


def nothing(why: str) -> NoReturn:
    """End the filling of a template: a value for `render`."""
    raise NothingKnown(why)


@dataclass(frozen=True)
class PromptTemplate:
    """A template as it was when it was read, with all that it extends.

    Functions that take a template take one of these, too, and then read no file: what is asked with it stays the same
    whatever becomes of the files.

    Attributes:
        given: what it was asked for by, such as "P4" or a path.
        texts: name and text of the template and of those that it extends, its own first.
    """

    given: str
    texts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.given


def packaged() -> tuple[str, ...]:
    """Return the names of the templates that come with llmguide, without suffix."""
    return tuple(sorted(name.removesuffix(".md") for name in _packaged() if name != LAYOUT))


def read_template(template: str | Path | PromptTemplate) -> PromptTemplate:
    """Read a template and all that it extends; GuidanceError if one does not exist or has a fault."""
    if isinstance(template, PromptTemplate):
        return template
    return PromptTemplate(str(template), tuple(_sources(template).items()))


def prompt_version(template: str | Path | PromptTemplate) -> str:
    """Return what a template is called in tables: P4 for both "P4" and "mine/P4.md"."""
    return Path(str(template)).stem


def source(template: str | Path | PromptTemplate) -> str:
    """Return the text of a template; GuidanceError if there is none."""
    return read_template(template).texts[0][1]


def render(template: str | Path | PromptTemplate, **values: Any) -> tuple[Message, ...]:
    """Return the messages of a template, by name ("P4") or path, filled with `values`.

    Blank lines at both ends of a message, spaces at the ends of lines, and all but one of several blank lines are taken
    out. Raises GuidanceError for a template that does not exist, has a fault, uses a value that is not there, fails in
    any other way, or has no text; NothingKnown where the template says so.
    """
    import jinja2

    read = read_template(template)
    try:
        loaded = compiled(read.texts)
        texts = [tidy(loaded.render(**values, part=role)) for role in _ROLES]
    except NothingKnown:
        raise
    except Exception as error:  # a template is a program of its author's: {{ 1 / 0 }} is a ZeroDivisionError
        kind = "" if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: "
        what = " ".join(f"{kind}{error}".split())
        raise GuidanceError(f"the prompt template {template} cannot be filled: {what}") from error
    if not any(texts):
        raise GuidanceError(
            f"the prompt template {template} renders to no text; write its texts into the blocks system and user"
        )
    return tuple(Message(role, text) for role, text in zip(_ROLES, texts, strict=True) if text)


def variables(template: str | Path | PromptTemplate) -> frozenset[str]:
    """Return the names of the values that a template, or one that it extends, asks for."""
    return frozenset(name for _, text in read_template(template).texts for name in named(text).values)


def prompt_hash(template: str | Path | PromptTemplate, schema: type[BaseModel], *others: str) -> str:
    """Return the SHA-256, in hexadecimal, of a template, of all that it extends, and of the reply's schema as sent.

    `others` are further templates that its question rests on.
    """
    texts = [text for name in (template, *others) for _, text in read_template(name).texts]
    content = [*texts, schema_of(schema)[1]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _packaged() -> dict[str, str]:
    """The texts of the packaged templates, by file name."""
    return packaged_texts("llmguide.llm.prompts")


def _sources(template: str | Path) -> dict[str, str]:
    """Return the texts of a template and of all that it extends by name, its own first (see `sandbox.gather`)."""
    own = [version for version in packaged() if version not in _PARTS]
    texts = gather(template, _packaged(), kind="prompt", own=own, fault=GuidanceError)
    if LAYOUT not in texts:
        raise GuidanceError(
            f'the prompt template {template} must begin with {{% extends "P4.md" %}}, or another of llmguide\'s, or '
            f'with {{% extends "{LAYOUT}" %}}, and write its texts into the blocks system and user'
        )
    return texts
