"""The Strategist: one question a month, from what was known, answered with a direction, a confidence and reasons.

Walk one month through it: `prepare` turns the bars before the decision and the tables as of then into facts and the
headlines of the month; `write_prompt` fills the template with them; `advise` asks, measures the reply's uncertainty,
and keeps everything in an `Advice`, whose `row` is a row of the guidance table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import pandas as pd
from pydantic import BaseModel

from llmguide.errors import GuidanceError, TimedOutError
from llmguide.features.facts import Facts, facts_at
from llmguide.features.legend import legend
from llmguide.features.levels import Levels, check_levels
from llmguide.features.news import Headline, headlines
from llmguide.guidance.advice import Advice, Factor, StrategistReply
from llmguide.guidance.doubt.debias import ask_in_all_forms, debias
from llmguide.guidance.doubt.suppression import Suppression, ask_memory, require_logprobs, suppress
from llmguide.guidance.doubt.votes import ask_votes, vote
from llmguide.guidance.memory import recall
from llmguide.guidance.news.analyst import CONTEXT_CHARS, LEAST_CONTEXT, NewsBrief, condense
from llmguide.guidance.news.anonymise import Names
from llmguide.guidance.revision import Revision
from llmguide.guidance.schedule import EVERY, FIRST, daily_bars
from llmguide.llm.asking import Asked, Asker
from llmguide.llm.ledger import Purpose, Spending
from llmguide.llm.odds import known_share
from llmguide.llm.protocol import Message
from llmguide.llm.templates import (
    NothingKnown,
    PromptTemplate,
    nothing,
    prompt_hash,
    prompt_version,
    read_template,
    render,
    variables,
)
from llmguide.llm.uncertainty import Uncertainty, fits, measure_field, measure_object
from llmguide.sources.tables import Tables

__all__ = ["Brief", "Month", "Subject", "advise", "condense_news", "prepare", "write_prompt"]

T = TypeVar("T", bound=BaseModel)

OBJECTIVE = "the highest return for the risk taken until the next decision, measured by the Sharpe ratio"
NO_NEWS = "No news is available."
NEWS_FAILED = "The news could not be read."
FIRST_DECISION = "None: this is the first."
RISK_PROFILE = "moderate: accepts the swings of a single share, avoids large drawdowns"


@dataclass(frozen=True, eq=False)
class Subject:
    """One instrument, and what is known of it beside its bars.

    Attributes:
        symbol: its name in tables and files; never sent to a model while `Brief.anonymous` holds.
        bars: its history, as `read_bars` returns it.
        tables: external tables, each row with the time of its publication.
        names: what the Analyst must not see; the symbol is always among them.
        since: ask for no guidance older than the one in force on this day; None for the whole history.
    """

    symbol: str
    bars: pd.DataFrame
    tables: Tables = field(default_factory=Tables)
    names: Names | None = None
    since: date | None = None

    def __post_init__(self) -> None:
        """See days, whatever the bars are (`daily_bars`): prompts and schedules count in trading days."""
        if isinstance(self.bars.index, pd.DatetimeIndex):  # the schedule refuses others
            object.__setattr__(self, "bars", daily_bars(self.bars))

    @cached_property
    def hidden(self) -> Names:
        """The names to replace; those of the symbol alone where no table of names was given."""
        return Names.of(self.symbol) if self.names is None else self.names.including(self.symbol)


@dataclass(frozen=True)
class Brief:
    """How the Strategist is asked; the same for every month and instrument.

    Attributes:
        every: bars from one decision to the next.
        first: the bar of the first decision, from 0.
        memory: how many earlier decisions a prompt with memory (P2 and later) shows.
        objective: what the model is asked to pursue, as a text for the prompt.
        risk_profile: the investor's attitude to risk, as a text for the prompt.
        anonymous: hide symbol and date from the model.
        context_chars: characters of headlines in one question to the Analyst; a longer month is read in parts.
        levels: "relative" states prices, indices and volumes relative to a reference, so that they give away neither
            instrument nor day, and hides those in headlines; "absolute" states them as they are, which is the paper's
            form.
        suppress: removes what the model remembers from its directions; None leaves them as they are.
        debias: ask four more times under neutral labels, and remove the preference for words and orders.
        samples: ask this many more times at temperature 0.7, and take the direction of most answers; 0 for none.

    At most one of the last three, since each makes a direction of its own; GuidanceError for more, and for values out
    of range.
    """

    every: int = EVERY
    first: int = FIRST
    memory: int = 3
    objective: str = OBJECTIVE
    risk_profile: str = RISK_PROFILE
    anonymous: bool = True
    context_chars: int = CONTEXT_CHARS
    levels: Levels = "relative"
    suppress: Suppression | None = None
    debias: bool = False
    samples: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if self.memory < 0:
            raise GuidanceError(f"expected memory >= 0 earlier decisions, got {self.memory}")
        if self.context_chars < LEAST_CONTEXT:
            raise GuidanceError(f"expected context_chars >= {LEAST_CONTEXT}, got {self.context_chars}")
        check_levels(self.levels)
        if self.samples == 1 or self.samples < 0:
            raise GuidanceError(f"expected at least 2 samples, which then vote, or 0 for none; got {self.samples}")
        if (self.suppress is not None) + self.debias + (self.samples > 0) > 1:
            raise GuidanceError(
                "expected one of suppress, debias and samples, got several: each determines the direction in "
                "its own way; choose one"
            )


class Month(NamedTuple):
    """What was known for one decision; `known` are the bars before the one it is issued on."""

    issued_at: pd.Timestamp
    known: pd.DataFrame
    facts: Facts
    headlines: tuple[Headline, ...]


def prepare(
    subject: Subject,
    issued_at: pd.Timestamp,
    known: pd.DataFrame,
    *,
    every: int = EVERY,
    levels: Levels = "relative",
) -> Month:
    """Return what may be used for a decision issued on the date of the bar after `known`.

    Only the bars given and the rows of the tables that were public at the last one's close are looked at.
    """
    facts = facts_at(known, subject.tables, levels=levels)
    return Month(issued_at, known, facts, headlines(known, subject.tables.news, every=every))


def uses_news(template: str | Path | PromptTemplate) -> bool:
    """Whether a prompt shows the Analyst's factors."""
    return "factors" in variables(template)


def uses_memory(template: str | Path | PromptTemplate) -> bool:
    """Whether a prompt shows earlier decisions, so that its months must be asked one after the other."""
    return "memory" in variables(template)


def write_prompt(
    template: str | Path | PromptTemplate,
    subject: Subject,
    month: Month,
    brief: Brief,
    *,
    past: Sequence[Advice] = (),
    factors: Sequence[Factor] = (),
    news_failed: bool = False,
    no_factors: str = "",
    no_memory: str = FIRST_DECISION,
) -> tuple[Message, ...]:
    """Return the messages of one month: `past` is the advice given before, oldest first.

    `news_failed` says that there are no factors although there was news: the Analyst gave no usable answer. What stands
    in the place of factors and of earlier decisions where there are none may be given as a text. Raises NothingKnown
    where the template has nothing to ask about this month.
    """
    anonymise: Callable[[str], str] = subject.hidden.text if brief.anonymous else str
    return render(
        template,
        lines=month.facts.lines,
        legend=partial(legend, levels=month.facts.levels),
        levels=month.facts.levels,
        bars=month.facts.bars,
        close_only=month.facts.close_only,
        identity="" if brief.anonymous else f"{subject.symbol}, before {month.issued_at:%Y-%m-%d}",
        horizon=brief.every,
        objective=brief.objective,
        risk_profile=brief.risk_profile,
        memory=recall(past, month.known, last=brief.memory, anonymise=anonymise),
        factors=factors,
        news_failed=news_failed,
        no_factors=no_factors or (NEWS_FAILED if news_failed else NO_NEWS),
        no_memory=no_memory,
        nothing=nothing,
    )


async def condense_news(
    subject: Subject, month: Month, brief: Brief, asker: Asker, *, priority: float = 0.0
) -> NewsBrief:
    """Return the Analyst's view of the month's headlines; no question is asked where there are none."""

    async def ask(messages: Sequence[Message], kind: type[T], *, note: str = "") -> Asked[T]:
        purpose = Purpose(asker.study, "analyst", subject.symbol, "", f"{month.issued_at:%Y-%m-%d}")
        return await asker.ask(messages, kind, purpose=purpose, priority=priority, note=note)

    return await condense(
        month.headlines,
        subject.hidden,
        ask,
        at=month.facts.known_at,
        anonymous=brief.anonymous,
        context_chars=brief.context_chars,
        horizon=brief.every,
        levels=month.facts.levels,
    )


async def advise(
    template: str | Path | PromptTemplate,
    subject: Subject,
    month: Month,
    brief: Brief,
    asker: Asker,
    *,
    past: Sequence[Advice] = (),
    news: NewsBrief | None = None,
    priority: float = 0.0,
) -> Advice:
    """Ask for one month's guidance and return it with everything behind it.

    An answer that cannot be used becomes an abstention that says why, or ReplyError where the asker is strict.
    """
    if brief.suppress is not None:
        await require_logprobs(asker)
    template = read_template(template)  # once: the hash is of what is asked, though the file may change meanwhile
    version = prompt_version(template)
    factors, news_failure = ((), "") if news is None else (news.factors, news.failure)
    try:
        messages = write_prompt(
            template, subject, month, brief, past=past, factors=factors, news_failed=bool(news_failure)
        )
    except NothingKnown as why:
        return _unasked(template, subject, month, asker, news, str(why))
    purpose = Purpose(asker.study, "strategist", subject.symbol, version, f"{month.issued_at:%Y-%m-%d}")
    asked = await asker.ask(messages, StrategistReply, purpose=purpose, priority=priority)
    completion, k = asked.completion, asker.sampling.top_logprobs or 0
    nothing = Uncertainty(None, None, 0, 0)
    answered = completion is not None and asked.value is not None and k > 0
    whole, direction, confidence = nothing, nothing, nothing
    p_long = None
    if completion is not None and answered:
        whole = measure_object(completion, k=k)
        direction = measure_field(completion, "direction", k=k)
        confidence = measure_field(completion, "confidence", k=k)
        p_long = known_share(completion, "direction", "LONG")
    said = _Said(messages, asked.value, p_long)
    revised = await _revise(said, subject, month, brief, asker, purpose, priority)
    parts = [asked.cost, revised.cost, *([] if news is None else [news.cost])]
    return Advice(
        symbol=subject.symbol,
        prompt=version,
        issued_at=month.issued_at.to_pydatetime(),
        messages=asked.requests[-1].messages,
        factors=tuple(factors),
        news_note="" if news is None else news.outcome,
        reply=asked.value,
        failure="" if asked.failure is None else str(asked.failure),
        entropy=whole.entropy,
        perplexity=whole.perplexity,
        direction_entropy=direction.entropy,
        confidence_entropy=confidence.entropy,
        provider="llm",
        model=asker.model if completion is None else completion.model,
        fingerprint="" if completion is None else completion.fingerprint,
        prompt_hash=_hash(template, brief.levels),
        cost=Spending.total(parts),
        news_failure=news_failure,
        news_cost=Spending() if news is None else news.cost,
        p_long=said.p_long,
        timed_out=isinstance(asked.failure, TimedOutError),
        tokens_misfit=answered and completion is not None and not fits(completion),
        revision=revised.revision,
        unrevised=revised.missing,
    )


def _unasked(
    template: PromptTemplate, subject: Subject, month: Month, asker: Asker, news: NewsBrief | None, why: str
) -> Advice:
    """Return the abstention of a month about which there is nothing to ask."""
    return Advice(
        symbol=subject.symbol,
        prompt=prompt_version(template),
        issued_at=month.issued_at.to_pydatetime(),
        messages=(),
        factors=(),
        news_note="" if news is None else news.outcome,
        reply=None,
        failure=f"not asked: {why}",
        entropy=None,
        perplexity=None,
        direction_entropy=None,
        confidence_entropy=None,
        provider="llm",
        model=asker.model,
        fingerprint="",
        prompt_hash=_hash(template, month.facts.levels),
        cost=Spending() if news is None else news.cost,
        news_failure="" if news is None else news.failure,
        news_cost=Spending() if news is None else news.cost,
    )


class _Said(NamedTuple):
    """What the model was asked for a month, and what it said."""

    messages: tuple[Message, ...]
    reply: StrategistReply | None
    p_long: float | None


class _Revised(NamedTuple):
    """What further questions made of it."""

    revision: Revision | None = None
    missing: bool = False  # answers or log-probabilities that it takes did not come
    cost: Spending = Spending()


async def _revise(
    said: _Said, subject: Subject, month: Month, brief: Brief, asker: Asker, purpose: Purpose, priority: float
) -> _Revised:
    """Ask what the brief wants asked beside the Strategist's question, and revise the direction by it."""
    if brief.suppress is not None:
        return await _without_memory(said, subject, month, brief, brief.suppress, asker, priority)
    if said.reply is None or not (brief.debias or brief.samples):
        return _Revised()
    own = {"direction": int(said.reply.direction == "LONG"), "confidence": said.reply.confidence}
    if brief.debias:
        purpose = purpose._replace(role="debias")
        views = await ask_in_all_forms(said.messages, asker, purpose, priority=priority)
        revision: Revision | None = debias(views, **own)
        cost = Spending.total(view.cost for view in views)
    else:
        purpose = purpose._replace(role="vote")
        votes, cost = await ask_votes(said.messages, brief.samples, asker, purpose, priority=priority)
        revision = vote(votes, **own)
    return _Revised(revision, revision is None, cost)


async def _without_memory(
    said: _Said,
    subject: Subject,
    month: Month,
    brief: Brief,
    suppression: Suppression,
    asker: Asker,
    priority: float,
) -> _Revised:
    memory = await ask_memory(
        suppression,
        subject.symbol,
        subject.names,
        month.issued_at,
        month.known,
        asker,
        every=brief.every,
        first=brief.first,
        priority=priority,
    )
    if memory is None:
        return _Revised()
    if said.reply is None or said.p_long is None or memory.p_long is None:
        return _Revised(missing=said.reply is not None, cost=memory.cost)
    own = {"direction": int(said.reply.direction == "LONG"), "confidence": said.reply.confidence}
    return _Revised(suppress(said.p_long, memory.p_long, memory.alpha, **own), cost=memory.cost)


def _hash(template: PromptTemplate, levels: Levels) -> str:
    """Return the hash of all templates that a month is asked with, the Analyst's too where there is news.

    Levels that are not the default are part of it: the same template then asks something else.
    """
    templates = prompt_hash(template, StrategistReply, *(["analyst", "analyst-merge"] if uses_news(template) else []))
    return templates if levels == Brief.levels else hashlib.sha256(f"{templates} {levels}".encode()).hexdigest()
