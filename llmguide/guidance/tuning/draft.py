"""What a model may write of a prompt, and the template that llmguide makes of it.

A model writes lines of plain text, and nothing else: they stand in a list inside a template that is llmguide's. No line
has a mark of a template (`plain_line`), so none can name a value, extend or include a file, loop, or reach the schema
of the replies. The data that are shown are chosen from the fixed list of facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llmguide.errors import GuidanceError
from llmguide.features.fact import matcher
from llmguide.guidance.tuning.replies import INSTRUCTIONS, known_features, plain_line
from llmguide.llm.templates import PromptTemplate, read_template
from llmguide.sandbox import blocks_of, patterns_in

__all__ = ["Draft", "check_base", "check_name", "features_shown", "write_template"]

_BLOCKS = ("legend", "method", "user")


@dataclass(frozen=True)
class Draft:
    """The part of a prompt that is tuned.

    Attributes:
        instructions: one to ten lines of plain text.
        features: names of facts, the most important first; may be empty.

    Raises GuidanceError for lines that are not plain text, unknown facts, and no instructions or too many.
    """

    instructions: tuple[str, ...]
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every line again: not all drafts come from a reply."""
        if not 1 <= len(self.instructions) <= INSTRUCTIONS:
            raise GuidanceError(f"expected 1 to {INSTRUCTIONS} instructions, got {len(self.instructions)}")
        try:
            object.__setattr__(self, "instructions", tuple(map(plain_line, self.instructions)))
        except ValueError as error:
            raise GuidanceError(f"an instruction cannot be used: {error}") from None
        if unknown := [name for name in self.features if name not in known_features()]:
            raise GuidanceError(f"expected names of facts, got {', '.join(unknown)}")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of instructions and features, in hexadecimal."""
        return hashlib.sha256(json.dumps([self.instructions, self.features]).encode()).hexdigest()

    def hidden(self, hide: Callable[[str], str]) -> Draft:
        """Return the draft with each instruction as `hide` gives it."""
        return Draft(tuple(hide(line) for line in self.instructions), self.features)

    def template(self, base: PromptTemplate, *, name: str, header: str = "") -> PromptTemplate:
        """Return the template: the base, with these instructions behind its own and the features that it lacks.

        `name` is what it is called in tables; `header` is a comment at its top. Raises GuidanceError where the base, or
        what it extends, is called so too (`check_name`).
        """
        check_name(base, name)
        text = write_template(self, base, header=header)
        return PromptTemplate(name, ((f"{name}.md", text), *_parts(base)))


def check_base(base: str | Path | PromptTemplate) -> PromptTemplate:
    """Return the template that is to be tuned; GuidanceError where it has no place for what tuning writes."""
    read = read_template(base)
    there = {block for _, text in read.texts for block in blocks_of(text)}
    if missing := [block for block in _BLOCKS if block not in there]:
        raise GuidanceError(
            f"the prompt {base} has no block {', '.join(missing)}, where tuning writes; take P0 to P4, or a template "
            "that extends one of them"
        )
    return read


def check_name(base: PromptTemplate, name: str) -> None:
    """Refuse a base of which a part is called as the template that is to extend it: neither could be told apart."""
    if f"{name}.md" in {Path(part).name for part, _ in base.texts}:
        raise GuidanceError(
            f"the prompt {base} is, or extends, a file {name}.md, and the tuned one is to be called so; copy it under "
            "another name"
        )


def features_shown(base: PromptTemplate) -> tuple[str, ...]:
    """Return the facts that a template shows in any month, in their order."""
    patterns = {pattern for _, text in base.texts for pattern in patterns_in(text, "lines")}
    chosen = matcher(sorted(patterns))
    return tuple(name for name in known_features() if chosen.fullmatch(name))


def write_template(draft: Draft, base: PromptTemplate, *, header: str = "") -> str:
    """Return the text of a template that extends `base` by a draft."""
    more = [name for name in draft.features if name not in features_shown(base)]
    wanted = ", ".join(json.dumps(name) for name in more)
    lines = [f"{{#-\n{_comment(header)}\n-#}}"] if header else []
    lines.append(f'{{% extends "{_parts(base)[0][0]}" %}}')
    if more:
        lines += ["{% block legend %}", "{{ super() -}}", f"{{{{ legend({wanted}) }}}}", "{% endblock %}"]
    lines += ["{% block method %}", "{{ super() }}", "", "What earlier years have taught:"]
    lines += [f"- {line}" for line in draft.instructions]
    if draft.features:
        lines += ["", f"What mattered most in them, the weightiest first: {', '.join(draft.features)}."]
    lines += ["{% endblock %}"]
    if more:
        lines += ["{% block user %}", "{{ super() }}", f"{{% set shown = lines({wanted}) %}}", "{% if shown %}", ""]
        lines += ["# Data that mattered in earlier years", "{{ shown }}", "{% endif %}", "{% endblock %}"]
    return "\n".join(lines) + "\n"


def _parts(base: PromptTemplate) -> tuple[tuple[str, str], ...]:
    """Return the texts of a base by the names by which templates beside it know them."""
    (first, text), *rest = base.texts
    return (Path(first).name, text), *rest


def _comment(text: Any) -> str:
    """Return a text that ends no comment of a template."""
    return str(text).replace("#}", "# }").replace("{#", "{ #")
