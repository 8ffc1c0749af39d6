"""The writer and the judge: what each is shown, and asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llmguide.features.fact import as_percent
from llmguide.features.legend import legend
from llmguide.guidance.advice import Advice
from llmguide.guidance.strategist import Brief
from llmguide.guidance.tuning.draft import Draft
from llmguide.guidance.tuning.lessons import Lessons
from llmguide.guidance.tuning.replies import (
    ADVICE,
    CRITICISM_WORDS,
    INSTRUCTION_WORDS,
    INSTRUCTIONS,
    RATIONALE_WORDS,
    JudgeReply,
)
from llmguide.llm.protocol import Message
from llmguide.llm.templates import render

__all__ = ["SHOWN", "Decision", "Tried", "decisions_of", "judge_question", "writer_question"]

SHOWN = 4
"""Decisions that cost the most, and as many that gained the most, which the judge sees."""

_EXCERPT = 300  # characters of the Strategist's reasons


class Tried(NamedTuple):
    """A draft, and the Sharpe ratio that following its guidance earned."""

    draft: Draft
    sharpe: float

    @property
    def instructions(self) -> tuple[str, ...]:
        """Its lines, for a template."""
        return self.draft.instructions


class Decision(NamedTuple):
    """One decision and what came of it, for a prompt; `returned` is what following it returned."""

    direction: str
    confidence: int
    price_return: str
    advice_return: str
    explanation: str
    returned: float


def decisions_of(advice: Sequence[Advice], realised: Sequence[float]) -> tuple[Decision, ...]:
    """Return the decisions among some advice, the costliest first; `realised` are the price's returns after each.

    Abstentions are left out, and decisions of which nothing came (NaN).
    """
    found = []
    for one, change in zip(advice, realised, strict=True):
        if one.reply is None or change != change:
            continue
        returned = change if one.reply.direction == "LONG" else -change
        why = " ".join(one.reply.explanation.split())
        why = why if len(why) <= _EXCERPT else f"{why[:_EXCERPT].rsplit(' ', 1)[0]} ..."
        texts = as_percent(change), as_percent(returned), why
        found.append(Decision(one.reply.direction, one.reply.confidence, *texts, returned))
    return tuple(sorted(found, key=lambda decision: decision.returned))


def writer_question(
    lessons: Lessons,
    brief: Brief,
    *,
    target: float,
    best: Tried | None = None,
    worst: Tried | None = None,
    judged: JudgeReply | None = None,
) -> tuple[Message, ...]:
    """Return the messages to the writer; without `best` it is the first question of a repeat."""
    return render(
        "tuning-writer",
        horizon=brief.every,
        objective=brief.objective,
        groups=lessons.groups,
        features=lessons.features,
        legend=legend(*lessons.features, levels=brief.levels),
        target=target,
        best=best,
        worst=worst,
        criticism="" if judged is None else judged.criticism,
        advice=() if judged is None else judged.advice,
        most=INSTRUCTIONS,
        words=INSTRUCTION_WORDS,
        words_why=RATIONALE_WORDS,
    )


def judge_question(
    tried: Tried, decisions: Sequence[Decision], brief: Brief, *, target: float, months: int
) -> tuple[Message, ...]:
    """Return the messages to the judge about a draft; `decisions` are the costliest first, `months` how many asked."""
    lost = [decision for decision in decisions if decision.returned < 0][:SHOWN]
    gained = [decision for decision in reversed(decisions) if decision.returned > 0][:SHOWN]
    return render(
        "tuning-judge",
        horizon=brief.every,
        objective=brief.objective,
        instructions=tried.instructions,
        sharpe=tried.sharpe,
        target=target,
        worst=lost,
        best=gained,
        abstentions=months - len(decisions),
        months=months,
        most=ADVICE,
        words=INSTRUCTION_WORDS,
        words_why=CRITICISM_WORDS,
    )
