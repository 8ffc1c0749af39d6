"""Advice that no model gave: several instruments, prompts and months, from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmguide import sample_bars
from llmguide.experiments.markets import Market
from llmguide.guidance.advice import Advice, Factor, FeatureUse, StrategistReply
from llmguide.guidance.schedule import issue_positions
from llmguide.llm.ledger import Spending
from llmguide.llm.protocol import Message

PROMPTS = ("P0", "P1", "P2", "P3", "P4")
SYSTEM = Message("system", "You advise on one instrument for the next month. " + "Weigh every group of data. " * 40)


def market(symbol: str, seed: int, years: int = 4) -> Market:
    bars = sample_bars(years=years, seed=seed)
    return Market(symbol, bars.iloc[:-504], bars.iloc[-504:])


def spent(calls: int, asked: int | None, answered: int | None, seconds: float, dollars: float | None) -> Spending:
    return Spending(calls, asked, 0, answered, 0, seconds, dollars)


def advice(symbol: str, prompt: str, issued_at, **changes) -> Advice:
    """A plain long advice of confidence 2, with what is changed."""
    reply = StrategistReply(
        explanation=f"The trend of {prompt} is up & steady.",
        features=[FeatureUse(name="RSI", direction="LONG", weight=3)],
        direction="LONG",
        confidence=2,
    )
    usual = {
        "messages": (SYSTEM, Message("user", f"{symbol} {prompt} {issued_at:%Y-%m-%d}: closes 1 2 3")),
        "factors": (Factor(text="Orders rose.", sentiment=1, impact=2),) if prompt == "P4" else (),
        "news_note": "41 headlines, 2 flagged, 17 names replaced" if prompt == "P4" else "",
        "reply": reply,
        "failure": "",
        "entropy": 0.25,
        "perplexity": 1.5,
        "direction_entropy": 0.125,
        "confidence_entropy": 0.5,
        "provider": "llm",
        "model": "made",
        "fingerprint": "fp_1",
        "prompt_hash": "ab" * 32,
        "cost": spent(1, 1000, 200, 0.5, 0.001),
    }
    return Advice(symbol, prompt, issued_at, **{**usual, **changes})


def abstention(symbol: str, prompt: str, issued_at, failure: str = "the model declined") -> Advice:
    nothing = dict.fromkeys(("entropy", "perplexity", "direction_entropy", "confidence_entropy"))
    return advice(symbol, prompt, issued_at, reply=None, failure=failure, **nothing)


def study(markets: Sequence[Market], *, prompts: Sequence[str] = PROMPTS, seed: int = 1) -> list[Advice]:
    """Advice on every 20th test bar: some are abstentions, and P0's lacks probabilities here and there."""
    random, odds = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    all_advice = []
    for one in markets:
        for position in issue_positions(one.test):
            issued_at = one.test.index[position].to_pydatetime()
            for at, prompt in enumerate(prompts):
                if random.random() < 0.06:
                    all_advice.append(abstention(one.symbol, prompt, issued_at))
                    continue
                reply = StrategistReply(
                    explanation=f"{prompt}: " + " ".join(["momentum and breadth agree;"] * (10 + 8 * at)),
                    features=[
                        FeatureUse(name=name, direction=str(random.choice(["LONG", "SHORT", "NEUTRAL"])), weight=weight)
                        for name, weight in (("SMA 20 slope", 3), ("RSI 14", 2), ("VIX close", 1))[: 1 + at]
                    ],
                    direction=str(random.choice(["LONG", "SHORT"])),
                    confidence=int(random.integers(1, 4)),
                )
                bare = at == 0 and random.random() < 0.2
                entropy = None if bare else float(random.uniform(0.05, 0.6) / (1 + 0.2 * at))
                p = float(odds.uniform(0.5, 0.99))  # of the direction
                all_advice.append(
                    advice(
                        one.symbol, prompt, issued_at, reply=reply, entropy=entropy,
                        perplexity=None if bare else float(np.exp(entropy)),
                        direction_entropy=None if bare else float(random.uniform(0, 0.4)),
                        confidence_entropy=None if bare else float(random.uniform(0, 0.8)),
                        p_long=None if bare else p if reply.direction == "LONG" else 1 - p,
                        cost=spent(1 + (prompt == "P4"), 900 * (at + 1), 250, 0.4 + 0.1 * at, 0.0003 * (at + 1)),
                    )
                )  # fmt: skip
    return all_advice
