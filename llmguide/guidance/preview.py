"""What would be sent for one month, shown instead of sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from pydantic import BaseModel

from llmguide.errors import GuidanceError, MissingAnswers, did_you_mean
from llmguide.guidance.advice import Advice, StrategistReply
from llmguide.guidance.news.analyst import NewsBrief
from llmguide.guidance.planning import offline
from llmguide.guidance.strategist import (
    FIRST_DECISION,
    advise,
    condense_news,
    uses_memory,
    uses_news,
    write_prompt,
)
from llmguide.guidance.study import Study
from llmguide.llm.access import Access
from llmguide.llm.asking import Asked, Asker
from llmguide.llm.ledger import Purpose
from llmguide.llm.protocol import Draw, Message, Request
from llmguide.llm.waiting import wait_for

__all__ = ["Preview", "preview"]

T = TypeVar("T", bound=BaseModel)
ROLES = ("strategist", "analyst")
NO_FACTORS_YET = "[the Analyst's factors: not in the cache yet]"
NO_MEMORY_YET = "[your last decisions: not in the cache yet]"


class Preview(NamedTuple):
    """The questions of one month, and what they would show if more had been answered."""

    issued_at: datetime
    requests: list[dict[str, Any]]  # as they would be sent: messages, schema, sampling
    missing: list[str]  # what is not shown, in words: mostly earlier answers that the cache does not hold


def preview(study: Study, access: Access, *, day: str, following: bool = False, role: str = "strategist") -> Preview:
    """Return the questions behind the guidance in force on `day`, of the study's one subject and prompt.

    They are those of the last decision on or before that day; with `following` those of the first one after it. Answers
    that they build on are those that the cache has of the endpoint that would be asked; a text in brackets stands for
    those that it lacks. Raises GuidanceError for a day
    before the first decision (with `following`: on or after the last), or an unknown role.
    """
    if role not in ROLES:
        raise GuidanceError(f"expected the role {' or '.join(ROLES)}, got {role!r}{did_you_mean(role, ROLES)}")
    with offline(access) as settings:
        return wait_for(_preview(study, settings, _day(day), following, role))


def _day(text: str) -> pd.Timestamp:
    with suppress(ValueError):
        day = pd.Timestamp(text)
        if not pd.isna(day) and day.tz is None:
            return day
    raise GuidanceError(f"expected a date such as 2018-02-14, got {text!r}")


async def _preview(study: Study, access: Access, day: pd.Timestamp, following: bool, role: str) -> Preview:
    (subject,) = study.subjects
    dates = subject.bars.index[list(study.positions(subject))]
    number = int(dates.searchsorted(day, side="right")) - (not following)
    if number < 0:
        raise GuidanceError(
            f"there is no guidance yet on {day:%Y-%m-%d}: the first decision of these bars is on "
            f"{dates[0]:%Y-%m-%d}; ask for a later day, or for the next decision"
        )
    if number == len(dates):
        raise GuidanceError(
            f"no decision follows {day:%Y-%m-%d}: the last one of these bars is on {dates[-1]:%Y-%m-%d}; ask for an "
            "earlier day"
        )
    asker = access.build(_Listener)
    try:
        await asker.open()
        return await _listen(study, asker, number, role)
    finally:
        await asker.close()


async def _listen(study: Study, asker: _Listener, number: int, role: str) -> Preview:
    (subject,), (prompt,), brief = study.subjects, study.prompts, study.brief
    missing: list[str] = []
    month = next(islice(study.months(subject), number, None))
    news: NewsBrief | None = None
    if uses_news(prompt) or role == "analyst":
        try:
            news = await condense_news(subject, month, brief, asker)
        except MissingAnswers:
            missing.append("the Analyst has not been asked about this month: its factors are not shown")
    questions = list(asker.heard)
    if role == "analyst" and not questions:
        missing.append("there are no headlines of this month that could be shown: the Analyst is not asked")
    if role == "strategist":
        if news is not None and news.failure:
            missing.append(
                f"the Analyst gave no usable answer about this month, so there are no factors: {news.failure}"
            )
        past, gone = await _past(study, asker, number) if uses_memory(prompt) else ([], 0)
        if gone:
            missing.append(
                f"{gone} of the last {min(brief.memory, number)} decisions are not in the cache: none is shown"
            )
        messages = write_prompt(
            prompt,
            subject,
            month,
            brief,
            past=() if gone else past,
            factors=news.factors if news else (),
            news_failed=bool(news and news.failure),
            no_factors=NO_FACTORS_YET if uses_news(prompt) and news is None else "",
            no_memory=NO_MEMORY_YET if gone else FIRST_DECISION,
        )
        questions = [asker.request(messages, StrategistReply)]
    return Preview(month.issued_at.to_pydatetime(), [_as_sent(question) for question in questions], missing)


async def _past(study: Study, asker: Asker, number: int) -> tuple[list[Advice], int]:
    """Return the advice that month `number` remembers, and how many of its pieces the cache does not hold."""
    (subject,), (prompt,), brief = study.subjects, study.prompts, study.brief
    past: list[Advice] = []
    for n, month in zip(range(number), study.months(subject), strict=False):
        try:
            news = await condense_news(subject, month, brief, asker) if uses_news(prompt) else None
            past.append(await advise(prompt, subject, month, brief, asker, past=past, news=news))
        except MissingAnswers:
            # Later questions build on this answer: none of them can be found either.
            first = max(0, number - brief.memory)
            return past[first:], number - max(n, first)
    return past, 0


def _as_sent(request: Request) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(request.to_json())
    messages = [message._asdict() for message in request.messages]
    return {**fields, "messages": messages, "schema_json": json.loads(request.schema_json)}


class _Listener(Asker):
    """A replay that keeps what it was asked."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heard: list[Request] = []

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
        self.heard.append(self.request(messages, kind, draw=draw))
        return await super().ask(messages, kind, purpose=purpose, priority=priority, note=note, draw=draw)
