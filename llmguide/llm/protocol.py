"""The values that pass between a question and its answer, and what a client of a language model must do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

__all__ = [
    "Client",
    "Completion",
    "Draw",
    "Message",
    "RawReply",
    "ReplyFormat",
    "Request",
    "Sampling",
    "TokenLogprob",
    "Usage",
]

ReplyFormat = Literal["json_schema", "json_object", "text"]
"""How an endpoint is told to answer in JSON: by a schema, by JSON mode, or only in words."""


class Message(NamedTuple):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Sampling:
    """How replies are generated; None leaves a setting to the endpoint.

    Attributes:
        temperature: 0 takes the most likely token.
        seed: seed of the endpoint's sampling.
        frequency_penalty: penalty on tokens by how often they occurred.
        presence_penalty: penalty on tokens that occurred at all.
        top_logprobs: number of alternatives with log-probabilities for each token; None for no log-probabilities.
        max_tokens: the longest reply.
        reasoning_effort: "low", "medium" or "high", for reasoning models.

    Source: the defaults are those of arXiv 2508.02366v3: temperature 0, seed 49, log-probabilities with the top 5.
    """

    temperature: float | None = 0.0
    seed: int | None = 49
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_logprobs: int | None = 5
    max_tokens: int | None = 2000
    reasoning_effort: str | None = None


class Draw(NamedTuple):
    """One of several answers to the same words, drawn at random instead of being the likeliest."""

    number: int  # from 1 on
    temperature: float
    frequency_penalty: float | None = None  # None: as the settings have it
    presence_penalty: float | None = None

    def sampling(self, settings: Sampling) -> Sampling:
        """Return `settings` for this draw: a seed of its own where there is one, and the penalties that it has."""
        seed = None if settings.seed is None else settings.seed + self.number
        drawn = replace(settings, temperature=self.temperature, seed=seed)
        if self.frequency_penalty is not None:
            drawn = replace(drawn, frequency_penalty=self.frequency_penalty)
        if self.presence_penalty is not None:
            drawn = replace(drawn, presence_penalty=self.presence_penalty)
        return drawn


@dataclass(frozen=True)
class Request:
    """Everything that shapes an answer, and nothing else; equal requests have equal keys."""

    model: str
    messages: tuple[Message, ...]
    schema_name: str  # of the object asked for
    schema_json: str  # its canonical JSON schema; its properties in the order in which they are to be written
    sampling: Sampling = Sampling()
    reply_format: ReplyFormat = "json_schema"
    draw: int = 0  # which of several answers to the same words, 0 the first; not sent

    @cached_property
    def key(self) -> str:
        """SHA-256 of the whole request, in hexadecimal; the same on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the request as canonical JSON: sorted keys, no spaces."""
        fields = asdict(self)
        if fields["sampling"]["reasoning_effort"] is None:  # so that answers kept before there was this setting count
            del fields["sampling"]["reasoning_effort"]
        if not self.draw:  # likewise
            del fields["draw"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Return the request that `to_json` wrote."""
        fields: Mapping[str, Any] = json.loads(text)
        messages = tuple(Message(*message) for message in fields["messages"])
        return cls(**{**fields, "messages": messages, "sampling": Sampling(**fields["sampling"])})


class TokenLogprob(NamedTuple):
    """One token of a reply and its alternatives; natural logarithms, -9999 where the endpoint does not say."""

    token: bytes  # of the UTF-8 text: one character may be spread over several tokens
    logprob: float
    top: tuple[tuple[str, float], ...]  # the likeliest tokens at this place, maybe fewer than asked for


class Usage(NamedTuple):
    """Tokens of one reply; None where the endpoint does not say."""

    prompt: int | None = None
    cached: int | None = None  # of the prompt's
    completion: int | None = None
    reasoning: int | None = None  # of the completion's


class Completion(NamedTuple):
    """A reply of a language model, read but not yet understood."""

    text: str
    tokens: tuple[TokenLogprob, ...] | None  # None: no log-probabilities came
    usage: Usage
    model: str  # as the endpoint names it
    fingerprint: str  # of the endpoint's system; "" where it gives none
    finish_reason: str
    refusal: str | None
    raw: str  # the reply's body


class RawReply(NamedTuple):
    """A reply as it came over the wire."""

    body: str
    seconds: float
    retries: int = 0  # how often the request had to be sent again


class Client(Protocol):
    """Something that sends a request to a language model.

    `send` returns the body of a successful reply as it came, or raises EndpointError; it retries what is worth
    retrying by itself. `endpoint` says whom it asks, without secrets.
    """

    @property
    def endpoint(self) -> str: ...

    async def send(self, request: Request) -> RawReply: ...

    async def close(self) -> None: ...
