"""One month's advice with everything behind it: what the two roles reply, and the record that is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llmguide.guidance.revision import Revision
from llmguide.guidance.row import GuidanceRow, parse_row
from llmguide.llm.ledger import Spending
from llmguide.llm.protocol import Message
from llmguide.llm.schemas import TIGHT

__all__ = [
    "Advice",
    "AnalystReply",
    "Factor",
    "FeatureUse",
    "StrategistReply",
]

EXPLANATION_WORDS = 350
FACTOR_WORDS = 70
FACTORS = 3
FEATURES = 12

# What an endpoint that honours lengths cuts at, so that a reply ends. Only the words are checked here.
_EXPLANATION: dict[str, Any] = {"maxLength": 8 * EXPLANATION_WORDS}
# A small model that repeats itself fills what it may have: so tight that its words cannot be too many.
_FACTOR: dict[str, Any] = {"maxLength": 10 * FACTOR_WORDS, TIGHT: 4 * FACTOR_WORDS}
_NAME: dict[str, Any] = {"maxLength": 80}
_FEATURES: dict[str, Any] = {"maxItems": FEATURES}


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Factor(_Reply):
    """One factor of the month's news, as the Analyst sees it."""

    text: str = Field(
        description=f"What happened and why it matters, in at most {FACTOR_WORDS} words.",
        min_length=1,
        json_schema_extra=_FACTOR,
    )
    sentiment: Literal[-1, 0, 1] = Field(description="1 good for the price, 0 neutral, -1 bad.")
    impact: Literal[1, 2, 3] = Field(description="1 weak, 2 moderate, 3 strong.")

    @field_validator("text")
    @classmethod
    def _short(cls, text: str) -> str:
        return _at_most(text, FACTOR_WORDS)


class AnalystReply(_Reply):
    """What the Analyst makes of a month's news: the top three factors, the weightiest first."""

    factors: list[Factor] = Field(description=f"At most {FACTORS}, the weightiest first.", max_length=FACTORS)


class FeatureUse(_Reply):
    """One piece of the data that the Strategist used."""

    name: str = Field(description="Name of the data, as it was given.", min_length=1, json_schema_extra=_NAME)
    direction: Literal["LONG", "SHORT", "NEUTRAL"]
    weight: Literal[1, 2, 3] = Field(description="1 weak, 2 moderate, 3 strong.")


class StrategistReply(_Reply):
    """What the Strategist says for the next month.

    The reasons come first: a model writes one token after another, and its direction can only rest on what stands
    before it.
    """

    explanation: str = Field(
        description=f"The reasons, in at most {EXPLANATION_WORDS} words.",
        min_length=1,
        json_schema_extra=_EXPLANATION,
    )
    features: list[FeatureUse] = Field(
        description="The data that the decision rests on, the weightiest first.", json_schema_extra=_FEATURES
    )
    direction: Literal["LONG", "SHORT"]
    confidence: Literal[1, 2, 3] = Field(description="1 low, 2 moderate, 3 high.")

    @field_validator("explanation")
    @classmethod
    def _short(cls, text: str) -> str:
        return _at_most(text, EXPLANATION_WORDS)


def _at_most(text: str, words: int) -> str:
    if len(text.split()) > words:
        raise ValueError(f"expected at most {words} words, got {len(text.split())}")
    return text


@dataclass(frozen=True)
class Advice:
    """One month's guidance for one instrument by one prompt, and how it came about."""

    symbol: str
    prompt: str  # version, such as P4
    issued_at: datetime
    messages: tuple[Message, ...]  # as they were sent, a repeated question included
    factors: tuple[Factor, ...]  # of the Analyst; none without news
    news_note: str  # what became of the headlines, such as "41 headlines, 2 flagged, 17 names replaced"; "" without
    reply: StrategistReply | None  # None: an abstention
    failure: str  # why it abstained; "" where it did not
    entropy: float | None  # of the reply's object, eq. 4 over ln(k+1)
    perplexity: float | None  # of the reply's object, eq. 3
    direction_entropy: float | None  # of the tokens that say LONG or SHORT
    confidence_entropy: float | None  # of the tokens that say 1, 2 or 3
    provider: str  # "llm"
    model: str
    fingerprint: str
    prompt_hash: str  # of the template, the reply's schema and levels that are absolute
    cost: Spending  # of the replies that it took, the Analyst's among them, as they were first measured
    news_failure: str = ""  # why there are no factors although there was news; "" otherwise
    news_cost: Spending = field(default_factory=Spending)  # the Analyst's part of the cost
    p_long: float | None = None  # p(LONG) / (p(LONG) + p(SHORT)) at the direction's token
    timed_out: bool = False  # no answer came in time; the next run asks again
    tokens_misfit: bool = False  # tokens came, but do not fit the text: no entropy
    revision: Revision | None = None  # of the direction: without memory, debiased or by votes; None: as the model said
    unrevised: bool = False  # it was to be revised, but usable answers or log-probabilities are missing

    @property
    def row(self) -> GuidanceRow:
        """The advice as a row of a guidance table; revised, with the model's own words beside, where it was."""
        reply, revised = self.reply, self.revision
        said = {} if reply is None else {"direction": int(reply.direction == "LONG"), "confidence": reply.confidence}
        meant = said if revised is None else {"direction": revised.direction, "confidence": revised.confidence}
        note = "" if revised is None else f" [{revised.note}]"
        return parse_row(
            0,
            {
                "issued_at": self.issued_at,
                "direction": meant.get("direction"),
                "confidence": meant.get("confidence"),
                "said_direction": None if revised is None else said.get("direction"),
                "said_confidence": None if revised is None else said.get("confidence"),
                "entropy": self.entropy,
                "perplexity": self.perplexity,
                "direction_entropy": self.direction_entropy,
                "confidence_entropy": self.confidence_entropy,
                "p_long": self.p_long,
                "p_revised": None if revised is None else revised.p_long,
                "explanation": f"Abstained: {self.failure}" if reply is None else f"{reply.explanation}{note}",
                "provider": self.provider,
                "model": self.model,
                "prompt_version": self.prompt,
                "prompt_hash": self.prompt_hash,
                "fingerprint": self.fingerprint,
            },
        )
