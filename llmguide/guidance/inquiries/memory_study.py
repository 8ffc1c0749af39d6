"""What a model remembers: the questions of `llmguide memory`, and their answers.

named     the direction of an instrument and a date, without data
null      the same of no instrument and no date, in both orders of the directions
identity  which instrument and month an anonymous prompt describes
base      the Strategist's question with name, date and the bars alone
mirrored  the same with the returns' signs flipped
swapped   the same with the bars of another month under this month's name and date

No question depends on the answer to another: all are asked side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel

from llmguide.errors import GuidanceError
from llmguide.guidance.advice import StrategistReply
from llmguide.guidance.doubt.memory_questions import (
    ORDERS,
    IdentityReply,
    RecallReply,
    anonymous_question,
    full_name,
    identity_question,
    named_question,
)
from llmguide.guidance.inquiries.inquiry import Inquiry, ask_side_by_side
from llmguide.guidance.inquiries.mirror import mirrored
from llmguide.guidance.strategist import Month, Subject, prepare, write_prompt
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose
from llmguide.llm.odds import known_share
from llmguide.llm.probe import Capabilities
from llmguide.llm.protocol import Message
from llmguide.sources.tables import Tables

__all__ = ["DECOYS", "MEASURES", "OPTIONS", "MemoryAnswer", "MemoryStudy", "Question", "run_memory"]

MEASURES = ("recall", "identification", "counterfactual")
OPTIONS = 8
"""Instruments to choose from."""

DECOYS = (
    *("AAPL", "MSFT", "AMZN", "GOOGL", "JPM", "XOM", "KO", "PFE", "WMT", "BA", "CAT", "DIS", "INTC", "NKE", "HSBC"),
    *("TM",),
)
"""Instruments that fill the list where a study has fewer."""


class Question(NamedTuple):
    """One question; see the module for the kinds."""

    kind: str
    symbol: str  # "" for null
    issued_at: pd.Timestamp | None  # None for null
    messages: tuple[Message, ...]
    schema: type[BaseModel]
    detail: Any = None  # null: the order; identity: the options; swapped: the month whose bars are shown


class MemoryAnswer(NamedTuple):
    """What came of a question; all None where there is no usable answer."""

    question: Question
    direction: int | None = None  # 1 long, 0 short
    p_long: float | None = None  # at the direction's token; None without log-probabilities
    identity: IdentityReply | None = None
    failure: str = ""
    model: str = ""


@dataclass(frozen=True, eq=False)
class MemoryStudy(Inquiry):
    """What is to be asked about the months of some instruments.

    Attributes:
        subjects: the instruments.
        prompt: of the Strategist; its news and earlier decisions are left out.
        brief: schedule, objective and risk profile; `anonymous` is set by each question.
        seed: of the lists of instruments and the swapped months.
        cutoff: the last day that the model can know of, as the user states.
        measures: which of `MEASURES` to take.

    Raises GuidanceError for an unknown measure or none, and as `Study` does.
    """

    cutoff: date | None = None
    measures: tuple[str, ...] = MEASURES

    def __post_init__(self) -> None:
        unknown = [name for name in self.measures if name not in MEASURES]
        if unknown or not self.measures:
            raise GuidanceError(f"expected measures among {', '.join(MEASURES)}, got {', '.join(unknown) or 'none'}")
        super().__post_init__()

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """All questions, in a fixed order; the same seed gives the same ones."""
        return tuple(self._questions())

    def _questions(self) -> Iterator[Question]:
        every = self.brief.every
        if "recall" in self.measures:
            for order in ORDERS:
                yield Question("null", "", None, anonymous_question(order, horizon=every), RecallReply, order)
        for place, subject in enumerate(self.subjects):
            days = [subject.bars.index[i] for i in self.positions(subject)]
            if "recall" in self.measures:
                name = full_name(subject.symbol, subject.names)
                for day in days:
                    messages = named_question(name, day, horizon=every)
                    yield Question("named", subject.symbol, day, messages, RecallReply)
            if "identification" in self.measures:
                yield from self._identities(subject, np.random.default_rng([self.seed, place, 0]))
            if "counterfactual" in self.measures:
                yield from self._counterfactuals(subject, np.random.default_rng([self.seed, place, 1]))

    def _identities(self, subject: Subject, random: np.random.Generator) -> Iterator[Question]:
        others = [other.symbol for other in self.subjects] + list(DECOYS)
        others = [name for name in dict.fromkeys(others) if name.upper() != subject.symbol.upper()]
        brief = replace(self.brief, anonymous=True)
        for month in self.months(subject):
            drawn = random.choice(len(others), size=min(OPTIONS - 1, len(others)), replace=False)
            options = [subject.symbol, *(others[i] for i in drawn)]
            options = [options[i] for i in random.permutation(len(options))]
            messages = identity_question(write_prompt(self.prompt, subject, month, brief), options)
            yield Question("identity", subject.symbol, month.issued_at, messages, IdentityReply, tuple(options))

    def _counterfactuals(self, subject: Subject, random: np.random.Generator) -> Iterator[Question]:
        bare, brief = replace(subject, tables=Tables()), replace(self.brief, anonymous=False)
        months = {month.issued_at: month for month in self.months(bare)}
        partners = self._partners(subject, list(months), random)

        def ask(kind: str, day: pd.Timestamp, shown: Month, detail: Any = None) -> Question:
            messages = write_prompt(self.prompt, bare, shown._replace(issued_at=day), brief)
            return Question(kind, subject.symbol, day, messages, StrategistReply, detail)

        for day, month in months.items():
            yield ask("base", day, month)
            yield ask(
                "mirrored", day, prepare(bare, day, mirrored(month.known), every=brief.every, levels=brief.levels)
            )
            if day in partners:
                yield ask("swapped", day, months[partners[day]], partners[day])

    def _partners(
        self, subject: Subject, days: Sequence[pd.Timestamp], random: np.random.Generator
    ) -> dict[pd.Timestamp, pd.Timestamp]:
        """Pair months that rose with months that fell: of such a pair, memory and facts say different things."""
        realised = [self.outcomes[subject.symbol, day] for day in days]
        rose = [day for day, change in zip(days, realised, strict=True) if change > 0]
        fell = [day for day, change in zip(days, realised, strict=True) if change < 0]
        one = [rose[i] for i in random.permutation(len(rose))]
        other = [fell[i] for i in random.permutation(len(fell))]
        pairs = list(zip(one, other, strict=False))
        return dict(pairs) | {b: a for a, b in pairs}


def run_memory(
    study: MemoryStudy,
    asker: Asker,
    *,
    on_ready: Callable[[Capabilities], None] = lambda capabilities: None,
    on_answer: Callable[[MemoryAnswer], None] = lambda answer: None,
    on_stopping: Callable[[], None] = lambda: None,
) -> tuple[MemoryAnswer, ...]:
    """Ask everything and return the answers in the order of the questions; what goes wrong is as in `run_study`."""
    answer = partial(_answer, version=study.version, asker=asker)
    return ask_side_by_side(
        study.questions, answer, asker, on_ready=on_ready, on_answer=on_answer, on_stopping=on_stopping
    )


async def _answer(question: Question, version: str, asker: Asker) -> MemoryAnswer:
    day = "" if question.issued_at is None else f"{question.issued_at:%Y-%m-%d}"
    prompt = "memory" if question.schema is RecallReply else version
    purpose = Purpose(asker.study, "memory", question.symbol or "anonymous", prompt, day)
    asked = await asker.ask(question.messages, question.schema, purpose=purpose, note=question.kind)
    model = asker.model if asked.completion is None else asked.completion.model
    if asked.value is None:
        return MemoryAnswer(question, failure=str(asked.failure), model=model)
    if isinstance(asked.value, IdentityReply):
        return MemoryAnswer(question, identity=asked.value, model=model)
    said = getattr(asked.value, "direction")  # noqa: B009  # RecallReply and StrategistReply have it
    return MemoryAnswer(question, int(said == "LONG"), known_share(asked.completion, "direction", "LONG"), model=model)
