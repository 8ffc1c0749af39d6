"""A scripted model that remembers every month of some bars, and one that remembers none and sees the data alone."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from scripted_client import ScriptedClient

from llmguide.features.fact import as_price
from llmguide.guidance.schedule import EVERY, FIRST
from llmguide.llm.asking import Asker
from llmguide.llm.cache import Cache
from llmguide.llm.protocol import Request

MEMORY = math.log(0.95 / 0.05)
"""Log-odds that a remembered month adds."""

DATA = math.log(0.7 / 0.3)
"""Log-odds of the direction of the last 20 closes."""


class Remembering:
    """Answers a request. `bars` are those remembered, by symbol; {} is a model that remembers nothing.

    A month is recognised by name and date, or by the last close of the data. The log-odds of LONG are those of the
    memory and of the data together; what is neither remembered nor shown has 0.
    """

    def __init__(self, bars: Mapping[str, pd.DataFrame] | None = None, *, logprobs: bool = True) -> None:
        self.logprobs = logprobs
        self.rose: dict[tuple[str, str], bool] = {}
        self.seen: dict[str, tuple[str, str]] = {}
        for symbol, frame in (bars or {}).items():
            close = frame["close"].to_numpy()
            for i in range(FIRST, len(close) - EVERY, EVERY):
                month = symbol, f"{frame.index[i]:%Y-%m-%d}"
                self.rose[month] = bool(close[i + EVERY] > close[i])
                self.seen[as_price(close[i - 1])] = month

    def __call__(self, request: Request) -> str:
        asked = request.messages[-1].content
        if request.schema_name == "Readiness":
            return reply({"ready": "yes", "count": "one, two"}, None, logprobs=self.logprobs)
        if request.schema_name == "IdentityReply":
            return reply(self._identify(asked), None, logprobs=self.logprobs)
        odds = self._odds(asked)
        p, said = 1 / (1 + math.exp(-odds)), {"direction": "LONG" if odds >= 0 else "SHORT"}
        if request.schema_name == "StrategistReply":
            said = {"explanation": "The closes, or what I know.", "features": [], **said, "confidence": 3}
        return reply(said, p, logprobs=self.logprobs)

    def _odds(self, asked: str) -> float:
        closes = closes_in(asked)
        data = 0.0 if not closes else DATA if float(closes[-1]) > float(closes[0]) else -DATA
        told = re.search(r"Instrument: (\w+).*\nFrom the close of: (\S+)", asked) or re.search(
            r"^(\w+), before (\d{4}-\d\d-\d\d)$", asked, re.MULTILINE
        )
        month = (told[1], told[2]) if told else self.seen.get(closes[-1]) if closes else None
        rose = None if month is None else self.rose.get(month)
        return data if rose is None else data + (MEMORY if rose else -MEMORY)

    def _identify(self, asked: str) -> dict[str, int]:
        options = re.findall(r"^(\d+)\. (\S+)$", asked, re.MULTILINE)
        month = self.seen.get(closes_in(asked)[-1])
        if month is None:
            return {"instrument": 1, "year": 2000, "month": 1}
        number = next(int(number) for number, name in options if name == month[0])
        return {"instrument": number, "year": int(month[1][:4]), "month": int(month[1][5:7])}


def closes_in(asked: str) -> list[str]:
    """The closes in the table of a prompt, oldest first."""
    return [line.split(" | ")[4] for line in asked.splitlines() if re.match(r"\d+ \| .* \| .* \| ", line)]


def reply(
    said: Mapping[str, object],
    p_first: float | None,
    *,
    logprobs: bool = True,
    values: tuple[str, str] = ("LONG", "SHORT"),
) -> str:
    """The body of a completion whose direction has this probability of the first value at its token."""
    text = json.dumps(said)
    parts: Sequence[str] = [text]
    if p_first is not None:
        before, word, after = text.partition(str(said["direction"]) + '"')
        parts = [before, word[:-1], '"' + after]
    tokens = []
    for part in parts:
        odds = dict(zip(values, (p_first, 1 - (p_first or 0)), strict=True)) if part in values else {part: 1.0}
        top = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in odds.items()]
        tokens.append({"token": part, "logprob": math.log(odds[part]), "bytes": None, "top_logprobs": top})
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    choice["logprobs"] = {"content": tokens} if logprobs else None
    usage = {"prompt_tokens": 2000, "completion_tokens": 10}
    return json.dumps({"object": "chat.completion", "model": "scripted", "choices": [choice], "usage": usage})


def asker_of(model: Callable[[Request], str], folder: Path, *, name: str = "cache") -> Asker:
    """An asker of a scripted model, with a cache of its own."""
    client = ScriptedClient(model)
    return Asker(Cache(folder / f"{name}.sqlite"), model="scripted", client=client, study="memory", in_flight=16)
