"""One door to every provider of guidance, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from llmguide.errors import GuidanceError, did_you_mean
from llmguide.guidance import controls
from llmguide.guidance.schedule import bar_dates, daily_bars
from llmguide.guidance.table import Guidance

if TYPE_CHECKING:
    from llmguide.guidance.language_model import LanguageModel

__all__ = ["PROVIDERS", "Provider", "guide"]

Provider = Callable[[pd.DataFrame], Guidance]
Source = str | Path | Guidance


def guide(
    bars: pd.DataFrame,
    provider: str | Provider = "rules",
    *,
    every: int | None = None,
    first: int | None = None,
    seed: int | None = None,
    accuracy: float | None = None,
    confidence: int | str | None = None,
    direction: int | None = None,
    source: Source | None = None,
    settings: LanguageModel | None = None,
) -> Guidance:
    """Return guidance for bars from a named provider, or from a function of the bars.

    Args:
        bars: as `llmguide.read_bars` returns them. Guidance counts in trading days: of intraday bars the named
            providers see the days, and bars longer than days are refused, since a table of daily bars serves them.
        provider: a function of the bars, such as a `llmguide.LanguageModel`; or one of these names:

            - "rules": a vote of seven technical indicators; takes `every`, `first`.
            - "llm": a language model, whose answers are kept; takes `settings`, or `every`, `first`.
            - "replay": the answers kept, nothing is sent; takes `settings`, or `every`, `first`.
            - "file": a table made before; takes `source`.
            - "oracle": a control, labels made in hindsight; takes `accuracy`, `seed`, `confidence`, `every`, `first`.
            - "shuffled": a control, the rows of `source` in random order; takes `source`, `seed`, or `every`, `first`.
            - "inverted": a control, the directions of `source` flipped; takes `source`, or `every`, `first`.
            - "constant": a control, always the same; takes `direction`, `confidence`, `every`, `first`.
        every: bars from one decision to the next; None, here and below, is the provider's default.
        first: the bar of the first decision, from 0.
        seed: of what the provider draws at random.
        accuracy: share of right directions, in [0, 1].
        confidence: 1, 2 or 3 for "constant"; "constant" or "varying" for "oracle".
        direction: 1 long or 0 short.
        source: a `Guidance`, or the path of one; the rules' guidance where the provider can do without.
        settings: the language model and how it is asked.

    Returns:
        A `Guidance` that remembers the bars; each row was made from bars before its date, except for controls, which
        are marked `uses_future`.

    Raises:
        GuidanceError: an unknown provider, an option that it does not take, a table that does not fit the bars, was
            made from others (see `Guidance.check_bars`), or that no bar can see.
        DataError: bars that cannot be used.
        LanguageModelError: with a language model, an endpoint that cannot be reached, or answers that a replay lacks.
        BudgetError: with a language model, a budget that would be exceeded.
    """
    options = {
        "every": every,
        "first": first,
        "seed": seed,
        "accuracy": accuracy,
        "confidence": confidence,
        "direction": direction,
        "source": source,
        "settings": settings,
    }
    given = {name: value for name, value in options.items() if value is not None}
    days = bar_dates(bars)
    make, taken, name = _find(provider)
    for option in given:
        if option not in taken:
            takes = ", ".join(taken) or "no option"
            raise GuidanceError(f"expected {takes} for the provider {name}, got {option!r}, which it would ignore")
    if source is None and not callable(provider):
        bars = daily_bars(bars)
    guidance = make(bars, **given)
    if not isinstance(guidance, Guidance):
        raise GuidanceError(f"expected a Guidance from the provider {name}, got {type(guidance).__name__}")
    _check_overlap(guidance, days, name)
    if "close" not in bars:
        return guidance
    if source is None:
        return guidance.made_from(bars)
    guidance.check_bars(bars)
    return guidance


class _Entry(NamedTuple):
    make: Callable[..., Guidance]
    options: tuple[str, ...]


def _rules(bars: pd.DataFrame, **schedule: int) -> Guidance:
    from llmguide.guidance.rules import rules  # TA-Lib is loaded by those who use it

    return rules(bars, **schedule)


def _llm(bars: pd.DataFrame, *, settings: LanguageModel | None = None, **schedule: Any) -> Guidance:
    return _language_model(settings, schedule, replay=False)(bars)


def _replay(bars: pd.DataFrame, *, settings: LanguageModel | None = None, **schedule: Any) -> Guidance:
    return _language_model(settings, schedule, replay=True)(bars)


def _language_model(settings: LanguageModel | None, schedule: dict[str, Any], *, replay: bool) -> LanguageModel:
    from llmguide.guidance.language_model import LanguageModel  # and with it what it asks with
    from llmguide.guidance.strategist import Brief

    if settings is None:
        return LanguageModel(brief=replace(Brief(), **schedule), replay=replay)
    if schedule:
        raise GuidanceError(f"expected settings or {' and '.join(schedule)}, got both; settings.brief has the schedule")
    return replace(settings, replay=replay)


def _file(bars: pd.DataFrame, *, source: Source | None = None) -> Guidance:
    if source is None:
        raise GuidanceError("the provider 'file' needs source=, the path of a guidance table")
    return source if isinstance(source, Guidance) else Guidance.read(source)


def _original(bars: pd.DataFrame, source: Source | None, schedule: dict[str, int]) -> Guidance:
    if source is None:
        return _rules(bars, **schedule)
    if schedule:
        raise GuidanceError(f"expected source or {' and '.join(schedule)}, got both; the source has its own dates")
    return _file(bars, source=source)


def _shuffled(bars: pd.DataFrame, *, source: Source | None = None, seed: int = 0, **schedule: int) -> Guidance:
    return controls.shuffled(_original(bars, source, schedule), seed=seed)


def _inverted(bars: pd.DataFrame, *, source: Source | None = None, **schedule: int) -> Guidance:
    return controls.inverted(_original(bars, source, schedule))


_REGISTRY = {
    "rules": _Entry(_rules, ("every", "first")),
    "llm": _Entry(_llm, ("settings", "every", "first")),
    "replay": _Entry(_replay, ("settings", "every", "first")),
    "file": _Entry(_file, ("source",)),
    "oracle": _Entry(controls.oracle, ("accuracy", "seed", "confidence", "every", "first")),
    "shuffled": _Entry(_shuffled, ("source", "seed", "every", "first")),
    "inverted": _Entry(_inverted, ("source", "every", "first")),
    "constant": _Entry(controls.constant, ("direction", "confidence", "every", "first")),
}
PROVIDERS = tuple(_REGISTRY)
"""The names that `guide` takes."""


def _find(provider: str | Provider) -> tuple[Callable[..., Guidance], tuple[str, ...], str]:
    """Return the provider's function, the options that it takes, and its name for messages."""
    if callable(provider):
        return provider, (), getattr(provider, "__name__", repr(provider))
    if provider not in _REGISTRY:
        hint = did_you_mean(provider, PROVIDERS) or "; choose a name or a function"
        if provider == "local":  # the command line's word for it
            hint = "; a model in a file is LanguageModel.local('MODEL.gguf'), or choose a name"
        raise GuidanceError(f"unknown provider {provider!r}{hint}: {', '.join(PROVIDERS)}")
    return *_REGISTRY[provider], repr(provider)


def _check_overlap(guidance: Guidance, days: pd.DatetimeIndex, name: str) -> None:
    if not guidance.rows:
        raise GuidanceError(f"expected guidance from the provider {name}, got a table without rows")
    begin, end = guidance.rows[0].issued_at, guidance.rows[-1].issued_at
    if begin > days[-1].normalize():
        raise GuidanceError(
            f"expected guidance for bars until {days[-1]}, got a first row of {begin}, which no bar can see; "
            "give an earlier table"
        )
    if end < days[0].normalize():
        raise GuidanceError(f"expected guidance for bars from {days[0]}, got a last row of {end}; give a later table")
