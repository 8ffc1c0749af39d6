"""What a study would cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pydantic import BaseModel

from llmguide.errors import MissingAnswers
from llmguide.guidance.advice import FACTORS, AnalystReply, Factor, FeatureUse, StrategistReply
from llmguide.guidance.study import Study, run_study
from llmguide.llm.access import Access
from llmguide.llm.asking import Asked, Asker, Plan
from llmguide.llm.cache import Cache
from llmguide.llm.ledger import Purpose, Spending
from llmguide.llm.protocol import Message, Request

__all__ = ["offline", "plan_study"]

T = TypeVar("T", bound=BaseModel)

_WORDS = " ".join(["a plausible sentence about what the data of the month seem to say"] * 12)
_TYPICAL: dict[type[BaseModel], BaseModel] = {
    StrategistReply: StrategistReply(
        explanation=_WORDS,
        features=[FeatureUse(name="technical.sma_50_slope", direction="LONG", weight=2)] * 6,
        direction="LONG",
        confidence=2,
    ),
    AnalystReply: AnalystReply(factors=[Factor(text=_WORDS[:300], sentiment=1, impact=2)] * FACTORS),
}


def plan_study(study: Study, access: Access) -> Plan:
    """Return the calls, tokens and dollars that a study still needs, without sending anything.

    The study is walked through as it will be: questions that the cache answers are counted as kept; in the place of
    each other answer stands one of typical length, so that the prompts that build on it have their usual size too.
    """
    with offline(access) as settings:
        asker = settings.build(_Planner)
        run_study(study, asker)
        return asker.plan(asker.needed)._replace(kept=asker.kept)


@contextmanager
def offline(access: Access) -> Iterator[Access]:
    """Yield settings that send nothing, and find in the cache what `access` would find; no file is left behind.

    Without replay that is what its own endpoint has said, and no other.
    """
    with TemporaryDirectory() as folder:
        cache = Path(access.cache)
        if not cache.exists():
            cache = Path(folder) / "empty.sqlite"
            Cache(cache).close()
        url = access.base_url if access.replay or access.model_file is not None else access.endpoint
        yield replace(access, replay=True, base_url=url, cache=cache, budget=None, strict=False)


class _Planner(Asker):
    """Answers from the cache, and notes down what it cannot answer."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.needed: list[Request] = []
        self.kept = 0

    async def ask(
        self, messages: Sequence[Message], kind: type[T], *, purpose: Purpose, priority: float = 0.0, note: str = ""
    ) -> Asked[T]:
        try:
            asked = await super().ask(messages, kind, purpose=purpose, priority=priority, note=note)
        except MissingAnswers:
            request = self.request(messages, kind)
            self.needed.append(request)
            stand_in: Any = _TYPICAL[kind]
            return Asked(stand_in, None, None, (request,), Spending(), 0)
        self.kept += len(asked.requests)
        return asked
