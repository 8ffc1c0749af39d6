"""A study without memory by the Batch API: its questions in rounds, the Analyst's before those that build on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel

from llmguide.errors import EndpointError, GuidanceError, MissingAnswers
from llmguide.guidance.advice import AnalystReply, StrategistReply
from llmguide.guidance.doubt.coding import CodedReply
from llmguide.guidance.planning import offline
from llmguide.guidance.strategist import uses_memory
from llmguide.guidance.study import Study, run_study
from llmguide.llm.access import Access
from llmguide.llm.asking import Asked, Asker
from llmguide.llm.batch import Batches, Wanted
from llmguide.llm.leases import Leases
from llmguide.llm.ledger import Purpose
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.protocol import Draw, Message, Request
from llmguide.llm.templates import prompt_version
from llmguide.llm.waiting import wait_for

__all__ = ["batch_study", "refuse_memory"]

T = TypeVar("T", bound=BaseModel)


def refuse_memory(study: Study) -> None:
    """Raise GuidanceError where a prompt shows earlier answers: its months cannot be asked all at once."""
    named = [prompt_version(prompt) for prompt in study.prompts if uses_memory(prompt)]
    if named:
        raise GuidanceError(
            f"expected prompts without memory for --batch, got {', '.join(named)}, whose questions include "
            "earlier answers and so must be asked one by one; leave them out, or leave --batch out"
        )


def batch_study(
    study: Study, access: Access, *, name: str, on_state: Callable[[str], None] = lambda line: None
) -> None:
    """Ask what the study called `name` still needs by the Batch API, and keep the answers; `run_study` then finds them.

    Batches that an earlier run has sent are fetched first. Replies that cannot be used are kept as they are: asking
    once more is `run_study`'s.

    Raises GuidanceError for prompts with memory, BudgetError before anything is sent that the budget cannot hold, and
    EndpointError for questions that got no answer: the next run asks them again.
    """
    refuse_memory(study)
    if access.model_file is not None:
        raise GuidanceError("a local model has no Batch API and costs nothing; leave --batch out")
    wait_for(_all_rounds(study, access, name, on_state))


async def _all_rounds(study: Study, access: Access, name: str, on_state: Callable[[str], None]) -> None:
    asker = access.asker(study=name)
    client = OpenAIClient(
        base_url=access.base_url, api_key=access.api_key, timeout=access.timeout, max_retries=access.max_retries
    )
    batches = Batches(asker, client, kinds=(StrategistReply, AnalystReply, CodedReply), on_state=on_state)
    leases, sending = Leases(asker.cache), Request("batch", (), name, "{}")  # one process at a time sends
    try:
        await asker.open()  # the questions depend on what the endpoint can do
        client.renames_limit = client.renames_limit or "max_tokens" in asker.capabilities.refused
        while True:
            found = await batches.fetch()
            if found.lost:
                raise EndpointError(
                    f"{client.endpoint}: {found.lost} of {found.kept + found.lost} questions of the batch got no "
                    f"answer ({'; '.join(found.reasons[:3])}); the other answers are kept; run the same "
                    f"command again to ask them again"
                )
            async with leases.held(sending, client.endpoint) as ours:
                if not ours:  # another process is about to send the same
                    await leases.change()
                elif not batches.open:
                    wanted = await asyncio.to_thread(_still_wanted, study, access, name)
                    if not wanted:
                        return
                    await batches.send(wanted)
    finally:
        await client.close()
        await asker.close()


def _still_wanted(study: Study, access: Access, name: str) -> list[Wanted]:
    """Walk through the study with the answers that there are, and return the questions that can be asked now."""
    with offline(access) as settings:
        collector = settings.build(_Collector, study=name)
        with suppress(MissingAnswers):
            run_study(study, collector)
        return list(collector.wanted.values())


class _Collector(Asker):
    """Answers from the cache, and notes down the questions that nothing has answered."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.wanted: dict[str, Wanted] = {}  # by the request's key

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
        try:
            return await super().ask(messages, kind, purpose=purpose, priority=priority, note=note, draw=draw)
        except MissingAnswers:
            request = self.request(messages, kind, draw=draw)
            if self.cache.get(request, endpoint=self.endpoint) is None:  # else its reply was of no use
                self.wanted.setdefault(request.key, Wanted(request, purpose, note))
            raise
