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

__all__ = ["CONFIG", "CONFIG_FILE", "Entry", "entries_of", "read_options"]

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
    shared, tables = _split(path, _load(path), root)
    own = tables.pop(tuple(words), _Found())
    reader = _Reader(path, " ".join(words), entries_of(command))
    others_of_file = [_Reader(path, " ".join(other), entries_of(_find(root, other))) for other in tables]
    table = ".".join(words)
    values = reader.options(shared, "", others_of_file) | reader.options(own, f"[{table}] ")
    settings = reader.settings(shared, "", others_of_file) | reader.settings(own, f"{table}.")
    for word in values.get(SET, []):
        name = word.partition("=")[0].strip()
        if name in settings:
            raise LlmguideError(f"{path}: {name} is given twice; keep one of them")
    if settings:
        values[SET] = [*values.get(SET, []), *settings.values()]
    if tables and not values:
        others = ", ".join(" ".join(other) for other in tables)
        raise LlmguideError(f"{path} has no options for `llmguide {' '.join(words)}`, only for {others}")
    return values


@dataclass(frozen=True)
class _Reader:
    """A file, read for one command."""

    path: Path
    command: str
    entries: dict[str, Entry]

    @property
    def keys(self) -> dict[str, Entry]:
        keys = {entry.key: entry for entry in self.entries.values()}
        return keys | {entry.opposite: entry for entry in self.entries.values() if entry.opposite is not None}

    @property
    def sections(self) -> tuple[str, ...]:
        return self.entries[SET].sections if SET in self.entries else ()

    def options(self, found: _Found, where: str, others: Iterable[_Reader] = ()) -> dict[str, Any]:
        """Return the values of options; those that only `others` know are for them."""
        keys = self.keys
        values: dict[str, Any] = {}
        taken: dict[str, str] = {}
        for key, value in found.options.items():
            if key not in keys:
                if any(key in other.keys for other in others):
                    continue
                raise _unknown(f"{self.path}: {where}{key}", key, self.command, keys)
            entry = keys[key]
            if entry.name in taken:
                raise LlmguideError(
                    f"{self.path}: {where}{key} and {taken[entry.name]} are the same option; keep one of them"
                )
            taken[entry.name] = key
            values[entry.name] = _value(f"{self.path}: {where}{key}", entry, key, value)
        return values

    def settings(self, found: _Found, where: str, others: Iterable[_Reader] = ()) -> dict[str, str]:
        """Return settings by name as words of --set; those that only `others` have are for them."""
        words = {}
        for section, given in found.settings.items():
            place = f"{self.path}: [{where}{section}]"
            if section not in self.sections:
                if any(section in other.sections for other in others):
                    continue
                raise LlmguideError(f"{place} holds settings that `llmguide {self.command}` does not have")
            for name, value in given.items():
                words[f"{section}.{name}"] = word_of(section, name, value, f"{place} {name}")
        return words


def _load(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".json":
        raise LlmguideError(
            f"--config takes TOML, got {path}; of a run folder give {CONFIG_FILE}: the .json beside it is a "
            "record of the run"
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
        hint = "; a key and a table cannot share a name: move the key into the table of its command" if twice else ""
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
                else f"{path}: [{key}] may only hold the tables of its commands: {', '.join(inner)}"
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


def _find(root: Any, words: Iterable[str]) -> Any:
    """Return a command by its name."""
    for word in words:
        root = root.commands[word]
    return root


def _unknown(where: str, key: str, command: str, known: Iterable[str]) -> LlmguideError:
    if key == "config":
        return LlmguideError(f"{where}: a file cannot include another; give --config on the command line")
    if _SECRET.search(key):
        return LlmguideError(
            f"{where}: secrets are read from the environment (OPENAI_API_KEY), never from a file; remove it there"
        )
    hint = did_you_mean(key, known) or f"; `llmguide config {command}` lists the options"
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
