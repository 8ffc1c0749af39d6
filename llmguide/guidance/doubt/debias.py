"""Take a model's leanings to a word, a place and an order out of a direction, by asking in four forms and averaging.

The Strategist's question is asked as it is, and four times more under codes for LONG and SHORT (see
`llmguide.guidance.doubt.coding`). The mean log-odds of the four are the direction; the answer to the question as it is
keeps its reasons, its entropy and its place in the memory of later prompts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llmguide.guidance.doubt.coding import CODES, FORMS, CodedReply, Form, coded, decoded
from llmguide.guidance.revision import Revision, decide
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose, Spending
from llmguide.llm.odds import known_share, log_odds
from llmguide.llm.protocol import Message

__all__ = ["Debiased", "View", "ask_in_all_forms", "ask_in_form", "debias"]


class View(NamedTuple):
    """What a model says of a month when it is asked in one form."""

    form: Form
    direction: int | None  # 1 long, 0 short; None: no usable answer
    p_long: float | None  # at the direction's token; None where it is not known
    cost: Spending = Spending()


@dataclass(frozen=True)
class Debiased(Revision):
    """A direction that is free of words and orders."""

    views: tuple[View, ...]  # of all forms, usable or not
    by_votes: bool  # whether p_long is a share of directions, since log-probabilities are missing
    counted: tuple[Form, ...]  # the forms whose answers p_long is made from

    @property
    def note(self) -> str:
        """One sentence for the explanation."""
        said = ", ".join(
            f"{view.p_long:.2f}" if view.p_long is not None else {1: "LONG", 0: "SHORT", None: "none"}[view.direction]
            for view in self.views
        )
        what = "share of LONG" if self.by_votes else "p(LONG)"
        whole = {form.reversed for form in self.counted}
        order = "groups in both orders" if len(whole) == 2 else f"groups {'reversed' if True in whole else 'in order'}"
        return f"Debiased: {what} {self.p_long:.2f} over neutral labels both ways, {order} ({said})."


async def ask_in_all_forms(
    messages: Sequence[Message], asker: Asker, purpose: Purpose, *, priority: float = 0.0
) -> tuple[View, ...]:
    """Ask the Strategist's `messages` in the four forms, side by side."""
    asking = (ask_in_form(messages, form, asker, purpose, priority=priority) for form in FORMS)
    return tuple(await asyncio.gather(*asking))


async def ask_in_form(
    messages: Sequence[Message], form: Form, asker: Asker, purpose: Purpose, *, priority: float = 0.0
) -> View:
    """Ask the Strategist's `messages` in one form."""
    asked = await asker.ask(coded(messages, form), CodedReply, purpose=purpose, priority=priority, note=form.name)
    if asked.value is None:
        return View(form, None, None, asked.cost)
    p_long = known_share(asked.completion, "direction", form.long, CODES)
    return View(form, decoded(asked.value, form), p_long, asked.cost)


def debias(views: Iterable[View], *, direction: int, confidence: int) -> Debiased | None:
    """Return the direction over all forms; `direction` and `confidence` are the model's own. None: too few answers.

    Formula: logit(p) = mean of logit(p_long) over the forms. Only pairs count in which both ways to give out the codes
    were answered: half a pair leans as the codes do. Where no pair has log-probabilities, p is the share of LONG among
    the directions of whole pairs. See `decide` for what p then means.
    """
    views = tuple(views)
    pairs = [[view for view in views if view.form.reversed is order] for order in (False, True)]
    pairs = [pair for pair in pairs if len(pair) == len(CODES)]
    told = [view for pair in pairs if all(view.p_long is not None for view in pair) for view in pair]
    said = [view for pair in pairs if all(view.direction is not None for view in pair) for view in pair]
    if told:
        odds = [log_odds(view.p_long, 1.0 - view.p_long) for view in told if view.p_long is not None]
        p_long = 0.5 + 0.5 * math.tanh(math.fsum(odds) / len(odds) / 2.0)  # the logistic function
    elif said:
        p_long = sum(view.direction or 0 for view in said) / len(said)
    else:
        return None
    decided = decide(p_long, direction=direction, confidence=confidence)
    return Debiased(*decided, p_long, views, not told, tuple(view.form for view in told or said))
