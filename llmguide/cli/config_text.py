"""The options of a command as a file for ``--config``, written."""

from __future__ import annotations

import json
import re
import shlex
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from llmguide._version import __version__
from llmguide.cli.config_file import CONFIG_FILE, Entry, entries_of
from llmguide.cli.settings import OPTIONS, SET, defaults_of

__all__ = ["command_again", "options_text"]

_OF_ONE_CALL = ("resume", "plan", "as_json")
"""Parameters that say what is done this once, not what is made."""
_WIDTH = 100


def options_text(
    command: Any, words: list[str], given: Mapping[str, Any], sources: Mapping[str, str], *, kept_in: Path | None = None
) -> str:
    """Return a file that says to a command what it was given; what was not stands in it as a comment.

    Args:
        words: the command's name.
        given: values by the parameters' names.
        sources: where each comes from; those that are not defaults are given.
        kept_in: the run folder that the file is for. Its paths do not depend on the folder in which it is used, and
            what each option means is left to ``llmguide config``.

    Paths that were given relative are made absolute in a run folder, also within texts (``gpt=FILE,since=DATE``), where
    they name what exists.
    """
    entries = {name: entry for name, entry in entries_of(command).items() if name not in _OF_ONE_CALL}
    is_given = {name for name in entries if sources.get(name, "DEFAULT") != "DEFAULT" and given.get(name) is not None}
    lines = [*_head(words, kept_in)]
    settings = list(given.get(SET) or ())
    as_words = any(entry.key in _tables_of(settings) and name in is_given for name, entry in entries.items())
    for name, entry in entries.items():
        if name == SET and not (settings and as_words):
            continue
        value = given.get(name)
        line = _line(entry, _portable(value) if kept_in is not None else value, given=name in is_given)
        if kept_in is None:
            required = " Required." if entry.required else ""
            lines += ["", *(f"# {part}" for part in textwrap.wrap(entry.help + required, _WIDTH))]
        lines.append(line)
    if SET in entries and not as_words:
        for section in entries[SET].sections:
            own = () if kept_in is not None else [
                name for name in defaults_of(section) if OPTIONS[section].get(name) not in entries
            ]  # fmt: skip
            lines += ["", *_settings(section, settings, own)]
    text = "\n".join(lines) + "\n"
    return re.sub(r"\n{3,}", "\n\n", text)


def command_again(out: Path) -> str:
    """Return the command that was given, with a folder beside `out`: in its own it would find everything done.

    A file of options may have changed since, so the copy that `out` keeps stands in its place.
    """
    words = []
    given = iter(sys.argv[1:])
    for word in given:
        name, joined, _ = word.partition("=")
        if name in ("--out", "--config"):
            if not joined:
                next(given, None)
            words += ["--config", str(out / CONFIG_FILE)] if name == "--config" else []
        elif word not in ("--resume", "--no-resume"):
            words.append(word)
    command = shlex.join(["llmguide", *words, "--out", f"{out}-again", "--no-resume"])
    return f"# File paths are relative to the folder in which this was run; every agent is trained again.\n{command}"


def _head(words: list[str], kept_in: Path | None) -> Iterator[str]:
    command = f"llmguide {' '.join(words)}"
    if kept_in is None:
        yield f"# Options of `{command} --config FILE`, llmguide {__version__}."
        yield (
            "# Options on the command line take precedence over this file. Options after a # are not set; the "
            "value is the default."
        )
        yield "# Paths are relative to the folder in which the command is run."
    else:
        yield f"# The options of this run, llmguide {__version__}. To reproduce it elsewhere:"
        again = shlex.join(["--config", str(kept_in / CONFIG_FILE), "--out", f"{kept_in}-again"])
        yield f"#   {command} {again}"
        yield "# Options after a # were left at their defaults."
        yield ""


def _line(entry: Entry, value: Any, *, given: bool) -> str:
    shown = value if given else entry.default
    if entry.name == "base_url" and given and not _harmless(str(value)):
        return f"# {entry.key} holds a secret and must be given again"
    text = None if shown is None or (shown == [] and not given) else _toml(shown)
    if text is None or not given:
        return f"# {entry.key} = {'' if text is None else text}".rstrip()
    return f"{entry.key} = {text}" if _is_writable(text) else f"# {entry.key} is no text in UTF-8: give it again"


def _settings(section: str, words: list[str], others: Collection[str]) -> Iterator[str]:
    """Yield a table of settings: those given, and as comments the `others` that are not."""
    given = {}
    for word in words:
        name, _, text = word.partition("=")
        of, _, setting = name.strip().partition(".")
        if of == section:
            given[setting] = text.strip()
    if not given and not others:
        return
    yield f"[{section}]" if given else f"# [{section}]"
    for name, default in defaults_of(section).items():
        if name in given:
            yield f"{name} = {_typed(given[name], default)}"
        elif name in others:
            yield f"# {name} = {_toml(default)}"


def _typed(text: str, default: Any) -> str:
    """Return the text of a setting as TOML has it, of the type of its default."""
    if isinstance(default, bool):
        return text.lower()
    return _toml(type(default)(text))


def _tables_of(words: list[str]) -> set[str]:
    return {word.partition(".")[0].strip() for word in words}


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)  # inf and nan too are as TOML has them
        case list() | tuple():
            return f"[{', '.join(_toml(part) for part in value)}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_writable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _harmless(url: str) -> bool:
    """Return whether an endpoint's address has neither user nor query, in which secrets stand."""
    return "@" not in url and ("?" not in url or "api-version" in url)


def _portable(value: Any) -> Any:
    """Return a value with absolute paths."""
    match value:
        case Path():
            return value.absolute()
        case str():
            return "".join(_absolute(part) for part in re.split(r"([,=])", value))
        case list() | tuple():
            return [_portable(part) for part in value]
    return value


def _absolute(word: str) -> str:
    """Return the absolute path of a word of a text, where it has the form of a file's name and there is one."""
    path = Path(word.strip())
    if not word.strip() or not (path.suffix or len(path.parts) > 1):
        return word
    try:
        return str(path.absolute()) if path.exists() else word
    except (OSError, ValueError):
        return word
