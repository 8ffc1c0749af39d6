"""Text templates and the sandbox in which they run, whoever wrote them.

A template is a Jinja2 text file: one that comes with llmguide, by its name without suffix, or a user's own, by its
path, which extends one of those or begins anew from their layout. It sees what it is given, and a name without a value
is an error instead of an empty place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llmguide.errors import LlmguideError, did_you_mean

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["Named", "blocks_of", "compiled", "gather", "named", "packaged_texts", "patterns_in", "tidy"]


class Named(NamedTuple):
    """The names in the text of a template."""

    templates: tuple[str, ...]  # that it extends or includes
    values: frozenset[str]  # that it asks for


@cache
def packaged_texts(package: str) -> dict[str, str]:
    """Return the texts of the templates in a package of llmguide, by file name."""
    folder = resources.files(package)
    return {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".md")}


def gather(
    template: str | Path,
    packaged: Mapping[str, str],
    *,
    kind: str,
    own: Sequence[str],
    fault: type[LlmguideError],
) -> dict[str, str]:
    """Return the texts of a template and of all that it extends by name, its own first.

    Files are read each time, so that a user may edit them in between.

    Args:
        template: name of a packaged template, or path of a file.
        packaged: texts of the packaged ones by file name. What llmguide has comes first: "P4.md" extended by a user's
            P4.md is llmguide's, not itself.
        kind: what it is a template of, for errors.
        own: names to suggest.
        fault: raised where a template does not exist or has a fault.
    """
    import jinja2

    names = [f"{template}.md" if isinstance(template, str) and f"{template}.md" in packaged else str(template)]
    texts: dict[str, str] = {}
    for name in names:
        try:
            text = _read(template, name, packaged)
            if text is None:
                known = [one.removesuffix(".md") for one in packaged]
                asked = f"the template {name!r}, which {template} extends" if texts else f"the {kind} {name!r}"
                raise fault(
                    f"{asked} does not exist{did_you_mean(name, known)}; llmguide has {', '.join(own)}, "
                    "and the path of a file of your own will do"
                )
            extended = named(text).templates
        except jinja2.TemplateSyntaxError as error:
            raise fault(f"the {kind} template {name}, line {error.lineno}: {error.message}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise fault(f"the {kind} template {name} cannot be read as UTF-8 text: {error}") from None
        texts[name] = text
        names += [found for found in extended if found not in names]
    return texts


def _read(template: str | Path, name: str, packaged: Mapping[str, str]) -> str | None:
    """Return the text of the template that `template` calls `name`; None if there is none."""
    if name in packaged:
        return packaged[name]
    path = Path(name) if name == str(template) else Path(template).parent / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


# A study fills a template hundreds of times, and parsing one takes longer than all the rest of a question.
@lru_cache(maxsize=256)
def named(text: str) -> Named:
    """Return the names in the text of a template; jinja2.TemplateSyntaxError where it has a fault."""
    from jinja2 import meta

    tree = _sandbox({}).parse(text)
    templates = tuple(name for name in meta.find_referenced_templates(tree) if name)
    return Named(templates, frozenset(meta.find_undeclared_variables(tree)))


def blocks_of(text: str) -> tuple[str, ...]:
    """Return the names of the blocks in the text of a template, those inside others too."""
    from jinja2 import nodes

    return tuple(block.name for block in _sandbox({}).parse(text).find_all(nodes.Block))


def patterns_in(text: str, function: str) -> tuple[str, ...]:
    """Return the texts that a template gives to calls of a function, such as "stock.*" in ``lines("stock.*")``."""
    from jinja2 import nodes

    return tuple(
        given.value
        for call in _sandbox({}).parse(text).find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name == function
        for given in call.args
        if isinstance(given, nodes.Const) and isinstance(given.value, str)
    )


@lru_cache(maxsize=64)
def compiled(texts: tuple[tuple[str, str], ...]) -> Template:
    """Return the first of these templates, by name and text, ready to be filled; the others are what it extends."""
    return _sandbox(dict(texts)).get_template(texts[0][0])


def _sandbox(texts: Mapping[str, str]) -> SandboxedEnvironment:
    from jinja2 import DictLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(
        loader=DictLoader(texts),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def tidy(text: str) -> str:
    """Return a text without spaces at ends of lines, blank lines at both ends, and all but one of several others."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()
