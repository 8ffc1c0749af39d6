"""The biases of a model and a prompt: the questions of `llmguide bias`, and their answers.

plain       the Strategist's question, as `llmguide guide` asks it
coded       the same in the four forms of `llmguide.guidance.doubt.coding`, as `--debias` asks it
paraphrase  the same with its first paragraph in other words
bare        the same with bars alone, without external tables
mirrored    bare, with the returns' signs flipped
null        the question of a month in which nothing moved, plain and in the four forms; once for all months

News and earlier decisions are left out. No question depends on the answer to another: all are asked side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import pandas as pd

from llmguide.guidance.advice import StrategistReply
from llmguide.guidance.doubt.coding import FORMS, Form
from llmguide.guidance.doubt.debias import ask_in_form
from llmguide.guidance.inquiries.bias_questions import flat_bars, paraphrased, replaces_own
from llmguide.guidance.inquiries.inquiry import Inquiry, ask_side_by_side
from llmguide.guidance.inquiries.mirror import mirrored
from llmguide.guidance.strategist import Subject, prepare, write_prompt
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose
from llmguide.llm.odds import known_share
from llmguide.llm.probe import Capabilities
from llmguide.llm.protocol import Message
from llmguide.sources.tables import Tables

__all__ = ["BiasAnswer", "BiasQuestion", "BiasStudy", "run_bias"]


class BiasQuestion(NamedTuple):
    """One question; see the module for the kinds."""

    kind: str
    symbol: str  # "" for null
    issued_at: pd.Timestamp | None  # None for null
    messages: tuple[Message, ...]  # before they are put into their form
    form: Form | None = None  # of coded questions, null ones among them


class BiasAnswer(NamedTuple):
    """What came of a question; all None where there is no usable answer."""

    question: BiasQuestion
    direction: int | None = None  # 1 long, 0 short, whatever they were called
    p_long: float | None = None  # at the direction's token; None without log-probabilities
    model: str = ""


@dataclass(frozen=True, eq=False)
class BiasStudy(Inquiry):
    """What is to be asked about the months of some instruments; the seed is the bootstrap's."""

    @cached_property
    def questions(self) -> tuple[BiasQuestion, ...]:
        """All questions, in a fixed order."""
        return tuple(self._questions())

    @property
    def paraphrases_own(self) -> bool:
        """Whether the paraphrase says the same in other words: the first paragraph is that of llmguide's prompts."""
        return replaces_own(self.questions[0].messages, horizon=self.brief.every)

    def _questions(self) -> Iterator[BiasQuestion]:
        yield from _in_all_forms("null", "", None, self._null())
        for subject in self.subjects:
            bare = replace(subject, tables=Tables())
            for month in self.months(subject):
                day = month.issued_at
                ask = partial(BiasQuestion, symbol=subject.symbol, issued_at=day)
                messages = write_prompt(self.prompt, subject, month, self.brief)
                yield from _in_all_forms("plain", subject.symbol, day, messages)
                yield ask("paraphrase", messages=paraphrased(messages, horizon=self.brief.every))
                for kind, bars in (("bare", month.known), ("mirrored", mirrored(month.known))):
                    shown = prepare(bare, day, bars, every=self.brief.every, levels=self.brief.levels)
                    yield ask(kind, messages=write_prompt(self.prompt, bare, shown, self.brief))

    def _null(self) -> tuple[Message, ...]:
        bars, brief = flat_bars(), replace(self.brief, anonymous=True)
        after = bars.index[-1] + pd.offsets.BDay()
        nothing = Subject("instrument", bars)
        month = prepare(nothing, after, bars, every=brief.every, levels=brief.levels)
        return write_prompt(self.prompt, nothing, month, brief)


def run_bias(
    study: BiasStudy,
    asker: Asker,
    *,
    on_ready: Callable[[Capabilities], None] = lambda capabilities: None,
    on_answer: Callable[[BiasAnswer], None] = lambda answer: None,
    on_stopping: Callable[[], None] = lambda: None,
) -> tuple[BiasAnswer, ...]:
    """Ask everything and return the answers in the order of the questions; what goes wrong is as in `run_study`."""
    answer = partial(_answer, version=study.version, asker=asker)
    return ask_side_by_side(
        study.questions, answer, asker, on_ready=on_ready, on_answer=on_answer, on_stopping=on_stopping
    )


def _in_all_forms(
    kind: str, symbol: str, day: pd.Timestamp | None, messages: tuple[Message, ...]
) -> Iterator[BiasQuestion]:
    yield BiasQuestion(kind, symbol, day, messages)
    for form in FORMS:
        yield BiasQuestion("null" if kind == "null" else "coded", symbol, day, messages, form)


async def _answer(question: BiasQuestion, version: str, asker: Asker) -> BiasAnswer:
    day = "" if question.issued_at is None else f"{question.issued_at:%Y-%m-%d}"
    purpose = Purpose(asker.study, "bias", question.symbol or "flat month", version, day)
    if question.form is not None:
        view = await ask_in_form(question.messages, question.form, asker, purpose)
        return BiasAnswer(question, view.direction, view.p_long)
    asked = await asker.ask(question.messages, StrategistReply, purpose=purpose, note=question.kind)
    model = asker.model if asked.completion is None else asked.completion.model
    if asked.value is None:
        return BiasAnswer(question, model=model)
    said = int(asked.value.direction == "LONG")
    return BiasAnswer(question, said, known_share(asked.completion, "direction", "LONG"), model)
