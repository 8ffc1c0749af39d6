"""Questions to a language model, each paid for once: cache, budget, client, validation, one more try, abstention."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from llmguide.counting import counted
from llmguide.errors import (
    EmptyReplyError,
    EndpointError,
    InvalidReplyError,
    LanguageModelError,
    MissingAnswers,
    OutOfRangeError,
    ReplyError,
    TimedOutError,
    TruncatedError,
)
from llmguide.llm.budget import Budget
from llmguide.llm.cache import Cache
from llmguide.llm.cutting import sent_bytes, was_cut
from llmguide.llm.leases import PAUSE, Leases
from llmguide.llm.ledger import Ledger, Purpose, Spending
from llmguide.llm.pace import Pace, Sent
from llmguide.llm.prices import Prices, estimate_tokens
from llmguide.llm.probe import Capabilities, probe
from llmguide.llm.protocol import Client, Completion, Draw, Message, RawReply, Request, Sampling, Usage
from llmguide.llm.refusals import DISPENSABLE, LIMIT
from llmguide.llm.replies import read_completion, read_object, read_usage, repeats_itself
from llmguide.llm.schemas import TIGHT_ITEMS, TIGHT_LENGTH, schema_in_words, schema_of
from llmguide.llm.slots import Slots

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Asked", "Asker", "Halted", "Plan"]

T = TypeVar("T", bound=BaseModel)

# Not where the model declined or a filter stopped it: a repeated question does not change its mind.
_WORTH_REPEATING = (InvalidReplyError, OutOfRangeError, EmptyReplyError, TruncatedError)
_AGAIN = "Answer again: one JSON object that fits the schema, and nothing else."
_GRACE_SECONDS = 10.0
_SILENCES = 3  # time-outs, each of a question sent after the one before, with no answer between: nobody is there


class Halted(LanguageModelError):
    """A question was not sent because its asker was halted before its turn came."""


class Asked(NamedTuple, Generic[T]):
    """What came of a question."""

    value: T | None  # None: an abstention
    completion: Completion | None  # the last reply, where one could be read
    failure: ReplyError | TimedOutError | None  # why it abstained
    requests: tuple[Request, ...]  # as sent: one, or two with the repeated question
    cost: Spending  # of the replies it took, cached or not, as they were first measured
    fresh: int  # replies that were paid for now


class Plan(NamedTuple):
    """What asking would take, before anything is spent."""

    calls: int
    kept: int  # questions that the cache answers
    prompt_tokens: int  # estimated
    completion_tokens: int  # estimated
    dollars: float | None  # estimated; None where the price is unknown
    most_dollars: float | None  # if every reply were as long as it may be, and no question were repeated


class Asker:
    """Asks a language model, at most `in_flight` questions at once, and keeps every reply before it reads it.

    An endpoint that is too busy, or answers few at once, is asked fewer at once (`Pace`). A question that is not
    answered in time becomes an abstention that is not kept, so that the next run asks it again.

    Without a client it replays: nothing is sent, every answer comes from the cache, from `endpoint` or else from any.
    `study` names the ledger's rows and is what `budget` (dollars, a hard cap, earlier runs included) is counted for.
    With `strict`, an answer that cannot be used is an error instead of an abstention. With `terse`, replies are as
    short as after one that ran away, where the endpoint honours lengths.

    What another process that uses the same cache is asking is not asked here too: its answer is waited for.

    An asker may be used from one event loop after another, not from two at once.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        model: str,
        client: Client | None,
        sampling: Sampling | None = None,
        prices: Prices | None = None,
        budget: float | None = None,
        study: str = "",
        in_flight: int = 8,
        strict: bool = False,
        endpoint: str | None = None,
        terse: bool = False,
    ) -> None:
        if in_flight < 1:
            raise LanguageModelError(f"expected at least 1 question in flight, got {in_flight}")
        self.cache, self.ledger = cache, Ledger(cache)
        self.model, self.study, self.strict, self.terse = model, study, strict, terse
        self.endpoint = endpoint if client is None else client.endpoint
        self.sampling = Sampling() if sampling is None else sampling
        self.prices = Prices.read() if prices is None else prices
        wanted = self.sampling.top_logprobs is not None
        self.capabilities = Capabilities("json_schema", wanted, "")  # assumed until `open` knows better
        self._client = client
        self._unanswered: dict[str, Purpose] = {}  # by the request's key
        self.in_flight = in_flight
        self._pace, self._slots = Pace(in_flight), Slots(in_flight)
        self._silences, self._silent_since = 0, float("-inf")
        self._leases = Leases(cache, study=study)
        self._budget = (
            None if budget is None else Budget(self.ledger, self.prices, self._leases, study=study, dollars=budget)
        )
        self._flights: dict[str, _Flight] = {}
        self._opening: asyncio.Task[Capabilities] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sizing: asyncio.Task[None] | None = None
        self._sized = False
        self._opened = False
        self._halted = False

    async def __aenter__(self) -> Asker:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def spending(self) -> Spending:
        """What the ledger holds for this study, earlier runs included."""
        return self.ledger.spent(self.study, self.prices)

    def costs(self) -> pd.DataFrame:
        """Return what this study has cost by now, as `Ledger.summary`, and close the cache."""
        with self.cache:
            return self.ledger.summary(self.prices, self.study)

    @property
    def missing(self) -> tuple[Purpose, ...]:
        """The questions that a replay has found no answer to, so far."""
        return tuple(self._unanswered.values())

    async def open(self) -> Capabilities:
        """Find out what the endpoint can do: from the cache, else by probing it once.

        A replay never probes; where the cache does not know, it assumes structured output and log-probabilities.
        """
        if self._opened:
            return self.capabilities
        wanted = self.sampling.top_logprobs is not None
        found = self.cache.capabilities(self.endpoint, self.model, logprobs=wanted)
        if found is None and self._client is not None:
            if self._opening is None or self._opening.done():
                self._loop = asyncio.get_running_loop()
                self._opening = asyncio.create_task(self._find_out(self._client))
                self._opening.add_done_callback(_look_at)
            try:
                found = await asyncio.shield(self._opening)
            except asyncio.CancelledError:
                if self._halted and self._opening.cancelled():
                    raise Halted("no question was sent: the study was stopped") from None
                raise
        if found is not None and LIMIT in found.refused and self._client is not None:
            setattr(self._client, "renames_limit", True)  # noqa: B010  # of those clients that know two names for it
        self.capabilities, self._opened = found or self.capabilities, True
        return self.capabilities

    async def ask(
        self,
        messages: Sequence[Message],
        kind: type[T],
        *,
        purpose: Purpose,
        priority: float = 0.0,
        note: str = "",
        draw: Draw | None = None,
    ) -> Asked[T]:
        """Return the answer to `messages` as an object of the schema `kind`, or an abstention.

        A reply that is cut off, empty or does not fit is asked for once more with the reason; one that was refused or
        filtered is not. `priority` orders the questions that wait for a slot, the highest first. `purpose` and `note`
        go into the ledger. `draw` asks for one of several answers to the same words; what
        the endpoint refuses of its own settings, which `open` did not try, is left out from then on.

        Raises EndpointError where no answer came (after a time-out only with `strict`, or when several have followed
        one another), BudgetError where the budget has no room, MissingAnswers in a replay, and with `strict` the
        ReplyError that says why the answer cannot be used.
        """
        await self.open()
        errand = _Errand(kind, purpose._replace(study=self.study), priority, note)
        while True:
            request = self.request(messages, kind, draw=draw)
            try:
                return await self._answer(request, kind, errand)
            except EndpointError as error:
                if draw is None:
                    raise
                self._do_without(error.parameter)
                if self.request(messages, kind, draw=draw) == request:
                    raise

    def request(self, messages: Sequence[Message], kind: type[BaseModel], *, draw: Draw | None = None) -> Request:
        """Return the request that asking would send, for what the endpoint can do."""
        can = self.capabilities
        name, schema = schema_of(kind, "tight" if self.terse and can.bounds == "set" else can.bounds)
        return Request(
            model=self.model,
            messages=tuple(messages) if can.reply_format == "json_schema" else _with_schema(messages, schema),
            schema_name=name,
            schema_json=schema,
            sampling=can.sampling(self.sampling if draw is None else draw.sampling(self.sampling)),
            reply_format=can.reply_format,
            draw=0 if draw is None else draw.number,
        )

    def plan(self, requests: Iterable[Request], *, reply_tokens: int = 500) -> Plan:
        """Return what asking `requests` would take, with replies of about `reply_tokens`."""
        listed = {request.key: request for request in requests}.values()
        new = [request for request in listed if self.cache.get(request, endpoint=self.endpoint) is None]
        prompt = sum(estimate_tokens(_all_text(request)) for request in new)
        completion = reply_tokens * len(new)
        most = [self.prices.most_dollars(request) for request in new]
        return Plan(
            calls=len(new),
            kept=len(listed) - len(new),
            prompt_tokens=prompt,
            completion_tokens=completion,
            dollars=self.prices.dollars(self.model, Usage(prompt, 0, completion)),
            most_dollars=None if None in most else sum(dollars for dollars in most if dollars is not None),
        )

    def keep(
        self,
        request: Request,
        reply: RawReply,
        kind: type[BaseModel] | None,
        purpose: Purpose,
        *,
        note: str = "",
        batched: bool = False,
    ) -> None:
        """Put a reply that came another way, as by a batch, into cache and ledger; EndpointError for a cut prompt."""
        assert self._client is not None
        self._keep(self._client.endpoint, request, reply, _Errand(kind, purpose, 0.0, note, batched))

    def check_budget(self, requests: Sequence[Request]) -> None:
        """Raise BudgetError where the budget has no room for a batch of these questions, at the most they can cost."""
        if self._budget is not None:
            self._budget.check_batch(requests)

    def missing_answers(self) -> MissingAnswers:
        """Return the error that says which questions a replay found no answer to, all of them in one."""
        return self._missing(self.missing)

    def halt(self) -> None:
        """Send nothing more: what is under way is still answered and kept, what waits for its turn raises Halted.

        Finding out what the endpoint can do ends at once. May be called from a signal's handler.
        """
        self._halted = True
        if self._loop is not None and self._opening is not None and not self._opening.done():
            self._loop.call_soon_threadsafe(self._opening.cancel)

    async def close(self) -> None:
        """Wait some seconds for the replies that are already being paid for, keep them, and close the client."""
        sent = [flight.task for flight in self._flights.values() if flight.sent]
        if sent:
            _, late = await asyncio.wait(sent, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        self.cache.close()  # it opens again when it is asked again

    async def _answer(self, request: Request, kind: type[T], errand: _Errand) -> Asked[T]:
        """Return the answer to a request, asked again where it cannot be used."""
        requests = [request]
        readings = [await self._read(request, kind, errand)]
        if isinstance(readings[0].failure, _WORTH_REPEATING):
            requests.append(self._repeated(request, kind, readings[0]))
            again = errand._replace(note=f"{errand.note}; asked again" if errand.note else "asked again")
            readings.append(await self._read(requests[1], kind, again))
        last = readings[-1]
        if self.strict and last.failure is not None:
            raise last.failure
        return Asked(
            value=last.value,
            completion=last.completion,
            failure=last.failure,
            requests=tuple(requests),
            cost=Spending.total(reading.cost(self.model, self.prices) for reading in readings),
            fresh=sum(reading.fresh for reading in readings),
        )

    def _do_without(self, name: str) -> None:
        """Send a setting no more that the endpoint has refused, and keep that: a replay makes the same requests."""
        can = self.capabilities
        if name not in DISPENSABLE or name in can.refused or self._client is None:
            return
        note = "; ".join(part for part in (can.note, f"{name} is refused and not sent") if part)
        self.capabilities = can._replace(note=note, refused=(*can.refused, name))
        wanted = self.sampling.top_logprobs is not None
        self.cache.set_capabilities(self._client.endpoint, self.model, self.capabilities, logprobs=wanted)

    async def _find_out(self, client: Client) -> Capabilities:
        """Return what the endpoint can do, and keep it."""
        found = await probe(self._probe, self.model, sampling=self.sampling)
        if getattr(client, "renames_limit", False) and LIMIT not in found.refused:
            found = found._replace(refused=(*found.refused, LIMIT))
        wanted = self.sampling.top_logprobs is not None
        self.cache.set_capabilities(client.endpoint, self.model, found, logprobs=wanted)
        return found

    async def _learn_size(self, client: Client) -> None:
        """Ask no more at once than the endpoint says it answers; asked once, before the first question."""

        async def learn() -> None:
            count_slots = getattr(client, "slots", None)
            if count_slots is not None and (count := await count_slots()):
                self._pace.lower(count)
                self._slots.resize(self._pace.limit)
            self._sized = True

        if not self._sized:
            if self._sizing is None or self._sizing.done():
                self._sizing = asyncio.create_task(learn())
                self._sizing.add_done_callback(_look_at)
            await asyncio.shield(self._sizing)

    async def _probe(self, request: Request) -> RawReply:
        fetched = await self._fetch(request, _Errand(None, Purpose(self.study, "probe"), 0.0, ""))
        return fetched.reply

    async def _read(self, request: Request, kind: type[T], errand: _Errand) -> _Reading[T]:
        try:
            fetched = await self._fetch(request, errand)
        except TimedOutError as late:
            if self.strict or self._silences >= _SILENCES:
                raise
            return _Reading(None, None, late, 0.0)
        reading = fetched.reading
        if reading is None or fetched.kind is not kind:  # from the cache, or read for another question
            reading = _read(request, fetched.reply, kind)
        return reading._replace(fresh=fetched.fresh)

    async def _fetch(self, request: Request, errand: _Errand) -> _Fetched:
        """Return the reply from the cache, or from the endpoint: equal questions at once share a flight."""
        if (kept := self._kept(request)) is not None:
            return _Fetched(kept)
        if self._client is None:
            self._unanswered[request.key] = errand.purpose
            raise self._missing([errand.purpose])
        flight = self._flights.get(request.key)
        first = flight is None
        if flight is None:
            flight = self._flights[request.key] = _Flight()
            flight.task = asyncio.create_task(self._send(self._client, flight, request, errand))
            flight.task.add_done_callback(lambda task: self._land(request.key, task))
        flight.passengers += 1
        try:
            fetched = await asyncio.shield(flight.task)
            return fetched if first else fetched._replace(fresh=False)
        finally:
            flight.passengers -= 1
            # What was sent is paid for: it is kept, though nobody waits. A probe costs nothing that matters.
            if not flight.passengers and (not flight.sent or errand.kind is None):
                flight.task.cancel()
                self._land(request.key, flight.task)

    def _land(self, key: str, task: asyncio.Task[_Fetched]) -> None:
        if key in self._flights and self._flights[key].task is task:
            del self._flights[key]
        if task.done():
            _look_at(task)

    async def _send(self, client: Client, flight: _Flight, request: Request, errand: _Errand) -> _Fetched:
        await self._learn_size(client)
        while (fetched := await self._send_in_turn(client, flight, request, errand)) is None:
            await asyncio.sleep(PAUSE)  # without a slot: another process asks, and its answer is waited for
        return fetched

    async def _send_in_turn(
        self, client: Client, flight: _Flight, request: Request, errand: _Errand
    ) -> _Fetched | None:
        """Ask, or return another process's answer; None while that one asks."""
        async with self._slots.held(errand.priority):
            if (kept := self._kept(request)) is not None:  # another process has asked meanwhile
                return _Fetched(kept)
            async with self._room(request, client.endpoint) as ours:
                if self._halted:
                    raise Halted("no further question was sent: another one failed, or the study was stopped")
                if not ours:
                    return None
                if (kept := self._kept(request)) is not None:  # while there was no room
                    return _Fetched(kept)
                flight.sent = True
                started, sent = time.perf_counter(), self._pace.sent(time.monotonic())
                try:
                    reply = await client.send(request)
                except BaseException as error:
                    if isinstance(error, TimedOutError):
                        self._note_silence(sent)
                    else:
                        self._pace.failed()
                    self.ledger.record(
                        errand.purpose,
                        request,
                        endpoint=client.endpoint,
                        seconds=time.perf_counter() - started,
                        outcome=type(error).__name__,
                        usage=None,
                        note=errand.note,
                    )
                    raise
                self._silences = 0
                counted = read_usage(reply.body).completion
                self._pace.answered(sent, time.monotonic(), retries=reply.retries, tokens=counted)
                self._slots.resize(self._pace.limit)
                # No await from here on: nothing can come between a reply and its being kept.
                return self._keep(client.endpoint, request, reply, errand)

    def _note_silence(self, sent: Sent) -> None:
        """Take note of a time-out; those of questions that were under way together count as one."""
        self._pace.pushed_back(sent)
        self._slots.resize(self._pace.limit)
        if sent.at >= self._silent_since:
            self._silences, self._silent_since = self._silences + 1, time.monotonic()

    def _keep(self, endpoint: str, request: Request, reply: RawReply, errand: _Errand) -> _Fetched:
        reading, usage, outcome = None, Usage(), "unread"
        try:
            reading = _read(request, reply, errand.kind)
            usage, outcome = reading.usage, "ok" if reading.failure is None else type(reading.failure).__name__
        finally:  # whatever is wrong with it, it was paid for
            cut = was_cut(request, usage)
            with self.cache.transaction():
                self.ledger.record(
                    errand.purpose,
                    request,
                    endpoint=endpoint,
                    seconds=reply.seconds,
                    outcome="prompt cut" if cut else outcome,
                    usage=usage,
                    note=errand.note,
                    batched=errand.batched,
                )
                if not cut:
                    kept = self.cache.put(request, reply, endpoint)
                    self.cache.used(self.study, request, endpoint)
        if cut:
            raise EndpointError(
                f"{endpoint}, model {request.model!r}: it read only part of the prompt: it counted "
                f"{usage.prompt} tokens where {sent_bytes(request):,} bytes were sent, about "
                f"{estimate_tokens(_all_text(request)):,} tokens; raise the server's context (Ollama: "
                "num_ctx; llama.cpp: -c; LM Studio: context length), or choose a shorter prompt"
            )
        return _Fetched(kept, reading if kept == reply else None, errand.kind, fresh=True)

    def _kept(self, request: Request) -> RawReply | None:
        reply = self.cache.get(request, endpoint=self.endpoint)
        if reply is not None and was_cut(request, _read(request, reply, None).usage):
            return None  # kept by an earlier version: no answer to this question
        if reply is not None and self._client is not None:
            self.cache.used(self.study, request, self._client.endpoint)
        return reply

    def _repeated(self, request: Request, kind: type[BaseModel], reading: _Reading[Any]) -> Request:
        """Return the question once more, with what was wrong with the reply; the reply itself only where it was whole.

        A reply that ran to the limit of tokens may have as few characters as it takes, so that it cannot do so again.
        """
        failure, completion = reading.failure, reading.completion
        if isinstance(failure, TruncatedError):
            limit = "" if request.sampling.max_tokens is None else f" of {request.sampling.max_tokens} tokens"
            ran_on = completion is not None and repeats_itself(completion.text)
            what = "repeated itself until it was cut off" if ran_on else "was cut off"
            wrong = (
                f"Your reply {what} at the limit{limit}. Be brief: at most {TIGHT_LENGTH} characters in a text, "
                f"and at most {TIGHT_ITEMS} items in a list. {_AGAIN}"
            )
            schema_json = request.schema_json
            if self.capabilities.bounds == "set":
                schema_json = schema_of(kind, "tight")[1]
            return replace(request, messages=(*request.messages, Message("user", wrong)), schema_json=schema_json)
        if completion is None or not completion.text.strip():
            return replace(request, messages=(*request.messages, Message("user", f"Your reply was empty. {_AGAIN}")))
        said, wrong = Message("assistant", completion.text), f"That reply cannot be used: {failure}. {_AGAIN}"
        return replace(request, messages=(*request.messages, said, Message("user", wrong)))

    def _room(self, request: Request, endpoint: str) -> AbstractAsyncContextManager[bool]:
        place = self._leases.held if self._budget is None else self._budget.reserved
        return place(request, endpoint)

    def _missing(self, purposes: Sequence[Purpose]) -> MissingAnswers:
        named = ", ".join(str(purpose) for purpose in purposes[:5])
        more = f" and {len(purposes) - 5} more" if len(purposes) > 5 else ""
        held = ", ".join(f"{model} ({replies})" for model, replies in self.cache.models().items()) or "none"
        answers = counted(len(purposes), "answer")
        where = "" if self.endpoint is None else f" at {self.endpoint}"
        return MissingAnswers(
            f"{self.cache.path} lacks {answers} of {self.model}{where}: {named}{more}; it holds replies of: {held}; "
            f"ask the model (provider llm), or use the cache, the tables and the prompts of the study that is replayed"
        )


class _Errand(NamedTuple):
    """What a request is sent for."""

    kind: type[BaseModel] | None  # None: the probe looks at its replies itself
    purpose: Purpose
    priority: float
    note: str
    batched: bool = False


class _Fetched(NamedTuple):
    """A reply; `reading` if it was read when it came, as an object of `kind`."""

    reply: RawReply
    reading: _Reading[Any] | None = None
    kind: type[BaseModel] | None = None
    fresh: bool = False  # paid for now, and by this question


class _Flight:
    """One request on its way, and how many wait for it."""

    task: asyncio.Task[_Fetched]

    def __init__(self) -> None:
        self.passengers = 0
        self.sent = False


class _Reading(NamedTuple, Generic[T]):
    value: T | None
    completion: Completion | None
    failure: ReplyError | TimedOutError | None
    seconds: float
    fresh: bool = False

    @property
    def usage(self) -> Usage:
        return Usage() if self.completion is None else self.completion.usage

    def cost(self, model: str, prices: Prices) -> Spending:
        return Spending(1, *self.usage, seconds=self.seconds, dollars=prices.dollars(model, self.usage))


def _read(request: Request, reply: RawReply, kind: type[T] | None) -> _Reading[T]:
    completion = value = None
    try:
        completion = read_completion(reply.body)
        if kind is not None:
            value = read_object(completion, kind, strict=request.reply_format == "json_schema")
    except ReplyError as failure:
        return _Reading(None, completion, failure, reply.seconds)
    return _Reading(value, completion, None, reply.seconds)


def _with_schema(messages: Sequence[Message], schema: str) -> tuple[Message, ...]:
    told = schema_in_words(schema)
    if messages and messages[0].role == "system":
        return (Message("system", f"{messages[0].content}\n\n{told}"), *messages[1:])
    return (Message("system", told), *messages)


def _all_text(request: Request) -> str:
    return "\n".join([*(message.content for message in request.messages), request.schema_json])


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take notice of a task's error: whoever waits for it is told by the task itself, and maybe nobody does."""
    if not task.cancelled():
        task.exception()
