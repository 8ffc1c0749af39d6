"""A review that nobody held: kept months, a packet of them, and answered sheets."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from made_advice import market, study

from llmguide.guidance.review.kept import KeptMonth, keep
from llmguide.guidance.review.packet import Packet, choose
from llmguide.guidance.review.sheet import Scores, Sheet

MARKETS = (market("AAPL", 1), market("KO", 2), market("XYZ", 3))
AT = datetime(2026, 11, 29, 12)


def kept(prompts=("P1", "P4"), markets=MARKETS) -> tuple[KeptMonth, ...]:
    return keep(study(markets, prompts=prompts), {one.symbol: one.bars for one in markets})


def packet(months: int = 12, seed: int = 0, **choice) -> Packet:
    return choose(kept(**choice), months=months, seed=seed)


def answered(
    packet: Packet, reviewer: str = "anna", *, months: int | None = None, seed: int = 0, kind="person"
) -> Sheet:
    """A sheet that is answered up to so many months."""
    random = np.random.default_rng(seed)
    sheet = Sheet(packet=packet.id, reviewer=reviewer, kind=kind)
    for number, month in enumerate(packet.months[:months]):
        own = str(random.choice(["LONG", "SHORT"]))
        at = AT + timedelta(minutes=number)
        sheet = sheet.with_own(packet, month.id, own, f"reason {number} of {reviewer}", at=at)
        scores = Scores(**{name: int(random.integers(1, 4)) for name in ("rationale", "fidelity", "safety")})
        comment = f"comment {number} of {reviewer}" if number % 2 else ""
        sheet = sheet.with_scores(packet, month.id, scores, comment, version=0, at=at)
    return sheet
