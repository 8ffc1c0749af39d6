"""Months x instruments x prompts, asked as far side by side as memory allows.

Without memory every month stands for itself and all are asked at once. With memory (P2 and later) the months of one
instrument and prompt form a chain, each waiting for the one before; the chains run side by side, and the Analyst reads
the news two months ahead of them. The time needed is then that of the longest chain, so its questions go first: what no
chain waits for is asked at a pace that ends with the chains, in places in flight that they leave free.

An endpoint that answers one or two questions at once is busy all the time, whatever comes first. There the order is
that of the texts: the Analyst's questions, then prompt after prompt, instrument after instrument. A server that keeps
what it has read (llama.cpp keeps one text for each slot) then reads only what differs from the question before.

Nothing that was paid for is lost: every reply is stored before it is read. A question that fails, the end of the
budget, or Ctrl-C lets those under way be answered and stored; the same study then resumes from there.
"""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd

from llmguide.errors import GuidanceError, LlmguideError, MissingAnswers
from llmguide.guidance.advice import Advice
from llmguide.guidance.news.analyst import NewsBrief
from llmguide.guidance.schedule import issue_positions
from llmguide.guidance.strategist import (
    Brief,
    Month,
    Subject,
    advise,
    condense_news,
    prepare,
    uses_memory,
    uses_news,
)
from llmguide.guidance.table import Guidance
from llmguide.llm.asking import Asker, Halted
from llmguide.llm.probe import Capabilities
from llmguide.llm.slots import Slots
from llmguide.llm.templates import PromptTemplate, prompt_version, read_template
from llmguide.llm.waiting import wait_for

__all__ = ["Study", "guidance_of", "run_study", "stopping"]

_APART = 0.02  # seconds between the beginnings of chains: answers that take equally long do not all come at once
_LATER = 0.2  # seconds from a chain's question until the Analyst reads ahead for it, when the others' have left too
_AHEAD = 2  # months that the Analyst reads before their turn
_FEW = 2  # questions at once, up to which they are asked in the order of their texts
_SLACK = 1.5  # of the pace that would end with the chains, since answers take different times


@dataclass(frozen=True, eq=False)
class Study:
    """What is to be asked: every month of every subject with every prompt.

    Raises GuidanceError for nothing to ask, for two subjects of one symbol, and for two prompts of one version.
    """

    subjects: tuple[Subject, ...]
    prompts: tuple[str | Path | PromptTemplate, ...]  # names such as "P4", or paths of templates
    brief: Brief = field(default_factory=Brief)

    def __post_init__(self) -> None:
        for what, names in (
            ("instrument", [subject.symbol for subject in self.subjects]),
            ("prompt", [prompt_version(prompt) for prompt in self.prompts]),
        ):
            if not names:
                raise GuidanceError(f"expected at least one {what} to ask about, got none")
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise GuidanceError(f"expected every {what} once, got {', '.join(sorted(twice))} twice; rename one")
        # Read now, all of it: a fault is found before anything is asked, and who edits a template while the study runs
        # does not change what it asks.
        object.__setattr__(self, "prompts", tuple(read_template(prompt) for prompt in self.prompts))

    @property
    def advice_count(self) -> int:
        """How many pieces of advice the whole study has."""
        return len(self.prompts) * sum(len(self.positions(subject)) for subject in self.subjects)

    def positions(self, subject: Subject) -> range:
        """Return the positions of the bars on whose dates a subject's guidance is issued."""
        positions = issue_positions(subject.bars, every=self.brief.every, first=self.brief.first)
        if subject.since is None:
            return positions
        later = int(subject.bars.index.searchsorted(pd.Timestamp(subject.since), side="right"))
        before = sum(i < later for i in positions)
        return positions[max(0, before - 1) :]

    def months(self, subject: Subject) -> Iterator[Month]:
        """Yield what may be used for each decision, oldest first."""
        for i in self.positions(subject):
            known, brief = subject.bars.iloc[:i], self.brief
            yield prepare(subject, subject.bars.index[i], known, every=brief.every, levels=brief.levels)


def guidance_of(advice: Sequence[Advice], *, symbol: str, prompt: str, bars: pd.DataFrame | None = None) -> Guidance:
    """Return the guidance table of one instrument and prompt version; with `bars` it remembers what it saw of them."""
    table = Guidance(tuple(one.row for one in advice if (one.symbol, one.prompt) == (symbol, prompt)))
    return table if bars is None else table.made_from(bars, symbol=symbol)


def run_study(
    study: Study,
    asker: Asker,
    *,
    on_ready: Callable[[Capabilities], None] = lambda capabilities: None,
    on_advice: Callable[[Advice], None] = lambda advice: None,
    on_stopping: Callable[[], None] = lambda: None,
) -> tuple[Advice, ...]:
    """Ask everything and return the advice, ordered by subject, prompt and date.

    `on_ready` gets what the endpoint can do, `on_advice` each piece of advice as it arrives. At the first Ctrl-C or
    SIGTERM `on_stopping` is called, nothing more is asked, and the signal takes effect when what is under way has been
    answered and stored; at the second one at once.

    Raises MissingAnswers in a replay that lacks answers, naming all that can be known to be missing; BudgetError at the
    end of the budget; EndpointError when the endpoint fails for good; ReplyError where the asker is strict.
    """
    run = _Run(study, asker, on_ready, on_advice)
    with stopping(asker, on_stopping), _old_objects_left_alone():
        return wait_for(run.everything())


class _Run:
    """One walk through a study."""

    def __init__(
        self,
        study: Study,
        asker: Asker,
        on_ready: Callable[[Capabilities], None],
        on_advice: Callable[[Advice], None],
    ) -> None:
        self.study = study
        self.asker = asker
        self.on_ready = on_ready
        self.on_advice = on_advice
        self.unhurried = Slots(_unhurried_places(study, asker.in_flight))
        self.by_text = asker.in_flight <= _FEW
        self.turns = Slots(asker.in_flight if self.by_text else len(study.subjects) * len(study.prompts))
        self._failure: LlmguideError | None = None
        self._lacks_answers = False

    async def everything(self) -> tuple[Advice, ...]:
        news = [_News(self, subject) for subject in self.study.subjects]
        chains = [_Chain(self, prompt, one) for one in news for prompt in self.study.prompts]
        try:
            try:
                can, _ = await asyncio.gather(self.asker.open(), self._prepare_first(news))
            except Halted:
                return ()  # stopped by a signal, which takes effect when all is closed
            self.on_ready(can)
            # The longest way first: chains that wait for the Analyst too, other chains, what stands for itself.
            begun = sorted(chains, key=lambda chain: (not chain.remembers, not chain.reads_news))
            if self.by_text:
                begun = sorted(chains, key=lambda chain: self.study.prompts.index(chain.prompt))
            walks = (self._kept(chain, min(place * _APART, _LATER)) for place, chain in enumerate(begun))
            found = dict(zip(begun, await asyncio.gather(*walks), strict=True))
            if self._failure is not None:
                raise self._failure
            if self._lacks_answers:
                raise self.asker.missing_answers()
        finally:
            await self.asker.close()
        return tuple(advice for chain in chains for advice in found[chain])

    async def _prepare_first(self, news: Sequence[_News]) -> None:
        """Prepare the first months while it is found what the endpoint can do."""
        await asyncio.sleep(_APART)
        for one in news:
            one.month(0)

    async def _kept(self, chain: _Chain, later: float) -> list[Advice]:
        """Walk a chain; what went wrong has stopped the others before their next question, and is raised at the end."""
        await asyncio.sleep(later)
        try:
            async with self.turns.held():
                return await chain.walk()
        except Halted:
            pass
        except MissingAnswers:  # the other chains go on, to find all that is missing
            self._lacks_answers = True
        except LlmguideError as error:
            self._failure = self._failure or error
        return []


class _News:
    """The months of one subject, and the Analyst's view of each, made once for all prompts."""

    def __init__(self, run: _Run, subject: Subject) -> None:
        self.run = run
        self.subject = subject
        self.positions = run.study.positions(subject)
        self._months: dict[int, Month] = {}
        self._briefs: dict[int, asyncio.Task[NewsBrief]] = {}

    def month(self, number: int) -> Month:
        if number not in self._months:
            i, bars = self.positions[number], self.subject.bars
            every, levels = self.run.study.brief.every, self.run.study.brief.levels
            self._months[number] = prepare(self.subject, bars.index[i], bars.iloc[:i], every=every, levels=levels)
        return self._months[number]

    def brief(self, number: int) -> asyncio.Task[NewsBrief]:
        if number not in self._briefs:
            task = self._briefs[number] = asyncio.create_task(self._condense(number))
            task.add_done_callback(_look_at)
        return self._briefs[number]

    async def _condense(self, number: int) -> NewsBrief:
        priority = self.urgency(number) + 0.5  # before the question that waits for it
        month = self.month(number)
        return await condense_news(self.subject, month, self.run.study.brief, self.run.asker, priority=priority)

    def urgency(self, number: int) -> float:
        """How many months a chain still has to go from here on: the longest way first."""
        return float(len(self.positions) - number)


class _Chain:
    """The months of one subject and prompt."""

    def __init__(self, run: _Run, prompt: str | Path | PromptTemplate, news: _News) -> None:
        self.run = run
        self.prompt = prompt
        self.news = news
        self.reads_news = uses_news(prompt)
        self.remembers = uses_memory(prompt)

    async def walk(self) -> list[Advice]:
        numbers = range(len(self.news.positions))
        if self.run.by_text and self.reads_news:
            for number in numbers:
                self.news.brief(number)  # what goes wrong there is raised where its answer is needed
        if not self.remembers:
            return await _all_or_first_error([self._ask(number, ()) for number in numbers])
        past: list[Advice] = []
        for number in numbers:
            reading = self._read_ahead(numbers[number + 1 : number + _AHEAD + 1]) if self.reads_news else None
            try:
                past.append(await self._ask(number, past))
            except MissingAnswers:  # the other months' news goes on, to find all that is missing
                if self.reads_news:
                    await asyncio.gather(*(self.news.brief(other) for other in numbers), return_exceptions=True)
                raise
            finally:
                if reading is not None:
                    reading.cancel()
        return past

    def _read_ahead(self, numbers: range) -> asyncio.TimerHandle:
        """Let the Analyst read the next months, after this month's question has left."""

        def read() -> None:
            for number in numbers:
                self.news.brief(number)  # what goes wrong there is raised where its answer is needed

        return asyncio.get_running_loop().call_later(_LATER, read)

    async def _ask(self, number: int, past: Sequence[Advice]) -> Advice:
        await asyncio.sleep(0)
        async with nullcontext() if self.remembers else self.run.unhurried.held():
            try:
                news = await asyncio.shield(self.news.brief(number)) if self.reads_news else None
                advice = await advise(
                    self.prompt,
                    self.news.subject,
                    self.news.month(number),
                    self.run.study.brief,
                    self.run.asker,
                    past=past,
                    news=news,
                    priority=self.news.urgency(number) if self.remembers and not self.run.by_text else 0.0,
                )
            except MissingAnswers:  # the other months go on, to find all that is missing
                raise
            except LlmguideError:  # at once: the other months of this chain are waiting for their turn
                self.run.asker.halt()
                raise
        self.run.on_advice(advice)
        return advice


def _unhurried_places(study: Study, in_flight: int) -> int:
    """Return how many questions that no chain waits for may be under way at once.

    Preparing a question and reading its answer takes this thread's time as well, which chains then wait for.
    """
    months = [len(study.positions(subject)) for subject in study.subjects]
    chains = [prompt for prompt in study.prompts if uses_memory(prompt)]
    if not chains:
        return in_flight
    waiting = len(months) * (len(chains) + sum(uses_news(prompt) for prompt in chains))
    alone = sum(months) * (len(study.prompts) - len(chains))
    pace = math.ceil(_SLACK * alone / max(months))
    return max(1, min(pace, max(in_flight - waiting, in_flight // 2)))


def _look_at(task: asyncio.Task[NewsBrief]) -> None:
    """Take notice of a task's error: after another one nobody may be left to wait for it."""
    if not task.cancelled():
        task.exception()


async def _all_or_first_error(work: Sequence[Coroutine[Any, Any, Advice]]) -> list[Advice]:
    """Return all results; if any fails, wait for the others, and raise the first failure that says something."""
    found = await asyncio.gather(*work, return_exceptions=True)
    failures = [one for one in found if isinstance(one, BaseException)]
    for failure in sorted(failures, key=lambda one: isinstance(one, Halted)):
        raise failure
    return [one for one in found if isinstance(one, Advice)]


@contextmanager
def _old_objects_left_alone() -> Iterator[None]:
    """Keep the garbage collector from what was there before: replies of thousands of tokens would make it look again
    and again through all libraries and tables, a tenth of a second each time in which no answer is read."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def stopping(asker: Asker, on_stopping: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM halt an asker, and take effect when the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if received:
            _deliver(number, previous[number])
        received.append(number)
        asker.halt()
        on_stopping()

    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    previous = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for number in previous:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received:
        _deliver(received[0], previous[received[0]])


def _deliver(number: int, handler: Any) -> None:
    """Do what the signal would have done."""
    if callable(handler):
        handler(number, None)
    raise KeyboardInterrupt
