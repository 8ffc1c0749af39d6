"""Every error and warning that llmguide raises on purpose.

    LlmguideError
    ├── DataError        bars that cannot be used
    ├── GuidanceError    a guidance table that cannot be used
    ├── ModelError       an agent or checkpoint that cannot be used
    ├── BudgetError      a spending limit would be exceeded
    └── MissingExtra     an optional dependency is not installed

Messages are one sentence each on: what was expected, what came, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BudgetError",
    "DataError",
    "DataWarning",
    "GuidanceError",
    "LlmguideError",
    "MissingExtra",
    "ModelError",
    "did_you_mean",
]


class LlmguideError(Exception):
    """Base of every error that llmguide raises on purpose."""


class DataError(LlmguideError):
    """Bars that cannot be used."""


class GuidanceError(LlmguideError):
    """A guidance table, or a provider's setting, that cannot be used."""


class ModelError(LlmguideError):
    """An agent, a checkpoint or a training setting that cannot be used."""


class BudgetError(LlmguideError):
    """A spending limit would be exceeded."""


class MissingExtra(LlmguideError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is needed for this; install it with: pip install 'llmguide[{extra}]'")


class DataWarning(UserWarning):
    """Something unusual in the data that was kept or repaired, with its count."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'close'?"`` for the known name nearest to `name`, or an empty string."""
    names = {str(k).lower(): str(k) for k in known}
    near = difflib.get_close_matches(str(name).lower(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""
