"""What is meant to be ordered, and what a broker says became of it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple

__all__ = ["FINAL", "KINDS", "OPEN", "Intent", "Report", "Wanted", "client_id"]

KINDS = ("market", "limit", "stop")
OPEN = "open"
FINAL = ("filled", "canceled", "expired", "rejected")


class Wanted(NamedTuple):
    """An order as a strategy asks for it; two are the same order where all of this is equal."""

    strategy: str
    feed: str
    size: float  # above 0 buys, below 0 sells
    kind: str  # one of KINDS
    price: float | None  # of a limit or stop order
    valid: float | None  # last moment, in Backtrader's numbers (days, UTC); None until cancelled

    def __str__(self) -> str:
        at = "" if self.price is None else f" at {self.price:g}"
        side = "buy" if self.size > 0 else "sell"
        return f"{self.strategy}: {side} {abs(self.size):g} {self.feed}, {self.kind}{at}"


class Intent(NamedTuple):
    """An order that the journal holds, written there before it is sent.

    `refused` says why it was never sent; "" where it was to be.
    """

    id: str
    step: int
    wanted: Wanted
    stamp: float  # of the feed's bar, in Backtrader's numbers
    day: str  # the clock's date, as 2024-01-05
    refused: str = ""


class Report(NamedTuple):
    """All that a broker has reported of one order so far; receiving the same report twice changes nothing.

    Attributes:
        id: the order's name.
        status: "open", or how it ended: "filled", "canceled", "expired" or "rejected".
        filled: shares filled, with the order's sign.
        price: mean price of what is filled.
        fee: total fees of what is filled.
        note: the broker's message, if any.
    """

    id: str
    status: str
    filled: float = 0.0
    price: float = 0.0
    fee: float = 0.0
    note: str = ""

    @property
    def over(self) -> bool:
        """Whether the order has ended."""
        return self.status in FINAL

    def follows(self, known: Report | None) -> bool:
        """Whether it reports more than the `known` one: reports may arrive twice, and in any order."""
        if known is None:
            return True
        return not known.over and (self.over or abs(self.filled) > abs(known.filled))


def client_id(account: str, wanted: Wanted, stamp: datetime, number: int) -> str:
    """Return the name of the `number`-th order of a strategy on a bar of a feed: the same one after every restart.

    At most 36 letters, digits and hyphens, which is what the brokers' own fields take.
    """
    key = "\n".join((account, wanted.strategy, wanted.feed, stamp.isoformat(), str(number)))
    return f"lg-{stamp:%Y%m%d%H%M%S}-{number}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
