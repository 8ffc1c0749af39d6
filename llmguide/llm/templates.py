"""Prompts from template files.

A template is a Jinja2 text file with two blocks, `system` and `user`: the two messages of a question. Those that come
with llmguide are in `llmguide/llm/prompts`. A user's own is the path of a file that extends one of them
(``{% extends "P4.md" %}``) or begins anew (``{% extends "layout.md" %}``). Templates run in Jinja2's sandbox, see only
the values that they are given, and a name that has no value is an error instead of an empty place.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from pydantic import BaseModel

from llmguide.errors import GuidanceError, did_you_mean
from llmguide.llm.protocol import Message
from llmguide.llm.schemas import schema_of

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

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

_PARTS = ("analyst", "analyst-merge", "specialist")  # packaged, but no prompt for the Strategist by itself

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
        loaded = _compiled(read.texts)
        texts = [_tidy(loaded.render(**values, part=role)) for role in _ROLES]
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
    return frozenset(name for _, text in read_template(template).texts for name in _named(text).values)


def prompt_hash(template: str | Path | PromptTemplate, schema: type[BaseModel], *others: str) -> str:
    """Return the SHA-256, in hexadecimal, of a template, of all that it extends, and of the reply's schema as sent.

    `others` are further templates that its question rests on.
    """
    texts = [text for name in (template, *others) for _, text in read_template(name).texts]
    content = [*texts, schema_of(schema)[1]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@cache
def _packaged() -> dict[str, str]:
    """The texts of the packaged templates, by file name."""
    folder = resources.files("llmguide.llm.prompts")
    return {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".md")}


def _name(template: str | Path) -> str:
    """Return the name under which the environment finds a template: a user's file by its whole path."""
    return f"{template}.md" if isinstance(template, str) and f"{template}.md" in _packaged() else str(template)


def _read(template: str | Path, name: str) -> str | None:
    """Return the text of the template that `template` calls `name`; None if there is none."""
    # What llmguide has comes first: "P4.md" extended by a user's P4.md is llmguide's, not itself.
    if name in _packaged():
        return _packaged()[name]
    path = Path(name) if name == str(template) else Path(template).parent / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _sources(template: str | Path) -> dict[str, str]:
    """Return the texts of a template and of all that it extends by name, its own first.

    Files are read each time, so that a user may edit them in between.
    """
    import jinja2

    names = [_name(template)]
    texts: dict[str, str] = {}
    for name in names:
        try:
            text = _read(template, name)
            if text is None:
                own = [version for version in packaged() if version not in _PARTS]
                asked = f"the template {name!r}, which {template} extends" if texts else f"the prompt {str(template)!r}"
                raise GuidanceError(
                    f"{asked} does not exist{did_you_mean(name, packaged())}; llmguide has {', '.join(own)}, "
                    "and the path of a file of your own will do"
                )
            extended = _named(text).templates
        except jinja2.TemplateSyntaxError as error:
            raise GuidanceError(f"the prompt template {name}, line {error.lineno}: {error.message}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise GuidanceError(f"the prompt template {name} cannot be read as UTF-8 text: {error}") from None
        texts[name] = text
        names += [found for found in extended if found not in names]
    if LAYOUT not in names:
        raise GuidanceError(
            f'the prompt template {template} must begin with {{% extends "P4.md" %}}, or another of llmguide\'s, or '
            f'with {{% extends "{LAYOUT}" %}}, and write its texts into the blocks system and user'
        )
    return texts


class _Named(NamedTuple):
    templates: tuple[str, ...]  # that a text extends or includes
    values: frozenset[str]  # that it asks for


# A study fills a template hundreds of times, and parsing one takes longer than all the rest of a question.
@lru_cache(maxsize=256)
def _named(text: str) -> _Named:
    """Return the names in the text of a template; jinja2.TemplateSyntaxError where it has a fault."""
    from jinja2 import meta

    tree = _environment({}).parse(text)
    templates = tuple(name for name in meta.find_referenced_templates(tree) if name)
    return _Named(templates, frozenset(meta.find_undeclared_variables(tree)))


@lru_cache(maxsize=64)
def _compiled(sources: tuple[tuple[str, str], ...]) -> Template:
    """Return the first of these templates, by name and text, ready to be filled; the others are what it extends."""
    return _environment(dict(sources)).get_template(sources[0][0])


def _environment(sources: dict[str, str]) -> SandboxedEnvironment:
    from jinja2 import DictLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(
        loader=DictLoader(sources),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _tidy(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()
