"""``--set``: settings of what is trained that have no option of their own, such as ``agent.learning_rate=3e-4``."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from llmguide.errors import LlmguideError, ModelError, did_you_mean

if TYPE_CHECKING:
    from llmguide.rl.config import DQNConfig
    from llmguide.rl.flag.config import FlagConfig

__all__ = [
    "AS_PUBLISHED",
    "OPTIONS",
    "SET",
    "AgentSettings",
    "FlagSettings",
    "Sections",
    "Settings",
    "defaults_of",
    "merge",
    "word_of",
]

_Config = TypeVar("_Config")

SET = "assignments"
"""The parameter of ``--set``."""

OPTIONS: dict[str, dict[str, str]] = {
    "agent": {name: name for name in ("cash", "cost", "discount", "tau", "agreement", "actions", "raw_prices")}
    | {"smoothing": "raw_bars"},
    "flag": {name: name for name in ("steps", "algorithm")},
}
"""Settings that an option of some commands says too, by the option's parameter."""


@dataclass(frozen=True)
class Sections:
    """The sections of settings that a command takes by ``--set``, in the annotation of that option."""

    names: tuple[str, ...]
    known: ClassVar[tuple[str, ...]] = tuple(OPTIONS)


def _option(*names: str) -> Any:
    words = " or ".join(f"{name}.NAME=VALUE" for name in names)
    example = "agent.learning_rate=3e-4" if "agent" in names else "flag.learning_rate=1e-4"
    return typer.Option(
        "--set",
        metavar=words.replace(" or ", "|"),
        help=f"Training setting by name, such as {example}; repeat for each. `llmguide config` lists them.",
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What --set gives to a command whose agents are double DQNs, or language models that are trained to trade."""

    assignments: Annotated[list[str] | None, _option("agent", "flag"), Sections(("agent", "flag"))] = None
    sections: ClassVar[tuple[str, ...]] = ("agent", "flag")

    def __post_init__(self) -> None:
        """Refuse what is no setting of these sections, before anything is read."""
        _parsed(self.assignments or (), self.sections)

    def of(self, section: str) -> dict[str, Any]:
        """Return the settings of a section by name."""
        found = _parsed(self.assignments or (), self.sections)
        return {name: value for (of, name), value in found.items() if of == section}

    def agent(self, **options: Any) -> DQNConfig:
        """Return the settings of the double DQN: those of the command's options, and over them those of --set."""
        from llmguide.rl.config import DQNConfig

        return _made("agent", DQNConfig, options, self.of("agent"))

    def flag(self, **options: Any) -> FlagConfig:
        """Return the settings of a language model's training, like `agent`."""
        from llmguide.rl.flag.config import FlagConfig

        return _made("flag", FlagConfig, options, self.of("flag"))


@dataclass(frozen=True, kw_only=True)
class AgentSettings(Settings):
    """What --set gives to a command whose agents are double DQNs."""

    assignments: Annotated[list[str] | None, _option("agent"), Sections(("agent",))] = None
    sections: ClassVar[tuple[str, ...]] = ("agent",)


@dataclass(frozen=True, kw_only=True)
class FlagSettings(Settings):
    """What --set gives to a command that trains language models."""

    assignments: Annotated[list[str] | None, _option("flag"), Sections(("flag",))] = None
    sections: ClassVar[tuple[str, ...]] = ("flag",)


def defaults_of(section: str) -> dict[str, Any]:
    """Return the settings of a section by name, with their defaults; what is itself made of settings is left out."""
    return {name: getattr(_kind(section)(), name) for name in _types(section)}


def word_of(section: str, name: str, value: Any, where: str) -> str:
    """Return a setting of a file as a word of --set; LlmguideError where it is not known, or of another type."""
    hint = _hint(section, name, where)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        bool: isinstance(value, bool),
        int: number and isinstance(value, int),
        float: number,
    }.get(hint, isinstance(value, str))
    if not fits:
        raise LlmguideError(f"{where}: expected {_expected(hint)}, got {value!r}")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    _parse(section, name, text, where)
    return f"{section}.{name}={text}"


def merge(file: list[str], line: list[str], sources: Mapping[str, str]) -> list[str]:
    """Return the words of --set of a file and of the command line, which goes before it, as options do.

    `sources` says of the command's options where they come from. A setting that an option of the command says too is
    said by whichever is on the command line; LlmguideError where both are, or both in the file.
    """
    for word in (*file, *line):
        name = word.partition("=")[0].strip()
        section, _, setting = name.partition(".")
        option = OPTIONS.get(section, {}).get(setting)
        said = None if option is None else sources.get(option)
        if option is not None and said == ("COMMANDLINE" if word in line else "DEFAULT_MAP"):
            raise LlmguideError(f"{name} and --{option.replace('_', '-')} are the same setting; give one of them")
    given = {word.partition("=")[0].strip() for word in line}
    kept = []
    for word in file:
        name = word.partition("=")[0].strip()
        section, _, setting = name.partition(".")
        if name not in given and sources.get(OPTIONS.get(section, {}).get(setting, "")) != "COMMANDLINE":
            kept.append(word)
    return [*kept, *line]


def _made(section: str, kind: Callable[..., _Config], options: dict[str, Any], settings: dict[str, Any]) -> _Config:
    try:
        return kind(**options | settings)
    except ModelError as error:
        message = str(error)
        own = message.split(" ", 1)[0] in settings
        raise ModelError(f"{section}.{message}" if own else message) from None


def _parsed(words: Any, sections: tuple[str, ...]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for word in words:
        name, sign, text = word.partition("=")
        section, dot, setting = name.strip().partition(".")
        example = "agent.discount=0.9" if "agent" in sections else "flag.discount=0.9"
        if not (sign and dot):
            raise LlmguideError(f"expected --set SECTION.NAME=VALUE, such as {example}, got {word!r}")
        if section not in sections:
            hint = did_you_mean(section, sections) or f"; this command has {', '.join(sections)}"
            raise LlmguideError(f"--set {name.strip()}: unknown section {section!r}{hint}")
        where = f"--set {name.strip()}"
        value = _parse(section, setting, text.strip(), where)
        if (section, setting) in found:
            raise LlmguideError(f"{where} is given twice; keep one of them")
        found[section, setting] = value
    return found


def _parse(section: str, name: str, text: str, where: str) -> Any:
    """Return the value of a setting, of its own type."""
    hint = _hint(section, name, where)
    try:
        if hint is bool:
            return {"true": True, "false": False}[text.lower()]
        if hint in (int, float):
            return hint(text)
    except (KeyError, ValueError):
        raise LlmguideError(f"{where}: expected {_expected(hint)}, got {text!r}") from None
    choices = get_args(hint)
    if choices and text not in choices:
        raise LlmguideError(f"{where}: expected {_expected(hint)}, got {text!r}{did_you_mean(text, choices)}")
    return text


def _expected(hint: Any) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(hint) or " or ".join(get_args(hint))


def _hint(section: str, name: str, where: str) -> Any:
    known = _types(section)
    if name not in known:
        hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        raise LlmguideError(f"{where}: unknown setting {name!r} of {section}{hint}")
    return known[name]


def _types(section: str) -> dict[str, Any]:
    """Return the settings of a section by name, with their types: bool, int, float, or a Literal of texts."""
    kind = _kind(section)
    hints = get_type_hints(kind)
    found = {}
    for part in fields(kind):
        hint = hints[part.name]
        if get_origin(hint) in (Union, types.UnionType):
            (hint,) = (one for one in get_args(hint) if one is not type(None))
        if hint in (bool, int, float) or get_origin(hint) is Literal:
            found[part.name] = hint
    return found


def _kind(section: str) -> Any:
    if section == "agent":
        from llmguide.rl.config import DQNConfig

        return DQNConfig
    from llmguide.rl.flag.config import FlagConfig

    return FlagConfig


AS_PUBLISHED = AgentSettings()
