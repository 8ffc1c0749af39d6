"""What a study would cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pydantic import BaseModel

from llmguide.errors import MissingAnswers
from llmguide.guidance.advice import FACTORS, AnalystReply, Factor, FeatureUse, StrategistReply
from llmguide.guidance.doubt.coding import CodedFeature, CodedReply
from llmguide.guidance.doubt.memory_questions import IdentityReply, RecallReply
from llmguide.guidance.inquiries.bias_study import BiasStudy, run_bias
from llmguide.guidance.inquiries.memory_study import MemoryStudy, run_memory
from llmguide.guidance.review.judge import RubricReply, run_judge
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.study import Study, run_study
from llmguide.guidance.tuning.replies import ADVICE, JudgeReply, LabelReply, RankedFeature, RankReply, WriterReply
from llmguide.llm.access import Access
from llmguide.llm.asking import Asked, Asker, Plan
from llmguide.llm.cache import Cache
from llmguide.llm.ledger import Purpose, Spending
from llmguide.llm.protocol import Draw, Message, Request

__all__ = ["Planner", "offline", "plan_bias", "plan_judge", "plan_memory", "plan_study", "walked"]

T = TypeVar("T", bound=BaseModel)

_LINE = "a plausible sentence about what the data of a month say of the one after, and what to do about that"
_WORDS = " ".join(["a plausible sentence about what the data of the month seem to say"] * 12)
_TYPICAL: dict[type[BaseModel], BaseModel] = {
    StrategistReply: StrategistReply(
        explanation=_WORDS,
        features=[FeatureUse(name="technical.sma_50_slope", direction="LONG", weight=2)] * 6,
        direction="LONG",
        confidence=2,
    ),
    CodedReply: CodedReply(
        explanation=_WORDS,
        features=[CodedFeature(name="technical.sma_50_slope", direction="X", weight=2)] * 6,
        direction="X",
        confidence=2,
    ),
    RecallReply: RecallReply(direction="LONG"),
    IdentityReply: IdentityReply(instrument=1, year=2000, month=1),
    RubricReply: RubricReply(comment=_WORDS[:400], rationale=2, fidelity=2, safety=2),
    AnalystReply: AnalystReply(factors=[Factor(text=_WORDS[:300], sentiment=1, impact=2)] * FACTORS),
    LabelReply: LabelReply(rationale=_LINE, features=[RankedFeature(name="technical.sma_50_slope", importance=2)] * 6),
    RankReply: RankReply(features=[RankedFeature(name="technical.sma_50_slope", importance=2)] * 6),
    WriterReply: WriterReply(why=_LINE, instructions=[_LINE] * 8),
    JudgeReply: JudgeReply(criticism=_LINE, advice=[_LINE] * ADVICE),
}

_SHORT = (RecallReply.__name__, IdentityReply.__name__)
_SHORT_TOKENS = 20


def plan_study(study: Study, access: Access) -> Plan:
    """Return the calls, tokens and dollars that a study still needs, without sending anything.

    The study is walked through as it will be: questions that the cache answers are counted as kept; in the place of
    each other answer stands one of typical length, so that the prompts that build on it have their usual size too.
    """
    return walked(access, partial(run_study, study))


def plan_memory(study: MemoryStudy, access: Access) -> Plan:
    """Return the calls, tokens and dollars that measuring the memory still needs, without sending anything."""
    return walked(access, partial(run_memory, study))


def plan_bias(study: BiasStudy, access: Access) -> Plan:
    """Return the calls, tokens and dollars that measuring the biases still needs, without sending anything."""
    return walked(access, partial(run_bias, study))


def plan_judge(packet: Packet, access: Access) -> Plan:
    """Return the calls, tokens and dollars that a judge of a review still needs, without sending anything."""
    return walked(access, partial(run_judge, packet))


def walked(access: Access, walk: Callable[[Planner], object]) -> Plan:
    """Return the calls, tokens and dollars that a walk still needs, with an asker that sends nothing."""
    with offline(access) as settings:
        asker = settings.build(Planner)
        walk(asker)
        return asker.all_needed()


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


class Planner(Asker):
    """Answers from the cache, and notes down what it cannot answer in `needed`; a made-up answer stands in for it."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.needed: list[Request] = []
        self.kept = 0

    def all_needed(self) -> Plan:
        """Return the plan of all that is needed; replies of a few words are counted as such."""
        short = [request for request in self.needed if request.schema_name in _SHORT]
        long = [request for request in self.needed if request.schema_name not in _SHORT]
        if not short:
            return self.plan(long)._replace(kept=self.kept)
        one, other = self.plan(long), self.plan(short, reply_tokens=_SHORT_TOKENS)
        return Plan(
            calls=one.calls + other.calls,
            kept=self.kept,
            prompt_tokens=one.prompt_tokens + other.prompt_tokens,
            completion_tokens=one.completion_tokens + other.completion_tokens,
            dollars=_both(one.dollars, other.dollars),
            most_dollars=_both(one.most_dollars, other.most_dollars),
        )

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
            asked = await super().ask(messages, kind, purpose=purpose, priority=priority, note=note, draw=draw)
        except MissingAnswers:
            request = self.request(messages, kind, draw=draw)
            self.needed.append(request)
            stand_in: Any = _stand_in(kind, len(self.needed))
            return Asked(stand_in, None, None, (request,), Spending(), 0)
        self.kept += len(asked.requests)
        return asked


def _stand_in(kind: type[BaseModel], number: int) -> BaseModel:
    """Return a reply of typical length; one that later questions quote differs, since equal ones are asked once."""
    typical = _TYPICAL[kind]
    if isinstance(typical, WriterReply):
        return typical.model_copy(update={"instructions": [*typical.instructions[1:], f"{_LINE} {number}"]})
    if isinstance(typical, LabelReply):
        return typical.model_copy(update={"rationale": f"{_LINE} {number}"})
    return typical


def _both(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
