"""Take out of a direction what the model would have said from memory alone: context-aware decoding.

The log-odds of LONG against SHORT that the model gives to the data, minus alpha times those that it gives to the
instrument's name and the date without any data. It needs nothing but log-probabilities at the direction's token.

Source: FinCAD, arXiv 2605.24564; alpha by measured memory is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd

from llmguide.errors import GuidanceError
from llmguide.guidance.doubt.memory_questions import RecallReply, full_name, named_question
from llmguide.guidance.news.anonymise import Names
from llmguide.guidance.revision import Revision, decide
from llmguide.guidance.schedule import horizon_returns
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose, Spending
from llmguide.llm.odds import known_share, log_odds

__all__ = [
    "MemoryView",
    "Suppressed",
    "Suppression",
    "ask_memory",
    "known_months",
    "measured_alpha",
    "recall_score",
    "require_logprobs",
    "suppress",
]


@dataclass(frozen=True)
class Suppression:
    """How much of the memory is taken out.

    Attributes:
        alpha: the weight of the memory's log-odds, at least 0; None for the memory measured before each decision.
        cutoff: the last day that the model can know of, as the user states; nothing is asked or taken out later.
    """

    alpha: float | None = None
    cutoff: date | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None and not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise GuidanceError(f"expected alpha >= 0, got {self.alpha}; leave it out to measure it")

    def concerns(self, issued_at: pd.Timestamp) -> bool:
        """Whether a decision of this date is one that the model can have read about."""
        return self.cutoff is None or issued_at.date() <= self.cutoff


class MemoryView(NamedTuple):
    """What the model says of one month without data, and how much of it is to be taken out."""

    p_long: float | None  # None: no usable answer, or one without log-probabilities
    alpha: float
    cost: Spending = Spending()  # of this month's question


@dataclass(frozen=True)
class Suppressed(Revision):
    """A direction without the memory; `p_long` is adjusted."""

    p_data: float  # the model's own, given the data
    p_memory: float  # given name and date alone
    alpha: float

    @property
    def note(self) -> str:
        """One sentence for the explanation."""
        return (
            f"Memory suppressed: p(LONG) {self.p_data:.2f} given the data, {self.p_memory:.2f} from memory alone, "
            f"alpha {self.alpha:.2f}, adjusted {self.p_long:.2f}."
        )


def suppress(p_data: float, p_memory: float, alpha: float, *, direction: int, confidence: int) -> Suppressed | None:
    """Return the direction without the memory; None where there is nothing to take out.

    Formula: logit(p) = logit(p_data) - alpha logit(p_memory). See `decide` for what p then means.
    """
    taken = alpha * log_odds(p_memory, 1.0 - p_memory)
    if taken == 0.0:
        return None
    adjusted = log_odds(p_data, 1.0 - p_data) - taken
    p = 0.5 + 0.5 * math.tanh(adjusted / 2.0)  # the logistic function, for log-odds of any size
    return Suppressed(*decide(p, direction=direction, confidence=confidence), p, p_data, p_memory, alpha)


def recall_score(p_long: float, realised: float) -> float:
    """Return the probability that was given to the realised direction, in 0..1; 0.5 for a return of 0."""
    return 0.5 if realised == 0.0 else p_long if realised > 0.0 else 1.0 - p_long


def measured_alpha(p_long: Sequence[float], realised: Sequence[float]) -> float:
    """Return how well the months are remembered: 0 for not at all, 1 for perfectly.

    Formula: clip(2 m - 1, 0, 1), where m is the mean recall score of the months that rose and of those that fell, each
    taken as half. A model that always says LONG has m = 0.5, however often prices rose: that is no memory. Without
    months of both kinds it is 0.
    """
    rose = [recall_score(p, r) for p, r in zip(p_long, realised, strict=True) if r > 0.0]
    fell = [recall_score(p, r) for p, r in zip(p_long, realised, strict=True) if r < 0.0]
    if not rose or not fell:
        return 0.0
    return float(np.clip(np.mean(rose) + np.mean(fell) - 1.0, 0.0, 1.0))


def known_months(known: pd.DataFrame, *, every: int, first: int) -> list[tuple[pd.Timestamp, float]]:
    """Return date of issue and realised return of the earlier months whose horizon has ended by the last known bar.

    A month issued on bar j is known when bar j + every is; later bars are not looked at, since `known` has none.
    """
    close = known["close"].to_numpy(dtype=np.float64)
    ended = range(first, len(close) - every, every)
    return list(zip(known.index[ended], horizon_returns(close, ended, every=every).tolist(), strict=True))


async def require_logprobs(asker: Asker) -> None:
    """Raise GuidanceError where the endpoint gives no log-probabilities, or none are asked for."""
    if not (await asker.open()).logprobs:
        raise GuidanceError(
            f"suppressing memory needs log-probabilities, and {asker.model} returns none; use an endpoint "
            "that returns them, with top_logprobs set, or leave --suppress-memory out"
        )


async def ask_memory(
    suppression: Suppression,
    symbol: str,
    names: Names | None,
    issued_at: pd.Timestamp,
    known: pd.DataFrame,
    asker: Asker,
    *,
    every: int,
    first: int,
    priority: float = 0.0,
) -> MemoryView | None:
    """Ask what the model says of a month without data, and measure its memory of the months before; None after cut-off.

    Each month is asked about once, whatever later months need it again. With a fixed alpha no other month is needed.
    The instrument is named here on purpose, in a question of its own: the Strategist's stays anonymous.
    """
    if not suppression.concerns(issued_at):
        return None

    async def ask(day: pd.Timestamp) -> tuple[float | None, Spending]:
        purpose = Purpose(asker.study, "memory", symbol, "memory", f"{day:%Y-%m-%d}")
        messages = named_question(full_name(symbol, names), day, horizon=every)
        asked = await asker.ask(messages, RecallReply, purpose=purpose, priority=priority)
        return None if asked.value is None else known_share(asked.completion, "direction", "LONG"), asked.cost

    p_long, cost = await ask(issued_at)
    if suppression.alpha is not None:
        return MemoryView(p_long, suppression.alpha, cost)
    months = known_months(known, every=every, first=first)
    said = [(await ask(day))[0] for day, _ in months]
    pairs = [(p, realised) for p, (_, realised) in zip(said, months, strict=True) if p is not None]
    return MemoryView(p_long, measured_alpha([p for p, _ in pairs], [realised for _, realised in pairs]), cost)
