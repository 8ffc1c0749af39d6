"""Pages of the command line's reference, written from the Typer application before the site is built.

They lie in docs/commands, which git ignores: a page for each command, with the commands of a group on one page.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from llmguide.cli.commands import app

_MARKED = re.compile(r"(?P<code>`[^`]+`)|(?<![\w-])(?P<option>--?[a-z][a-z-]*)|(?P<mark>[\\*_<>\[\]{}$|#])")
_EXTRA = re.compile(
    r"^(?P<help>.*?)(?:  )?\[(?P<extra>(?:default: |required|env var: |-?[\d.]+<|x[<>]).*)\]$", re.DOTALL
)


def pages() -> dict[str, str]:
    """Return the Markdown of every page by its name, without a suffix."""
    root = get_command(app)
    commands: dict[str, Any] = getattr(root, "commands")  # noqa: B009  # Typer's command has no public type
    shown = {name: command for name, command in commands.items() if not command.hidden}
    index = ["# Commands", "", "`llmguide COMMAND --help` prints these pages.", ""]
    index += ["| command | what it does |", "|---|---|"]
    for name, command in shown.items():
        index += [f"| [`llmguide {name}`]({name}.md) | {_escaped(command.get_short_help_str(limit=200)).rstrip('.')} |"]
    index += ["", "```{toctree}", ":hidden:", "", *shown, "```", ""]
    return {"index": "\n".join(index)} | {
        name: "\n".join(_page(f"llmguide {name}", command, level=1)) for name, command in shown.items()
    }


def _page(name: str, command: Any, *, level: int) -> Iterator[str]:
    context = command.context_class(command, info_name=name)
    yield from (f"{'#' * level} {name}", "")
    yield from (_prose(command.help or ""), "")
    inner = getattr(command, "commands", {})
    if not inner:
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        yield from ("```console", usage, "```", "")
    records = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    yield from (f"```{{program}} {name}", "```", "")
    for declared, told in records:
        if declared != "--help":
            yield from _option(declared, told)
    for word, one in inner.items():
        if not one.hidden:
            yield from _page(f"{name} {word}", one, level=level + 1)


def _option(declared: str, told: str) -> Iterator[str]:
    """One argument or option: what is declared of it, its help, and what holds where it is not given."""
    parts = _EXTRA.match(told)
    text, extra = (parts["help"], parts["extra"]) if parts else (told, "")
    yield f"````{{option}} {declared.replace(' / ', ', ')}"
    yield from (f"{_escaped(text)} {f'*{_escaped(extra[0].upper() + extra[1:])}.*' if extra else ''}", "````", "")


def _prose(text: str) -> str:
    """Markdown of a help text: its paragraphs are joined, what is indented stays as it is."""
    blocks = textwrap.dedent(text).strip().split("\n\n")
    return "\n\n".join(
        f"```text\n{textwrap.dedent(block)}\n```" if block.startswith(" ") else _escaped(block) for block in blocks
    )


def _escaped(text: str) -> str:
    """Markdown of a text without any: options are shown as code, and so is what stands between backticks."""

    def shown(found: re.Match[str]) -> str:
        return found["code"] or (f"`{found['option']}`" if found["option"] else f"\\{found['mark']}")

    return _MARKED.sub(shown, text)


def write(folder: Path) -> None:
    """Write the pages into `folder`; those that stay the same are not touched, those of no command removed."""
    folder.mkdir(exist_ok=True)
    wanted = {folder / f"{name}.md": text for name, text in pages().items()}
    for old in set(folder.glob("*.md")) - set(wanted):
        old.unlink()
    for path, text in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(site: Any) -> dict[str, bool]:
    """Write the pages as soon as the builder is there, before documents are looked for."""
    site.connect("builder-inited", lambda built: write(Path(built.srcdir) / "commands"))
    return {"parallel_read_safe": True}
