"""Options that go together, as one value: a command takes the value, and its users the options that it is made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from llmguide.cli.options import (
    Algorithm,
    AllMonths,
    BarFiles,
    BaseModel,
    BaseUrl,
    Budget,
    CacheFile,
    Frozen,
    InFlight,
    InsteadOfFiles,
    Levels,
    LoraRank,
    Model,
    ModelFile,
    PricesFile,
    SettingsFile,
    Split,
    StateTemplateName,
    Steps,
    Strict,
    Symbol,
    Symbols,
)
from llmguide.errors import LlmguideError

if TYPE_CHECKING:
    from llmguide.cli.settings import Settings
    from llmguide.rl.flag.plan import FlagPlan
    from llmguide.trading.flag_rules import FlagRules

__all__ = ["Endpoint", "Instruments", "LanguagePolicy", "Limits", "grouped"]


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


@dataclass(frozen=True, kw_only=True)
class LanguagePolicy:
    """Which language model is trained to trade, and how."""

    base: BaseModel = None
    frozen: Frozen = None
    lora_rank: LoraRank = 0
    steps: Steps = None
    template: StateTemplateName = "flag"
    algorithm: Algorithm = "ppo"

    def plan(self, settings: Settings, rules: FlagRules | None = None) -> FlagPlan:
        """Return what is said, with the settings of --set, as a plan; LlmguideError where no model is named."""
        from llmguide.rl.flag.plan import FlagPlan
        from llmguide.rl.flag.policy import PolicyConfig

        if self.base is None:
            raise LlmguideError(
                "say which language model with --base: a GGUF file, a folder, a name on the Hugging Face hub such as "
                "HuggingFaceTB/SmolLM2-135M-Instruct, or tiny, one with random weights that is for trying out"
            )
        given = {name: value for name, value in (("steps", self.steps), ("rules", rules)) if value is not None}
        config = settings.flag(algorithm=self.algorithm, **given)
        return FlagPlan(self.base, PolicyConfig(frozen=self.frozen, lora_rank=self.lora_rank), config, self.template)

    def plan_of(self, arms: Sequence[str], settings: Settings) -> FlagPlan | None:
        """Return the plan of the arm flag; None where it is not among the arms, and nothing was said of it."""
        if "flag" in arms:
            return self.plan(settings)
        for name in settings.of("flag"):
            raise LlmguideError(f"--set flag.{name} is for the arm flag; add it with --arms, or leave it out")
        usual = LanguagePolicy()
        for part in fields(self):
            if getattr(self, part.name) != getattr(usual, part.name):
                option = f"--{part.name.replace('_', '-')}"
                raise LlmguideError(f"{option} is for the arm flag; add it with --arms, or leave {option} out")
        return None


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
