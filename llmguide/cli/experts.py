"""Experts of a mixture as words of the command line, such as ``gpt=guidance.parquet`` and ``trend=ma:5,20``.

| word | expert |
|---|---|
| hold | long at every bar |
| FILE.parquet, FILE.csv | a guidance table |
| FILE.safetensors | a trained agent, or a policy that reads; ``,guidance=FILE`` for one trained with guidance |
| rules | guidance by rules, asked for month by month |
| ma:SHORT,LONG | trend following by two moving averages |
| reversion:SHORT,LONG | mean reversion by two moving averages |

``NAME=`` in front gives it a name; else it is called after its file, or after what it does. Options behind it, each
after a comma: ``since=DATE``, the first bar that it was not made from; ``m0=`` and ``n0=``, its prior; of a policy
``base=``, the language model that it was trained on, where that is another one than the others'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmguide.errors import LlmguideError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from llmguide.guidance import Guidance
    from llmguide.mixture import Expert
    from llmguide.sources.tables import Tables
    from llmguide.states.factors import Factors

__all__ = ["FORMS", "parse_experts", "refuse_silent"]

FORMS = (
    "hold, rules, a guidance table (.parquet, .csv), a checkpoint (.safetensors), ma:SHORT,LONG or reversion:SHORT,LONG"
)
_OPTIONS = ("since", "m0", "n0", "guidance", "base")
_AVERAGES = {"ma": "trend", "reversion": "reversion"}
_NAME = re.compile(r"(?P<name>[^=/\\:.,]+)=(?P<what>.+)", re.DOTALL)  # a path may have a sign of equality in it too


@dataclass(frozen=True)
class _Word:
    """An --expert taken apart."""

    name: str
    what: str
    options: dict[str, str]


@dataclass
class _Beside:
    """What policies that read need beside their checkpoints, and what of it one of them has taken."""

    base: str | None
    told: dict[str, Any]
    taken: set[str] = field(default_factory=set)

    def policy(self, path: str, base: str | None, guidance: Any) -> Expert:
        """Return the expert that a policy's checkpoint stands for, with what its states tell of."""
        from llmguide.mixture import FollowPolicy
        from llmguide.rl.flag.checkpoint import read_trained

        template = read_trained(path).template
        told = {name: value for name, value in self.told.items() if value is not None and template.can_tell(name)}
        self.taken |= {"base"} if base is None else set()
        self.taken |= told.keys()
        return FollowPolicy(path, base or self.base, guidance, **told)

    def refuse_unread(self) -> None:
        """Refuse what was given, and no expert reads."""
        for name, value in {"base": self.base, **self.told}.items():
            if value is not None and name not in self.taken:
                raise LlmguideError(
                    f"--{name} is for experts that read, the checkpoints of `llmguide flag train`"
                    + ("" if name == "base" else " whose template tells it")
                    + ", and there is none; leave it out"
                )


def parse_experts(
    words: Sequence[str],
    *,
    any_bars: bool = False,
    base: str | None = None,
    factors: Factors | None = None,
    tables: Tables | None = None,
) -> dict[str, Expert]:
    """Return the experts that the words of --expert stand for, by name; files are read.

    Args:
        words: see above.
        any_bars: use guidance tables on other bars than their own.
        base: the language model that policies were trained on, where their words do not say.
        factors, tables: what policies read, those whose states tell of it.

    Raises LlmguideError, naming the expert, for an unknown form or option, a name that is given twice, and files that
    cannot be used; also for a base, factors or tables that no expert reads. GuidanceError and ModelError as reading
    them does.
    """
    from llmguide.mixture.experts import naming

    beside = _Beside(base, {"factors": factors, "tables": tables})
    experts: dict[str, Expert] = {}
    for word in map(_taken_apart, words):
        if word.name in experts:
            raise LlmguideError(
                f"two experts are called {word.name!r}; give one of them another name, as in --expert other={word.what}"
            )
        with naming(word.name):
            experts[word.name] = _expert(word, any_bars, beside)
    beside.refuse_unread()
    return experts


def refuse_silent(sides: pd.DataFrame) -> None:
    """Refuse experts that have no opinion on any of the bars to trade, whose sides these are."""
    for name, said in sides.items():
        if said.isna().all():
            raise LlmguideError(
                f"the expert {name!r} has no opinion on any bar from {sides.index[0].date()} to "
                f"{sides.index[-1].date()}: its record begins later, or it needs more bars before them; leave it out, "
                "or give --history"
            )


def _taken_apart(text: str) -> _Word:
    named = _NAME.fullmatch(text)
    what, *given = re.split(r",\s*(?=\w+=)", named["what"] if named else text)
    options: dict[str, str] = {}
    for option in given:
        key, _, value = option.partition("=")
        if key not in _OPTIONS:
            raise LlmguideError(
                f"--expert {text} has an unknown option {key!r}; known: {', '.join(_OPTIONS)}"
                f"{did_you_mean(key, _OPTIONS)}"
            )
        if key in options:
            raise LlmguideError(f"--expert {text} has {key} twice; give it once")
        options[key] = value
    what = what.strip()
    name = named["name"].strip() if named else _usual_name(what)
    if not name or not what:
        raise LlmguideError(
            f"--expert is NAME=EXPERT, such as gpt=guidance.parquet, got {text!r}; an expert is {FORMS}"
        )
    return _Word(name, what, options)


def _usual_name(what: str) -> str:
    kind = what.partition(":")[0]
    return _AVERAGES.get(kind) or Path(what).stem


def _expert(word: _Word, any_bars: bool, beside: _Beside) -> Expert:
    """Return what one word stands for."""
    from llmguide.mixture import FollowAgent, FollowGuidance, FollowProvider, Hold
    from llmguide.mixture.experts import is_policy

    what, suffix = word.what, Path(word.what).suffix.lower()
    kind, sign, windows = what.partition(":")
    reads = suffix == ".safetensors" and is_policy(what)
    if "guidance" in word.options and suffix != ".safetensors":
        raise LlmguideError("only an agent that was trained with guidance takes ,guidance=FILE; leave it out")
    if "base" in word.options and not reads:
        raise LlmguideError("only a policy that reads has a language model, ,base=FILE; leave it out")
    expert: Expert
    if what == "hold":
        expert = Hold()
    elif what == "rules":
        expert = FollowProvider("rules")
    elif what in ("llm", "replay"):
        raise LlmguideError(
            f"ask a language model first, with `llmguide guide --provider {what}`, which takes its settings; then give "
            f"what it wrote, as in --expert {word.name}=guidance.parquet"
        )
    elif sign and kind in _AVERAGES:
        expert = _averages(_AVERAGES[kind], windows, what)
    elif reads:
        expert = beside.policy(what, word.options.get("base"), _guidance_of(word.options, any_bars))
    elif suffix == ".safetensors":
        expert = FollowAgent(_agent(what, "guidance" in word.options), _guidance_of(word.options, any_bars))
    elif suffix in (".parquet", ".csv"):
        expert = FollowGuidance(_table(what, any_bars))
    else:
        kinds = ("hold", "rules", *(f"{name}:" for name in _AVERAGES))
        raise LlmguideError(f"{what!r} is none of {FORMS}{did_you_mean(what, kinds)}")
    return replace(expert, since=word.options.get("since"), prior=_prior(expert, word.options))


def _averages(rule: Any, windows: str, what: str) -> Expert:
    from llmguide.mixture import MovingAverages

    try:
        short, long = (int(part) for part in windows.split(","))
    except ValueError:
        raise LlmguideError(
            f"two windows in bars are expected, as in {what.partition(':')[0]}:5,20, got {what!r}"
        ) from None
    return MovingAverages(short, long, rule)


def _agent(path: str, guided: bool) -> Any:
    from llmguide.errors import ModelError
    from llmguide.rl.checkpoint import load_agent

    agent = load_agent(path)
    if agent.guided and not guided:
        raise ModelError(f"{path} was trained with guidance; say what it observes, as in {path},guidance=FILE")
    if guided and not agent.guided:
        raise ModelError(f"{path} was trained without guidance, and observes none; leave ,guidance= out")
    return agent


def _table(path: str, any_bars: bool) -> Guidance:
    from llmguide.guidance import Guidance

    table = Guidance.read(path)
    return table.of_any_bars() if any_bars else table


def _guidance_of(options: dict[str, str], any_bars: bool) -> Any:
    """Return the guidance that an agent observes: a table, the rules, or none."""
    from llmguide.mixture import FollowProvider

    path = options.get("guidance")
    if path is None:
        return None
    return FollowProvider("rules") if path == "rules" else _table(path, any_bars)


def _prior(expert: Expert, options: dict[str, str]) -> Any:
    """Return the prior that is asked for; None where none is."""
    from llmguide.mixture import Prior

    if not {"m0", "n0"} & options.keys():
        return None
    usual = expert.belief
    try:
        mean, count = (float(options.get(key, value)) for key, value in (("m0", usual.mean), ("n0", usual.count)))
    except ValueError:
        raise LlmguideError("m0 and n0 are numbers: a mean result a bar, such as 0.03, and bars, such as 252") from None
    return Prior(mean, count)
