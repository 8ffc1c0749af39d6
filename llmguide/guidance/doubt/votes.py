"""Self-consistency: the same question several times at a temperature, and the share of LONG among the answers.

Source: Wang et al. (2023), Self-Consistency Improves Chain of Thought Reasoning, arXiv 2203.11171.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmguide.guidance.advice import StrategistReply
from llmguide.guidance.revision import Revision, decide
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose, Spending
from llmguide.llm.protocol import Draw, Message

__all__ = ["TEMPERATURE", "Voted", "ask_votes", "vote"]

TEMPERATURE = 0.7
"""Of the answers that vote, as in arXiv 2203.11171."""


@dataclass(frozen=True)
class Voted(Revision):
    """The direction of most answers; `p_long` is the share of LONG."""

    votes: tuple[int, ...]  # 1 long, 0 short; of the usable answers

    @property
    def note(self) -> str:
        """One sentence for the explanation."""
        return f"Votes: {sum(self.votes)} of {len(self.votes)} answers at temperature {TEMPERATURE} say LONG."


async def ask_votes(
    messages: Sequence[Message], count: int, asker: Asker, purpose: Purpose, *, priority: float = 0.0
) -> tuple[tuple[int, ...], Spending]:
    """Ask the Strategist's `messages` `count` times, side by side; return the usable directions and what all cost."""

    async def ask(number: int) -> tuple[int | None, Spending]:
        asked = await asker.ask(
            messages,
            StrategistReply,
            purpose=purpose,
            priority=priority,
            note=f"vote {number} of {count}",
            draw=Draw(number, TEMPERATURE),
        )
        return None if asked.value is None else int(asked.value.direction == "LONG"), asked.cost

    found = await asyncio.gather(*map(ask, range(1, count + 1)))
    votes = tuple(direction for direction, _ in found if direction is not None)
    return votes, Spending.total(cost for _, cost in found)


def vote(votes: Iterable[int], *, direction: int, confidence: int) -> Voted | None:
    """Return the direction of most votes; `direction` and `confidence` are the model's own. None without a vote.

    The share of LONG stands for its probability: see `decide`. A tie leaves the model's own direction.
    """
    votes = tuple(votes)
    if not votes:
        return None
    share = sum(votes) / len(votes)
    return Voted(*decide(share, direction=direction, confidence=confidence), share, votes)
