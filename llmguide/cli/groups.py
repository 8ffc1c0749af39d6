"""Options that go together, as one value: a command takes the value, and its users the options that it is made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, get_type_hints

from llmguide.cli.options import (
    AllMonths,
    BarFiles,
    BaseUrl,
    Budget,
    CacheFile,
    InFlight,
    InsteadOfFiles,
    Levels,
    Model,
    ModelFile,
    PricesFile,
    SettingsFile,
    Split,
    Strict,
    Symbol,
    Symbols,
)

__all__ = ["Endpoint", "Instruments", "Limits", "grouped"]


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """What the audits of a model ask about: one instrument in files of bars, or those of a folder."""

    files: BarFiles = None
    data: InsteadOfFiles = None
    symbol: Symbol = None
    symbols: Symbols = None
    split: Split = "2018-01-01"
    all_months: AllMonths = False


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Which language model is asked, where, and how."""

    model: Model = "gpt-4o-mini"
    cache: CacheFile = Path("llm.sqlite")
    base_url: BaseUrl = None
    model_file: ModelFile = None
    settings: SettingsFile = None
    levels: Levels = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What asking may cost, how much of it goes on at once, and whether it goes on after an unusable answer."""

    budget: Budget = None
    prices: PricesFile = None
    in_flight: InFlight = 8
    strict: Strict = False


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its groups: the fields of each dataclass that it takes, in that one's place.

    A field is declared as an option is: the annotation says how it is given, and its default is the option's. An option
    that the command has of its own, or by an earlier group, is there once and counts for both: a --strict of the
    endpoint's answers is that of the bars too.
    """
    hints = get_type_hints(command, include_extras=True)
    taken = inspect.signature(command).parameters
    groups = {name: hints[name] for name in taken if is_dataclass(hints[name])}
    own = {name: parameter.replace(annotation=hints[name]) for name, parameter in taken.items() if name not in groups}
    options: dict[str, inspect.Parameter] = {}
    for name in taken:
        here = [own[name]] if name in own else [option for option in _options(groups[name]) if option.name not in own]
        for option in here:
            options.setdefault(option.name, option.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def grouped_command(**given: Any) -> None:
        made = {
            name: group(**{part.name: given[part.name] for part in fields(group)}) for name, group in groups.items()
        }
        command(**{name: given[name] for name in own}, **made)

    del grouped_command.__wrapped__  # the options are read from the signature below, not from the command's own
    grouped_command.__signature__ = inspect.Signature([*options.values()])  # type: ignore[attr-defined]  # as inspect has it
    grouped_command.__annotations__ = {option.name: option.annotation for option in options.values()}
    return grouped_command


def _options(group: type[Any]) -> list[inspect.Parameter]:
    """Return the fields of a group as the parameters of a command."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            part.name, inspect.Parameter.KEYWORD_ONLY, default=_default(part), annotation=hints[part.name]
        )
        for part in fields(group)
    ]


def _default(part: Field[Any]) -> Any:
    return inspect.Parameter.empty if part.default is MISSING else part.default
