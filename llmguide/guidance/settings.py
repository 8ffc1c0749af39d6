"""A TOML file with what is rarely changed: how replies are generated, and how the Strategist is asked.

    timeout = 120

    [sampling]
    temperature = 0.7
    max_tokens = 1000

    [brief]
    memory = 3
    risk_profile = "cautious: avoids losses first"

    [local]
    context = 16384

What is left out keeps its default.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from llmguide.errors import GuidanceError, did_you_mean
from llmguide.features.levels import check_levels
from llmguide.guidance.news.analyst import LEAST_CONTEXT
from llmguide.guidance.strategist import Brief
from llmguide.llm.local import LocalSettings
from llmguide.llm.protocol import Sampling

__all__ = ["Settings", "read_settings"]

_LEAST = {
    "temperature": 0,
    "frequency_penalty": -2,
    "presence_penalty": -2,
    "top_logprobs": 1,
    "max_tokens": 1,
    "memory": 0,
    "every": 1,
    "first": 1,
    "context_chars": LEAST_CONTEXT,
    "timeout": 1,
    "max_retries": 0,
    "threads": 1,
    "slots": 1,
    "context": 512,
    "gpu_layers": 0,
}
_WHOLE = (
    *("seed", "top_logprobs", "max_tokens", "memory", "context_chars", "every", "first", "max_retries"),
    *("threads", "slots", "context", "gpu_layers"),
)
_PLAIN = ("timeout", "max_retries", "terse")
_TABLES = ("sampling", "brief", "local")
_MOST = {"top_logprobs": 20, "temperature": 2, "frequency_penalty": 2, "presence_penalty": 2, "timeout": 86_400}
_MOST |= {"max_tokens": 1_000_000, "context_chars": 10_000_000, "threads": 1024, "slots": 256, "context": 10_000_000}


class Settings(NamedTuple):
    """The content of a settings file."""

    sampling: Sampling = Sampling()
    brief: Brief = Brief()
    timeout: float = 60.0
    max_retries: int = 5
    terse: bool = False
    local: LocalSettings = LocalSettings()


def read_settings(path: Path | str | None, base: Settings | None = None) -> Settings:
    """Return the settings in a file; those of `base`, by default the library's, where it says nothing.

    A setting of `sampling` that is the text "none" is not sent at all: for endpoints that refuse it.
    Raises GuidanceError, naming file, table and setting, for what is not known or out of range.
    """
    base = base or Settings()
    if path is None:
        return base
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GuidanceError(f"there is no settings file {path}; leave it out to use the defaults") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GuidanceError(f"{path} cannot be read as TOML: {error}") from None
    plain = {name: value for name, value in content.items() if name not in _TABLES}
    top = _checked(
        path, "", plain, {"timeout": base.timeout, "max_retries": base.max_retries, "terse": base.terse}, _TABLES
    )
    sampling = _checked(path, "sampling", content.get("sampling", {}), asdict(base.sampling))
    brief = _checked(path, "brief", content.get("brief", {}), _plain(base.brief))
    local = _checked(path, "local", content.get("local", {}), asdict(base.local))
    return Settings(Sampling(**sampling), Brief(**brief), **top, local=LocalSettings(**local))


def _plain(brief: Brief) -> dict[str, Any]:
    """Return what a file may set: the rest has options of its own."""
    return {name: value for name, value in asdict(brief).items() if name not in ("suppress", "debias", "samples")}


def _checked(
    path: Path | str, table: str, given: Any, defaults: Mapping[str, Any], others: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise GuidanceError(f"{path}: expected a table [{table}], got {given!r}")
    known = (*defaults, *others)
    values = dict(defaults)
    for name, value in given.items():
        where = f"{path}: {f'[{table}] ' if table else ''}{name}"
        if name not in defaults:
            hint = did_you_mean(name, known)
            raise GuidanceError(f"{where}: unknown setting{hint or '; known: ' + ', '.join(known)}")
        if table == "sampling" and value == "none":
            values[name] = None
            continue
        _check(where, name, value, defaults[name])
        values[name] = value
    return values


def _check(where: str, name: str, value: Any, default: Any) -> None:
    if name == "reasoning_effort":
        if not isinstance(value, str) or not value:
            raise GuidanceError(
                f'{where}: expected a text such as "low", or "none" to leave it out of requests, got {value!r}'
            )
        return
    if name == "levels" and isinstance(value, str):
        try:
            check_levels(value)
        except GuidanceError as error:
            raise GuidanceError(f"{where}: {error}") from None
        return
    if default is None and name in ("threads", "slots", "context", "gpu_layers"):
        default = 0
    if isinstance(default, str | bool):
        if type(value) is not type(default) or value == "":
            kind = "a text" if isinstance(default, str) else "true or false"
            raise GuidanceError(f"{where}: expected {kind}, got {value!r}")
        return
    least, most = _LEAST.get(name, -math.inf), _MOST.get(name, math.inf)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(value, int) or name not in _WHOLE
    if not (numeric and whole and least <= value <= most):
        number = "a whole number" if name in _WHOLE else "a number"
        span = (
            f", {least:g} to {most:.10g}" if math.isfinite(most) else f" of at least {least:g}" if least > -9e9 else ""
        )
        raise GuidanceError(f"{where}: expected {number}{span}, got {value!r}")
