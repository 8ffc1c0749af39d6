"""What an endpoint can do, found by asking it one tiny question: structured output and log-probabilities.

Endpoints refuse what they cannot do (400, 403, 422, 501), or take it and do nothing. The combinations are tried in this
order, the most useful first, and the first that works is kept:

| try | reply format | lengths in the schema | log-probabilities |
|---|---|---|---|
| 1, 2 | json_schema | yes | yes, no |
| 3, 4 | json_schema | no | yes, no |
| 5, 6 | json_object | | yes, no |
| 7, 8 | text | | yes, no |

Tries 3 and 4 are left out where the refusal is about schemas, or log-probabilities, and comes at once where it is about
lengths; where an answer is longer than the schema allows, lengths are ignored, and not sent.

What an answer has shown is not tried again: after a reply without log-probabilities none are asked for, and after a
reply that does not fit the next format comes. A reply that falls short is asked for a second time, in other words, as
once may be chance. A setting of the sampling that is refused by name (temperature, seed, a penalty) is left out from
then on, and noted. So an endpoint that does all costs one question, one that drops log-probabilities two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from llmguide.errors import EndpointError, ReplyError
from llmguide.llm.protocol import Message, RawReply, ReplyFormat, Request, Sampling
from llmguide.llm.refusals import BOUNDS, DISPENSABLE, LIMIT, about_bounds
from llmguide.llm.replies import read_completion, read_object
from llmguide.llm.schemas import Bounds, schema_in_words, schema_of

__all__ = ["Capabilities", "probe"]

_WITHOUT_BOUNDS: tuple[ReplyFormat, Bounds] = ("json_schema", "none")
_WAYS: tuple[tuple[ReplyFormat, Bounds], ...] = (
    ("json_schema", "set"),
    _WITHOUT_BOUNDS,
    ("json_object", "none"),
    ("text", "none"),
)
_REFUSALS = {400, 403, 422, 501}
_QUESTIONS = ("Are you ready to answer in JSON?", "Once more: are you ready to answer in JSON?")
_FORMAT_WORDS = {
    "json_schema": "structured output by schema",
    "json_object": "JSON mode, replies checked here",
    "text": "no structured output, JSON asked for in words and checked here",
}


class Capabilities(NamedTuple):
    """How to ask an endpoint's model, and whether it tells log-probabilities."""

    reply_format: ReplyFormat
    logprobs: bool
    note: str  # how it was found; "" where everything works
    refused: tuple[str, ...] = ()  # settings of `Sampling` that it does not take, and `BOUNDS`; `LIMIT` is renamed

    @property
    def bounds(self) -> Bounds:
        """Whether lengths in a schema are sent."""
        return "set" if self.reply_format == "json_schema" and BOUNDS not in self.refused else "none"

    def sampling(self, wanted: Sampling) -> Sampling:
        """Return what of the sampling that is wanted the endpoint takes."""
        left_out = [name for name in self.refused if name not in (LIMIT, BOUNDS)]
        left_out += [] if self.logprobs else ["top_logprobs"]
        return replace(wanted, **dict.fromkeys(left_out))

    def describe(self) -> str:
        """Return one line for the user."""
        words = "log-probabilities" if self.logprobs else "no log-probabilities: no entropy term, certainty 1"
        return f"{_FORMAT_WORDS[self.reply_format]}; {words}" + (f" ({self.note})" if self.note else "")


_LENGTH = 12  # of the numbers from one to ten, some 50 characters
_COUNT: dict[str, Any] = {"maxLength": _LENGTH}


class Readiness(BaseModel):
    """Whether the model is ready to answer, and whether a bound on lengths holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ready: Literal["yes", "no"] = Field(description="yes, if you can read this.")
    count: str = Field("", description="The numbers from one to ten, as words.", json_schema_extra=_COUNT)


class _Shown(NamedTuple):
    fits: bool
    logprobs: bool
    bounded: bool = True  # the bound on lengths held


async def probe(send: Callable[[Request], Awaitable[RawReply]], model: str, *, sampling: Sampling) -> Capabilities:
    """Return what the endpoint behind `send` can do with `model`; at most nine questions, usually one.

    With `sampling.top_logprobs` None log-probabilities are not asked for. Raises EndpointError where the endpoint is
    not reached, the key or the model is refused, or every way to ask is.
    """
    wanted = sampling.top_logprobs is not None
    open_choices = [True, False] if wanted else [False]  # of asking for log-probabilities, as far as is known
    notes: list[str] = []
    refused: list[str] = []
    refusal: EndpointError | None = None
    answered, worth_without_bounds = False, False

    async def takes(request: Request) -> RawReply:
        while True:
            try:
                return await send(replace(request, sampling=replace(request.sampling, **dict.fromkeys(refused))))
            except EndpointError as error:
                name = error.parameter
                if name not in DISPENSABLE or name in refused or getattr(request.sampling, name) is None:
                    raise
                refused.append(name)
                value = getattr(request.sampling, name)
                shown = f"{value:g}" if isinstance(value, float) else value
                notes.append(f"{name} {shown} is refused and not sent")

    for reply_format, bounds in _WAYS:
        if (reply_format, bounds) == _WITHOUT_BOUNDS and (answered or not worth_without_bounds):
            continue
        for logprobs in list(open_choices):
            try:
                shown = await _ask(takes, model, sampling, reply_format, bounds, logprobs=logprobs)
            except EndpointError as error:
                if error.status not in _REFUSALS:
                    raise
                refusal = error
                about = about_bounds(str(error)) if bounds == "set" else False
                worth_without_bounds = about is not False
                if about:
                    break  # whatever is asked for beside them
                continue
            answered = True
            if wanted and len(open_choices) == 2:
                open_choices = [shown.logprobs]
                if not shown.logprobs:
                    notes.append("log-probabilities are left out" if logprobs else "log-probabilities are refused")
            if shown.fits:
                if reply_format == "json_schema" and not (bounds == "set" and shown.bounded):
                    notes.append(f"lengths in a schema are {'ignored' if bounds == 'set' else 'refused'}")
                    refused.append(BOUNDS)
                return Capabilities(reply_format, shown.logprobs, "; ".join(notes), tuple(refused))
            notes.append(f"{reply_format} is ignored" if reply_format != "text" else "no reply to the probe was JSON")
            break
        else:
            if bounds == "none" or not worth_without_bounds:
                notes.append(f"{reply_format} is refused")
    if refusal is not None and not answered:
        raise refusal
    return Capabilities("text", wanted and open_choices == [True], "; ".join(notes), tuple(refused))


async def _ask(
    send: Callable[[Request], Awaitable[RawReply]],
    model: str,
    sampling: Sampling,
    reply_format: ReplyFormat,
    bounds: Bounds,
    *,
    logprobs: bool,
) -> _Shown:
    name, schema = schema_of(Readiness, bounds)
    best = _Shown(False, False)
    for question in _QUESTIONS:
        words = question if reply_format == "json_schema" else f"{question}\n\n{schema_in_words(schema)}"
        request = Request(
            model,
            (Message("user", words),),
            name,
            schema,
            sampling if logprobs else replace(sampling, top_logprobs=None),
            reply_format,
        )
        shown = _look((await send(request)).body, strict=reply_format != "text")
        bounded = best.bounded and shown.bounded
        best = _Shown(best.fits or shown.fits, best.logprobs or shown.logprobs, bounded)
        if best.fits and best.logprobs == logprobs:
            break
    return best


def _look(body: str, *, strict: bool) -> _Shown:
    try:
        completion = read_completion(body)
    except ReplyError:
        return _Shown(False, False)
    told = any(token.top for token in completion.tokens or ())
    try:
        said = read_object(completion, Readiness, strict=strict)
    except ReplyError:
        return _Shown(False, told)
    return _Shown(True, told, len(said.count) <= _LENGTH)
