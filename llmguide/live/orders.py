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
    """All that a broker has said of one order so far: hearing the same twice changes nothing."""

    id: str
    status: str  # OPEN or one of FINAL
    filled: float = 0.0  # with the order's sign
    price: float = 0.0  # mean of what is filled
    fee: float = 0.0  # of what is filled
    note: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return self.status in FINAL

    def follows(self, known: Report | None) -> bool:
        """Whether it says more than what was known: reports may come twice, and in another order."""
        if known is None:
            return True
        return not known.over and (self.over or abs(self.filled) > abs(known.filled))


def client_id(account: str, wanted: Wanted, stamp: datetime, number: int) -> str:
    """Return the name of the `number`-th order of a strategy on a bar of a feed: the same one after every restart.

    At most 36 letters, digits and hyphens, which is what the brokers' own fields take.
    """
    key = "\n".join((account, wanted.strategy, wanted.feed, stamp.isoformat(), str(number)))
    return f"lg-{stamp:%Y%m%d%H%M%S}-{number}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
