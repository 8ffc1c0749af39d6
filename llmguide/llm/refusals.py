"""What the error body of an endpoint refuses: a prompt that its content filter stopped, or one parameter of a request.

Only clear codes and wordings count: an error that merely mentions a filter or a parameter stays an error.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["BOUNDS", "DISPENSABLE", "LIMIT", "about_bounds", "is_filtered", "refused_parameter"]

DISPENSABLE = ("temperature", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort")
"""What a question may be asked without, once an endpoint has refused it."""

LIMIT = "max_tokens"
"""Where it is refused, the limit of the reply is sent as max_completion_tokens."""

BOUNDS = "bounds"
"""Stands for the schema's bounds on lengths, among what an endpoint does not take."""

_FILTERED = {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
_UNSUPPORTED = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
_WORDS = re.compile(
    r"unsupported (?:parameter|value)|not supported|does not support|unrecognized|unknown (?:parameter|field|argument)"
    r"|extra (?:fields|inputs) (?:are )?not permitted|unknown name|deprecated for this model",
    re.IGNORECASE,
)


_BOUNDS_WORDS = re.compile(r"max_?length|max_?items|keyword|invalid schema|unsupported schema", re.IGNORECASE)
_SCHEMA_WORDS = re.compile(r"json_?schema|response_?format|structured output", re.IGNORECASE)


def about_bounds(message: str) -> bool | None:
    """Return whether a refusal is about lengths in a schema (True), about something else (False), or does not say."""
    if _BOUNDS_WORDS.search(message):
        return True
    return False if _SCHEMA_WORDS.search(message) or "logprob" in message.lower() else None


def is_filtered(body: object) -> bool:
    """Return whether the JSON of an error says, by its code, that a content filter stopped the prompt."""
    error = _error(body)
    inner = error.get("innererror")
    codes = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    return any(isinstance(code, str) and code.lower() in _FILTERED for code in codes)


def refused_parameter(body: object) -> str:
    """Return the parameter that the JSON of an error of status 400 or 422 does not take; "" where it names none."""
    names = (*DISPENSABLE, LIMIT)
    error = _error(body)
    text = json.dumps(body, default=str)
    if error.get("code") not in _UNSUPPORTED and not _WORDS.search(text):
        return ""
    if isinstance(error.get("param"), str):
        return error["param"] if error["param"] in names else ""
    found = [(place.start(), name) for name in names if (place := re.search(rf"\b{name}\b", text))]
    return min(found)[1] if found else ""


def _error(body: object) -> dict[str, Any]:
    if isinstance(body, list) and body:  # Gemini's
        body = body[0]
    if not isinstance(body, dict):
        return {}
    error = body.get("error", body)
    return error if isinstance(error, dict) else {}
