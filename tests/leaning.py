"""A scripted model with the biases that it is given, each of known size, and a view of the data."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from remembering import closes_in, reply

from llmguide.llm.protocol import Message, Request

STRENGTH = 10.0
"""Log-odds of LONG for each unit that the logarithm of the close rises over the bars shown."""


@dataclass(frozen=True)
class Leaning:
    """Answers a request. The log-odds of LONG are those of the data, and what the leanings add, each in log-odds.

    Attributes:
        word: towards the label LONG, wherever it is the label.
        code: towards the code X, wherever there are codes.
        order: towards LONG where the prices come first, towards SHORT where they come last.
        wording: towards LONG where the first paragraph of the system message is not llmguide's own.
        rise: towards LONG, whatever it is called.
        data: "follow" the change of the closes shown, "ignore" it, or answer at "random", the same question alike.
        logprobs: whether probabilities come with the answers.
    """

    word: float = 0.0
    code: float = 0.0
    order: float = 0.0
    wording: float = 0.0
    rise: float = 0.0
    data: Literal["follow", "ignore", "random"] = "follow"
    logprobs: bool = True

    def __call__(self, request: Request) -> str:
        if request.schema_name == "Readiness":
            return reply({"ready": "yes", "count": "one, two"}, None, logprobs=self.logprobs)
        long, short = labels_in(request.messages)
        odds = self.log_odds(request.messages)
        first = odds if long in ("LONG", "X") else -odds
        said = {
            "explanation": "The closes.",
            "features": [],
            "direction": long if odds >= 0 else short,
            "confidence": 3,
        }
        values = (long, short) if long in ("LONG", "X") else (short, long)
        return reply(said, 1 / (1 + math.exp(-first)), logprobs=self.logprobs, values=values)

    def log_odds(self, messages: Sequence[Message]) -> float:
        """The log-odds of the direction that gains when the price rises."""
        system, asked = messages[0].content, messages[-1].content
        leaning = self.rise + (self.order if asked.startswith("# Prices") else -self.order)
        leaning += {"LONG": self.word, "X": self.code, "Y": -self.code}[labels_in(messages)[0]]
        leaning += 0.0 if "You are the Strategist" in system else self.wording
        return leaning + self._view(messages)

    def _view(self, messages: Sequence[Message]) -> float:
        if self.data == "random":
            return random.Random("".join(message.content for message in messages)).gauss(0.0, 1.0)
        closes = [float(close) for close in closes_in(messages[-1].content)]
        return STRENGTH * math.log(closes[-1] / closes[0]) if self.data == "follow" else 0.0


def labels_in(messages: Sequence[Message]) -> tuple[str, str]:
    """What the directions are called: that of a rise, then that of a fall."""
    system = messages[0].content
    if "X: you gain if the price rises" in system:
        return "X", "Y"
    return ("Y", "X") if "Y: you gain if the price rises" in system else ("LONG", "SHORT")
