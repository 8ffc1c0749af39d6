"""Every error and warning that llmguide raises on purpose.

    LlmguideError
    ├── DataError        bars, or other data, that cannot be used
    ├── GuidanceError    a guidance table that cannot be used
    ├── ModelError       an agent or checkpoint that cannot be used
    ├── BudgetError      a spending limit would be exceeded
    ├── AuditError       code that cannot be audited
    ├── JournalError     the journal of a live run that cannot be used, or a run that departs from it
    ├── LanguageModelError        a language model that could not be asked, or whose answer cannot be used
    │   ├── EndpointError         no answer: not reached, not allowed, no such model
    │   ├── MissingAnswers        the cache lacks an answer that a replay needs
    │   └── ReplyError            an answer that cannot be used; `reply` is its raw text
    │       ├── RefusedError      the model declined
    │       ├── TruncatedError    it reached the limit of tokens and was cut off
    │       ├── FilteredError     a content filter stopped it
    │       ├── EmptyReplyError   there is no text in it
    │       ├── InvalidReplyError it does not fit the schema
    │       └── OutOfRangeError   it fits, but a number in it is not finite or out of range
    └── MissingExtra     an optional dependency is not installed

Messages are one sentence each on: what was expected, what came, what to do.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from functools import partial
from typing import Any

__all__ = [
    "AuditError",
    "BudgetError",
    "DataError",
    "DataWarning",
    "EmptyReplyError",
    "EndpointError",
    "FilteredError",
    "GuidanceError",
    "InvalidReplyError",
    "JournalError",
    "LanguageModelError",
    "LlmguideError",
    "MissingAnswers",
    "MissingExtra",
    "ModelError",
    "OutOfRangeError",
    "RefusedError",
    "ReplyError",
    "RunWarning",
    "TruncatedError",
    "did_you_mean",
    "warn_always",
]


class LlmguideError(Exception):
    """Base class of every error that llmguide raises on purpose.

    Its message says what was expected, what came, and what to do.
    """


class DataError(LlmguideError):
    """Bars, or other data, that cannot be used."""


class GuidanceError(LlmguideError):
    """A guidance table, or a provider's setting, that cannot be used."""


class ModelError(LlmguideError):
    """An agent, a checkpoint or a training setting that cannot be used."""


class AuditError(LlmguideError):
    """Code that cannot be audited: it fails on the bars as they are."""


class BudgetError(LlmguideError):
    """A spending limit would be exceeded; nothing was sent."""


class JournalError(LlmguideError):
    """The journal of a live run cannot be used, or the run departs from it."""


class LanguageModelError(LlmguideError):
    """A language model could not be asked, or its answer cannot be used."""


class EndpointError(LanguageModelError):
    """No answer came: the endpoint was not reached, refused the request, or does not know the model.

    Attributes:
        status: HTTP status of its response; None where there was no response.
        parameter: the request's parameter that it refused, "" where it named none.
    """

    def __init__(self, message: str, *, status: int | None = None, parameter: str = "") -> None:
        super().__init__(message)
        self.status, self.parameter = status, parameter

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), status=self.status, parameter=self.parameter), (str(self),)


class TimedOutError(EndpointError):
    """No answer came in time."""


class MissingAnswers(LanguageModelError):
    """The cache lacks an answer that a replay needs."""


class ReplyError(LanguageModelError):
    """An answer of a language model that cannot be used.

    Attributes:
        reply: the raw text of the answer.
    """

    def __init__(self, message: str, *, reply: str) -> None:
        super().__init__(message)
        self.reply = reply

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), str(self), self.reply)


class RefusedError(ReplyError):
    """The model declined to answer."""


class TruncatedError(ReplyError):
    """The answer reached the limit of tokens and was cut off."""


class FilteredError(ReplyError):
    """A content filter stopped the answer."""


class EmptyReplyError(ReplyError):
    """The model's answer has no text."""


class InvalidReplyError(ReplyError):
    """The answer does not fit the schema that was asked for."""


class OutOfRangeError(ReplyError):
    """The answer fits the schema, but a number in it is not finite or out of range."""


def _restore(kind: type[ReplyError], message: str, reply: str) -> ReplyError:
    return kind(message, reply=reply)


class MissingExtra(LlmguideError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is needed for this; install it with: pip install 'llmguide[{extra}]'")


class DataWarning(UserWarning):
    """Something unusual in the data that was kept or repaired, with its count."""


class RunWarning(DataWarning):
    """The same of one backtest, which may be one of many that differ in their numbers only."""


def warn_always(message: str) -> None:
    """Warn the caller of the caller with `message`, a DataWarning, even where the same was said there before.

    It is about other data then, and Python alone would tell it once.
    """
    frame = sys._getframe(2)
    module = frame.f_globals.get("__name__")
    warnings.warn_explicit(message, DataWarning, frame.f_code.co_filename, frame.f_lineno, module)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'close'?"`` for the name among `known` that is nearest to `name`, or an empty string."""
    names = {str(k).lower(): str(k) for k in known}
    near = difflib.get_close_matches(str(name).lower(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""
