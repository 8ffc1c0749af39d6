"""A raw reply read: first the `Completion`, then the object that a schema describes, or a typed error with the reply.

Reading is tolerant of what an endpoint leaves out (usage, fingerprint, log-probabilities) and strict about what it
says: the text must be one JSON object that fits, nothing is filled in, rounded or repaired.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from llmguide.errors import (
    EmptyReplyError,
    FilteredError,
    InvalidReplyError,
    OutOfRangeError,
    RefusedError,
    TruncatedError,
)
from llmguide.llm.protocol import Completion, TokenLogprob, Usage
from llmguide.llm.refusals import is_filtered

__all__ = [
    "THINKING",
    "UNKNOWN",
    "field_span",
    "object_span",
    "read_body",
    "read_completion",
    "read_object",
    "read_usage",
    "repeats_itself",
]

THINKING = re.compile(r"<(/?)(?:think|thinking|reasoning)>|\[(/?)THINK\]")
"""Marks around what a model thinks aloud, where the server leaves it in the text; a slash ends it."""

UNKNOWN = -9999.0
"""What an endpoint says for a log-probability it does not tell, and what stands for null and NaN."""

_LEAST_REPEATED = 100  # characters: what is shorter, as blanks, dots and figures, may well be meant
_MOST_REPEATED = 6000  # characters that are looked at

_MOST_TOKENS = 2**40  # a count beyond it is no count, and its sums would not fit into the ledger

T = TypeVar("T", bound=BaseModel)

_SPACE = re.compile(r"[ \t\r\n]*")
_OUT_OF_RANGE = {
    "finite_number",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "multiple_of",
}


@lru_cache(maxsize=1)  # a body is looked at for an error first, and then read at once
def read_body(body: str) -> Any:
    """Return what the JSON of a reply's body holds, not to be changed; ValueError or RecursionError for no JSON."""
    return json.loads(body)


def read_completion(body: str) -> Completion:
    """Return the completion that a chat completion's JSON body holds.

    `tokens` are those of the text; a refusal's own are not read. Raises InvalidReplyError where the body is no chat
    completion, EmptyReplyError where it has no choices, FilteredError where it says that the prompt was filtered.
    """
    try:
        fields = read_body(body)
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict) and not fields.get("choices") and is_filtered(fields):
        raise FilteredError("a content filter stopped the prompt", reply=body)
    if not isinstance(fields, dict) or not isinstance(fields.get("choices"), list):
        raise InvalidReplyError(f"expected the JSON of a chat completion, got {_short(body)}", reply=body)
    if not fields["choices"]:
        raise EmptyReplyError("expected one choice in the chat completion, got none", reply=body)
    choice = fields["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(message.get("content"), str | None):
        raise InvalidReplyError(
            f"expected a choice with a message of text, got {_short(json.dumps(choice))}", reply=body
        )
    text = message.get("content") or ""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidReplyError("expected text in Unicode, got half of a surrogate pair", reply=body)
    return Completion(
        text=text,
        tokens=_read_tokens(choice),
        usage=_read_usage(_mapping(fields.get("usage"))),
        model=str(fields.get("model") or ""),
        fingerprint=str(fields.get("system_fingerprint") or ""),
        finish_reason=str(choice.get("finish_reason") or ""),
        refusal=None if message.get("refusal") is None else str(message["refusal"]),
        raw=body,
    )


def read_usage(body: str) -> Usage:
    """Return the tokens that a reply's body counts; nothing is known of a body that counts none."""
    try:
        fields = _mapping(read_body(body))
    except (ValueError, RecursionError):
        return Usage()
    return _read_usage(_mapping(fields.get("usage")))


def read_object(completion: Completion, kind: type[T], *, strict: bool = True) -> T:
    """Return the object of the schema `kind` that the completion's text holds.

    `strict` wants the text to be the object and nothing else, as structured output gives it. Otherwise words and a
    Markdown fence around the one outermost object are accepted. Values are never converted: "2" is no number. What
    the model thinks aloud before its answer is passed over either way, drafts of the object included.

    Raises RefusedError, FilteredError, TruncatedError or EmptyReplyError where there is no whole text,
    InvalidReplyError where it does not fit, and OutOfRangeError where only numbers in it are not finite or not allowed.
    Messages are short and say what was expected and what came, so that the model can be asked again with them.
    """
    raw, text = completion.raw, completion.text
    if completion.refusal:
        raise RefusedError(f"the model declined: {_short(completion.refusal)}", reply=raw)
    if completion.finish_reason == "content_filter":
        raise FilteredError("a content filter stopped the reply", reply=raw)
    if completion.finish_reason == "length":
        if not text.strip() and not repeats_itself(text):
            thought = f" ({completion.usage.reasoning} of them for thinking)" if completion.usage.reasoning else ""
            raise TruncatedError(
                f"the limit of tokens was spent{thought} before the reply began; raise max_tokens in [sampling]",
                reply=raw,
            )
        again = " in which it repeated itself" if repeats_itself(text) else ""
        raise TruncatedError(f"the reply ended at the limit of tokens, after {len(text)} characters{again}", reply=raw)
    if not text.strip():
        raise EmptyReplyError("expected a JSON object, got no text", reply=raw)
    if strict:
        text = text[_answer_start(text) :]
    else:
        start, end = _outermost_object(text, raw)
        text = text[start:end]
    found = _checked_json(text, raw)
    try:
        value = kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        _raise_misfit(error, raw)
    if _booleans(found) != _booleans(value.model_dump(mode="json")):  # pydantic takes true for a Literal[1]
        raise InvalidReplyError("the reply does not fit the schema: expected numbers, got true or false", reply=raw)
    return value


def repeats_itself(text: str) -> bool:
    """Return whether `text` ends in the same words, signs or blanks over and over: at least three times in a row."""
    text = text[-_MOST_REPEATED:]
    for period in range(1, len(text) // 3 + 1):
        end = text[-max(3 * period, _LEAST_REPEATED) :]
        if len(end) >= _LEAST_REPEATED and end[period:] == end[:-period]:
            return True
    return False


def field_span(text: str, name: str) -> tuple[int, int] | None:
    """Return (start, end) of the value of the top-level key `name` in the JSON object in `text`, in characters.

    A string is meant without its quotes. None where there is no such object, or no such key. The object is walked, not
    searched: an explanation may quote `"direction": "LONG"`.
    """
    span = object_span(text)
    if span is None:
        return None
    decoder, at = json.JSONDecoder(), _skip_space(text, span[0] + 1)
    while text[at] == '"':
        key, at = decoder.raw_decode(text, at)
        at = _skip_space(text, _skip_space(text, at) + 1)  # the colon
        value, end = decoder.raw_decode(text, at)
        if key == name:
            return (at + 1, end - 1) if isinstance(value, str) else (at, end)
        at = _skip_space(text, _skip_space(text, end) + 1)  # the comma, or the closing brace
        if at >= len(text):
            break
    return None


def object_span(text: str) -> tuple[int, int] | None:
    """Return (start, end), in characters, of the one object in `text` that `read_object` reads; None for none or more.

    Objects in what the model thinks aloud before its answer do not count.
    """
    objects = _answers(text)
    return objects[0] if len(objects) == 1 else None


def _read_tokens(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...] | None:
    entries = _mapping(choice.get("logprobs")).get("content")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        return None
    tokens = []
    for entry in entries:
        given = entry.get("top_logprobs")
        top = map(_mapping, given if isinstance(given, list) else [])
        tokens.append(
            TokenLogprob(
                token=_read_bytes(entry),
                logprob=_read_logprob(entry.get("logprob")),
                top=tuple((str(other.get("token", "")), _read_logprob(other.get("logprob"))) for other in top),
            )
        )
    return tuple(tokens)


def _read_bytes(entry: Mapping[str, Any]) -> bytes:
    given = entry.get("bytes")
    if isinstance(given, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in given):
        return bytes(given)
    return str(entry.get("token", "")).encode(errors="replace")


def _read_logprob(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNKNOWN
    return float(value) if UNKNOWN < value < -UNKNOWN else UNKNOWN  # NaN and infinity are not


def _read_usage(usage: Mapping[str, Any]) -> Usage:
    def count(fields: Mapping[str, Any], name: str) -> int | None:
        value = fields.get(name)
        known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
        return value if known else None

    return Usage(
        prompt=count(usage, "prompt_tokens"),
        cached=count(_mapping(usage.get("prompt_tokens_details")), "cached_tokens"),
        completion=count(usage, "completion_tokens"),
        reasoning=count(_mapping(usage.get("completion_tokens_details")), "reasoning_tokens"),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _checked_json(text: str, raw: str) -> dict[str, Any]:
    """Return the object in `text`; refuse what a schema does not show: NaN, infinity, a key that is there twice."""

    def not_finite(literal: str) -> NoReturn:
        raise OutOfRangeError(f"expected finite numbers, got {literal[:40]}", reply=raw)

    def finite(literal: str) -> float:
        number = float(literal)
        return number if math.isfinite(number) else not_finite(literal)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidReplyError(f"expected each key once, got {_short(twice)} more than once", reply=raw)
        return found

    try:
        found = json.loads(text, parse_constant=not_finite, parse_float=finite, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InvalidReplyError(f"expected one JSON object, got {_short(text)} ({error})", reply=raw) from None
    if not isinstance(found, dict):
        raise InvalidReplyError(f"expected one JSON object, got {_short(text)}", reply=raw)
    return found


def _booleans(value: object) -> int:
    if isinstance(value, dict | list):
        return sum(map(_booleans, value.values() if isinstance(value, dict) else value))
    return int(isinstance(value, bool))


def _raise_misfit(error: ValidationError, raw: str) -> NoReturn:
    found = error.errors(include_url=False)
    lines = []
    for detail in found[:5]:
        place = ".".join(map(str, detail["loc"])) or "the object"
        got = "" if detail["type"] == "missing" else f", got {_short(json.dumps(detail['input'], default=str))}"
        lines.append(f"{place}: {detail['msg']}{got}")
    if len(found) > len(lines):
        lines.append(f"and {len(found) - len(lines)} more")
    kind = OutOfRangeError if all(map(_is_out_of_range, found)) else InvalidReplyError
    raise kind("the reply does not fit the schema: " + "; ".join(lines), reply=raw) from None


def _is_out_of_range(detail: ErrorDetails) -> bool:
    if detail["type"] == "literal_error":
        value, expected = detail["input"], str(detail.get("ctx", {}).get("expected", ""))
        return isinstance(value, int | float) and not isinstance(value, bool) and "'" not in expected
    return detail["type"] in _OUT_OF_RANGE


def _outermost_object(text: str, raw: str) -> tuple[int, int]:
    objects = _answers(text)
    if len(objects) != 1:
        came = f"{len(objects)} of them" if objects else _short(text)
        raise InvalidReplyError(f"expected one JSON object, got {came}", reply=raw)
    return objects[0]


def _answers(text: str) -> list[tuple[int, int]]:
    begin = _answer_start(text)
    return [(start, end) for start, end in _objects(text) if start >= begin]


def _answer_start(text: str) -> int:
    """Return where the answer begins: behind the thinking, and at the end of the text where the thinking never ends.

    A mark in a string of an object is only quoted there.
    """
    marks = list(THINKING.finditer(text))
    if not marks:
        return 0
    objects = _objects(text)
    outside = [mark for mark in marks if not any(start <= mark.start() < end for start, end in objects)]
    if not outside:
        return 0
    last = outside[-1]
    return last.end() if last[1] or last[2] else len(text)


def _objects(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of every JSON object in `text` that lies in no other."""
    decoder, found, at = json.JSONDecoder(), [], text.find("{")
    while at >= 0:
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found.append((at, end))
        at = text.find("{", end)
    return found


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _short(text: str, *, limit: int = 120) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= limit else text[:limit] + "...")
