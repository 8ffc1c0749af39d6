"""Files for ``--config``: options of a command as TOML, read, checked and written (docs/configuration.md).

A key is an option's long name without dashes, or an argument's name as ``--help`` has it. A table is one of settings
(``[agent]``, the names of ``--set``), or has the options of one command (``[compare]``, ``[flag.train]``).
"""

from __future__ import annotations

import datetime
import inspect
import re
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from llmguide.cli.settings import SET, Sections, word_of
from llmguide.errors import LlmguideError, did_you_mean

__all__ = ["CONFIG_FILE", "Entry", "entries_of", "read_options"]

CONFIG_FILE = "config.toml"
"""What a run folder calls the options that its command was given."""
CONFIG = "config_file"
"""The parameter of ``--config`` itself."""

_SECRET = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)
_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a text that names a file or folder",
}


@dataclass(frozen=True)
class Entry:
    """An option or an argument of a command, as a file holds it.

    Attributes:
        name: of the parameter.
        key: in files; `opposite` is that of the other side of a flag, such as ``no-resume``.
        kinds: bool, int, float, str or Path; several for an option that takes several words.
        many: whether it can be given again and again.
        listed: whether its text is a list separated by commas.
        sections: of the settings that it takes, for ``--set``.
    """

    name: str
    key: str
    opposite: str | None
    kinds: tuple[type, ...]
    many: bool
    listed: bool
    required: bool
    default: Any
    help: str
    low: float | None
    high: float | None
    sections: tuple[str, ...] = ()


@dataclass
class _Found:
    """What a file says to one command: values by the keys that it uses, settings by section."""

    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


def entries_of(command: Any) -> dict[str, Entry]:
    """Return what a file can say to a command, by the parameters' names."""
    hints = {name: parameter.annotation for name, parameter in inspect.signature(command.callback).parameters.items()}
    return {
        parameter.name: _entry(parameter, hints[parameter.name])
        for parameter in command.params
        if parameter.name in hints and parameter.name != CONFIG
    }


def _entry(parameter: Any, hint: Any) -> Entry:
    value, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if get_origin(value) in (Union, types.UnionType):
        (value,) = (part for part in get_args(value) if part is not type(None))
    many = get_origin(value) is list
    kinds = get_args(value) if get_origin(value) in (list, tuple) else (value,)
    if parameter.param_type_name == "argument":
        key, opposite = (parameter.metavar or parameter.name).strip("[].").lower(), None
    else:
        key = next(option for option in parameter.opts if option.startswith("--"))[2:]
        opposite = next((option[2:] for option in parameter.secondary_opts), None)
    bounds = next((note for note in notes if hasattr(note, "min")), None)
    told = str(getattr(parameter, "help", None) or "")
    return Entry(
        parameter.name, key, opposite, kinds, many, "commas" in told or _is_numbers(parameter.default),
        bool(parameter.required), parameter.default, told, getattr(bounds, "min", None), getattr(bounds, "max", None),
        next((note.names for note in notes if isinstance(note, Sections)), ()),
    )  # fmt: skip


def read_options(path: Path, command: Any, words: list[str], root: Any) -> dict[str, Any]:
    """Return what a file says to a command: values by the parameters' names, as `entries_of` has them.

    Args:
        path: the file, or a run folder that has one.
        words: the command's name: ``["flag", "train"]``.
        root: the application, whose other commands may have tables in the file.

    Raises LlmguideError, with the file and the key, for what cannot be read, is not known, or is not what it should be.
    """
    path = path / CONFIG_FILE if path.is_dir() else path
    document = _load(path)
    entries = entries_of(command)
    keys = {entry.key: entry for entry in entries.values()}
    keys |= {entry.opposite: entry for entry in entries.values() if entry.opposite is not None}
    sections = entries[SET].sections if SET in entries else ()
    shared, tables = _split(path, document, root)
    own = tables.pop(tuple(words), _Found())
    name = " ".join(words)
    elsewhere = {tables_words: _keys_of(root, tables_words) for tables_words in tables}
    values: dict[str, Any] = {}
    for part, where in ((shared, ""), (own, f"[{'.'.join(words)}] ")):
        taken: dict[str, str] = {}
        for key, value in part.options.items():
            if key not in keys:
                if part is shared and any(key in known for known, _ in elsewhere.values()):
                    continue  # it is for another command, of which the file has a table
                raise _unknown(f"{path}: {where}{key}", key, name, keys)
            entry = keys[key]
            if entry.name in taken:
                raise LlmguideError(f"{path}: {where}{key} and {taken[entry.name]} are one option; keep one of them")
            taken[entry.name] = key
            values[entry.name] = _value(f"{path}: {where}{key}", entry, key, value)
    settings: dict[str, str] = {}
    for part, where in ((shared, ""), (own, f"{'.'.join(words)}.")):
        for section, given in part.settings.items():
            if section not in sections:
                if part is shared and any(section in known for _, known in elsewhere.values()):
                    continue
                raise LlmguideError(f"{path}: [{where}{section}] holds settings that `llmguide {name}` does not have")
            for key, value in given.items():
                settings[f"{section}.{key}"] = word_of(section, key, value, f"{path}: [{where}{section}] {key}")
    if settings:
        again = [word for word in values.get(SET, []) if word.partition("=")[0] in settings]
        if again:
            raise LlmguideError(f"{path}: {again[0].partition('=')[0]} is given twice; keep one of them")
        values[SET] = [*values.get(SET, []), *settings.values()]
    if not (shared.options or shared.settings or own.options or own.settings) and tables:
        others = ", ".join(" ".join(other) for other in tables)
        raise LlmguideError(f"{path} says nothing to `llmguide {name}`: it has options of {others}")
    return values


def _load(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".json":
        raise LlmguideError(
            f"--config takes TOML, got {path}; of a run folder give {CONFIG_FILE}: the .json beside it is what came of "
            "the options, for people and programs to read"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise LlmguideError(f"there is no file {path} for --config; `llmguide config COMMAND` prints one") from None
    except OSError as error:
        raise LlmguideError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise LlmguideError(f"{path} is not text in UTF-8 ({error.reason} at byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        twice = "Cannot overwrite" in str(error) or "Cannot declare" in str(error)
        hint = "; a key and a table cannot share a name: put the key into the table of its command" if twice else ""
        raise LlmguideError(f"{path} cannot be read as TOML: {error}{hint}") from None


def _split(path: Path, document: Mapping[str, Any], root: Any) -> tuple[_Found, dict[tuple[str, ...], _Found]]:
    """Return what a file says to every command, and what to single ones by their names."""
    shared = _Found()
    tables: dict[tuple[str, ...], _Found] = {}
    commands = root.commands
    for key, value in document.items():
        if not isinstance(value, dict):
            shared.options[key] = value
            continue
        inner = getattr(commands.get(key), "commands", {})
        rest = {name: part for name, part in value.items() if not (isinstance(part, dict) and name in inner)}
        for name in value.keys() - rest.keys():
            tables[key, name] = _of_command(path, f"{key}.{name}", value[name])
        if key in Sections.known:
            if rest or not value:
                shared.settings[key] = rest
        elif key in commands and not inner:
            tables[(key,)] = _of_command(path, key, value)
        elif rest or not inner:
            known = [*Sections.known, *commands]
            raise LlmguideError(
                f"{path}: [{key}] is neither a command nor one of the settings "
                f"({', '.join(Sections.known)}){did_you_mean(key, known)}"
                if not inner
                else f"{path}: [{key}] holds the tables of its commands only: {', '.join(inner)}"
            )
    return shared, tables


def _of_command(path: Path, name: str, table: Mapping[str, Any]) -> _Found:
    found = _Found()
    for key, value in table.items():
        if not isinstance(value, dict):
            found.options[key] = value
        elif key in Sections.known:
            found.settings[key] = value
        else:
            raise LlmguideError(
                f"{path}: [{name}.{key}] is none of the settings ({', '.join(Sections.known)})"
                f"{did_you_mean(key, Sections.known)}"
            )
    return found


def _keys_of(root: Any, words: Iterable[str]) -> tuple[set[str], tuple[str, ...]]:
    """Return the keys of a command, and the sections of its settings."""
    command = root
    for word in words:
        command = command.commands[word]
    entries = entries_of(command)
    keys = {key for entry in entries.values() for key in (entry.key, entry.opposite) if key is not None}
    return keys, entries[SET].sections if SET in entries else ()


def _unknown(where: str, key: str, command: str, known: Iterable[str]) -> LlmguideError:
    if key == "config":
        return LlmguideError(f"{where}: a file cannot name another one; give --config on the command line")
    if _SECRET.search(key):
        return LlmguideError(
            f"{where}: secrets are read from the environment (OPENAI_API_KEY), never from a file; remove it there"
        )
    hint = did_you_mean(key, known) or f"; `llmguide config {command}` prints what there is"
    return LlmguideError(f"{where}: `llmguide {command}` has no option of that name{hint}")


def _value(where: str, entry: Entry, key: str, value: Any) -> Any:
    """Return a value as the command line has it."""
    if entry.many:
        return [_one(where, entry, entry.kinds[0], part) for part in (value if isinstance(value, list) else [value])]
    if len(entry.kinds) > 1:
        if not isinstance(value, list) or len(value) != len(entry.kinds):
            raise LlmguideError(f"{where}: expected a list of {len(entry.kinds)}, got {_told(value)}")
        return tuple(_one(where, entry, kind, part) for kind, part in zip(entry.kinds, value, strict=True))
    if isinstance(value, list) and entry.listed:
        return ",".join(_one(where, entry, str, part) for part in value)
    found = _one(where, entry, entry.kinds[0], value)
    return not found if key == entry.opposite else found


def _one(where: str, entry: Entry, kind: type, value: Any) -> Any:
    fits: Any = {bool: bool, int: int, float: (int, float), str: (str, int, float, datetime.date), Path: str}[kind]
    if not isinstance(value, fits) or (isinstance(value, bool) and kind is not bool):
        listed = ", or a list" if entry.listed else ""
        raise LlmguideError(f"{where}: expected {_KINDS[kind]}{listed}, got {_told(value)}")
    for bound, broken, word in ((entry.low, "<", "at least"), (entry.high, ">", "at most")):
        if bound is not None and (value < bound if broken == "<" else value > bound):
            raise LlmguideError(f"{where}: expected {word} {bound:g}, got {value}")
    return Path(value).expanduser() if kind is Path else value if kind in (bool, int) else kind(value)


def _told(value: Any) -> str:
    """Return what a value is; texts are not repeated where they are long."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value!r}" if len(value) <= 40 else "a text"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "a table"
    return f"a {type(value).__name__}"


def _is_numbers(default: Any) -> bool:
    """Return whether an option's default is a text of numbers, as that of --seeds."""
    return isinstance(default, str) and re.fullmatch(r"[\d.]+(,[\d.]+)*", default) is not None
