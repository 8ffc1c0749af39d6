"""What would be sent for one month, shown instead of sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from pydantic import BaseModel

from llmguide.errors import GuidanceError, MissingAnswers, did_you_mean
from llmguide.guidance.advice import Advice
from llmguide.guidance.analyst import NewsBrief
from llmguide.guidance.strategist import advise, condense_news, uses_memory, uses_news
from llmguide.guidance.study import Study
from llmguide.llm.access import Access
from llmguide.llm.asking import Asked, Asker
from llmguide.llm.ledger import Purpose
from llmguide.llm.protocol import Message, Request
from llmguide.llm.waiting import wait_for

__all__ = ["Preview", "preview"]

T = TypeVar("T", bound=BaseModel)
ROLES = ("strategist", "analyst")


class Preview(NamedTuple):
    """The questions of one month, and what they would show if more had been answered."""

    issued_at: datetime
    requests: list[dict[str, Any]]  # as they would be sent: messages, schema, sampling
    missing: list[str]  # earlier answers that the cache does not hold, in words


def preview(study: Study, access: Access, *, day: str, role: str = "strategist") -> Preview:
    """Return the questions of the first decision on or after `day`, of the study's one subject and prompt.

    Raises GuidanceError for a day after the last decision, or an unknown role.
    """
    if role not in ROLES:
        raise GuidanceError(f"expected the role {' or '.join(ROLES)}, got {role!r}{did_you_mean(role, ROLES)}")
    return wait_for(_preview(study, replace(access, replay=True, budget=None, strict=False), day, role))


async def _preview(study: Study, access: Access, day: str, role: str) -> Preview:
    (subject,), (prompt,), brief = study.subjects, study.prompts, study.brief
    try:
        wanted = pd.Timestamp(day)
    except ValueError:
        raise GuidanceError(f"expected a date such as 2018-02-14, got {day!r}") from None
    months = list(study.months(subject))
    number = next((n for n, month in enumerate(months) if month.issued_at >= wanted), None)
    if number is None:
        raise GuidanceError(
            f"expected a day until {months[-1].issued_at:%Y-%m-%d}, the last decision of these bars, got {day}"
        )
    asker, missing = access.build(_Listener), []
    await asker.open()
    month = months[number]
    news: NewsBrief | None = None
    if uses_news(prompt) or role == "analyst":
        try:
            news = await condense_news(subject, month, brief, asker)
        except MissingAnswers:
            missing.append("the Analyst has not been asked about this month: its factors are left out")
    questions = list(asker.heard)
    if role == "strategist":
        past, gone = await _past(study, asker, number) if uses_memory(prompt) else ([], 0)
        if gone:
            missing.append(f"{gone} of the last {min(brief.memory, number)} decisions are not in the cache: left out")
        asker.heard.clear()
        with suppress(MissingAnswers):  # that it has not been asked yet is no matter: the question is what is wanted
            await advise(prompt, subject, month, brief, asker, past=past, news=news)
        questions = asker.heard[:1]
    await asker.close()
    return Preview(month.issued_at.to_pydatetime(), [_as_sent(question) for question in questions], missing)


async def _past(study: Study, asker: Asker, number: int) -> tuple[list[Advice], int]:
    """Return the advice that the month before `number` remembers, and how many of them the cache does not hold."""
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
        self, messages: Sequence[Message], kind: type[T], *, purpose: Purpose, priority: float = 0.0, note: str = ""
    ) -> Asked[T]:
        self.heard.append(self.request(messages, kind))
        return await super().ask(messages, kind, purpose=purpose, priority=priority, note=note)
