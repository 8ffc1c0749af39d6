"""The trainer: asked of each exemplar why it was right, and how much each piece of its data mattered."""

from __future__ import annotations

from llmguide.features.legend import legend
from llmguide.guidance.strategist import Brief, Subject, write_prompt
from llmguide.guidance.tuning.exemplars import Exemplar
from llmguide.guidance.tuning.lessons import Reason
from llmguide.guidance.tuning.replies import RATIONALE_WORDS, LabelReply, RankReply, known_features
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose
from llmguide.llm.protocol import Draw, Message
from llmguide.llm.templates import render

__all__ = ["TRAINER_DATA", "draw", "explain", "trainer_question"]

TRAINER_DATA = "P1"
"""The prompt that shows every kind of data but news: the trainer sees its second message."""

_TEMPERATURE, _FREQUENCY, _PRESENCE = 0.7, 1.0, 0.25


def draw(number: int) -> Draw:
    """Return how tuning's questions are asked: temperature 0.7, frequency penalty 1.0, presence penalty 0.25.

    arXiv 2508.02366v3, section II-B3. The Strategist is asked as always.
    """
    return Draw(number, _TEMPERATURE, _FREQUENCY, _PRESENCE)


def trainer_question(exemplar: Exemplar, subject: Subject, brief: Brief) -> tuple[Message, ...]:
    """Return the messages about one exemplar."""
    *_, data = write_prompt(TRAINER_DATA, subject, exemplar.month, brief)
    facts = exemplar.month.facts
    groups = dict.fromkeys(f"{fact.group}.*" for fact in facts.values())
    return render(
        "tuning-trainer",
        horizon=brief.every,
        objective=brief.objective,
        legend=legend(*groups, levels=facts.levels),
        shown=data.content,
        direction=exemplar.direction,
        expert=bool(exemplar.rationale),
        rationale=exemplar.rationale,
        words=RATIONALE_WORDS,
    )


async def explain(exemplar: Exemplar, subject: Subject, brief: Brief, asker: Asker) -> Reason | None:
    """Return what the model makes of an exemplar; None where its answer cannot be used.

    A person's rationale stays a person's, and is kept where the model does not rank the data. Data that the model
    ranks, but that were not shown, do not count.
    """
    purpose = Purpose(asker.study, "trainer", exemplar.symbol, "trainer", f"{exemplar.month.issued_at:%Y-%m-%d}")
    messages = trainer_question(exemplar, subject, brief)
    available = tuple(name for name in known_features() if name in exemplar.month.facts)
    if exemplar.rationale:
        ranked = (await asker.ask(messages, RankReply, purpose=purpose, draw=draw(1))).value
        if ranked is None:
            return Reason(exemplar.direction, exemplar.rationale, (), ())
        return Reason(exemplar.direction, exemplar.rationale, tuple(ranked.features), available)
    reply = (await asker.ask(messages, LabelReply, purpose=purpose, draw=draw(1))).value
    if reply is None:
        return None
    return Reason(exemplar.direction, reply.rationale, tuple(reply.features), available)
