"""A scripted model whose answers are right where its instructions name one feature, and chance elsewhere."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scripted_client import body

from llmguide.llm.protocol import Request

KEY = "stock.return_1w"
"""The feature that predicts the bars of `waves`."""

OTHER = "technical.rsi_14_slope"


def waves(*, years: float = 4.0, seed: int = 0, length: int = 60) -> pd.DataFrame:
    """Bars that rise for `length` bars, then fall for as many, and so on, with little noise: last week's direction goes
    on more often than it ends."""
    count = int(252 * years)
    noise = np.random.default_rng(seed).normal(0.0, 0.004, count)
    drift = np.where(np.arange(count) // length % 2 == 0, 0.004, -0.004)
    close = 100.0 * np.exp(np.cumsum(drift + noise))
    dates = pd.bdate_range("2010-01-04", periods=count, name="date")
    return pd.DataFrame(
        {"open": close, "high": close * 1.003, "low": close * 0.997, "close": close, "volume": 1000.0 + 0 * close},
        index=dates,
    )


class Tunable:
    """Answers a request, in whatever role.

    The Strategist follows the sign of `KEY` where its instructions name it, and is a coin elsewhere; with `noise` it
    is a coin everywhere. The trainer gives every feature whose sign is that of the right direction an importance of 3
    for `KEY` and 1 for others. The writer names `OTHER` first, and `KEY` once there is criticism. `sent` counts
    questions by kind.
    """

    def __init__(self, *, noise: bool = False) -> None:
        self.noise = noise
        self.sent: dict[str, int] = {}

    def __call__(self, request: Request) -> str:
        kind = request.schema_name
        self.sent[kind] = self.sent.get(kind, 0) + 1
        system, asked = (request.messages * 2)[0].content, (request.messages * 2)[1].content  # the probe has one
        return body(json.dumps(getattr(self, kind)(system, asked)), prompt=2000)

    def Readiness(self, system: str, asked: str) -> Mapping[str, object]:
        return {"ready": "yes", "count": "one, two"}

    def StrategistReply(self, system: str, asked: str) -> Mapping[str, object]:
        rises = random.Random(system + asked).random() < 0.5
        if not self.noise and f"Follow {KEY}" in system:
            rises = signs_in(asked)[KEY] >= 0
        said = "LONG" if rises else "SHORT"
        return {"explanation": "As I was told.", "features": [], "direction": said, "confidence": 2}

    def LabelReply(self, system: str, asked: str) -> Mapping[str, object]:
        right = 1.0 if asked.rstrip().endswith("LONG") else -1.0
        agreed = [name for name, sign in signs_in(asked).items() if sign == right]
        ranked = sorted(agreed, key=lambda name: name != KEY)[:12]
        return {
            "rationale": f"The data {', '.join(ranked[:2])} point there.",
            "features": [{"name": name, "importance": 3 if name == KEY else 1} for name in ranked],
        }

    def RankReply(self, system: str, asked: str) -> Mapping[str, object]:
        return {"features": self.LabelReply(system, asked.partition("\n\n# Why")[0])["features"]}

    def WriterReply(self, system: str, asked: str) -> Mapping[str, object]:
        name = KEY if "What the judge found" in asked else OTHER
        return {"why": "It counts.", "instructions": [f"Follow {name}: LONG where it is above 0, else SHORT."]}

    def JudgeReply(self, system: str, asked: str) -> Mapping[str, object]:
        return {"criticism": "The feature that it names says nothing.", "advice": ["Name another one."]}


def signs_in(asked: str) -> dict[str, float]:
    """The signs of the data that a question shows, by name."""
    found = re.findall(r"^((?:technical|stock)\.\w+): ([+-])?\d", asked, re.MULTILINE)
    return {name: -1.0 if sign == "-" else 1.0 for name, sign in found}
