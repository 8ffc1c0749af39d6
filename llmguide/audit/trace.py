"""What one run said: the values of its lines at each bar, its orders and other events, and its fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACCOUNT", "OPENING", "ORDERS", "Event", "Failure", "Fill", "Stamps", "Trace", "Value", "no_stamps"]

Stamps = NDArray[np.datetime64]
Value = float | str

ORDERS = "orders"
ACCOUNT = ("broker.cash", "broker.value")
OPENING = "orders at the open"
"""Orders sent when only the open of their bar was known (Backtrader's cheat-on-open)."""


class Event(NamedTuple):
    """Something said once: an order, a row of guidance, a prompt."""

    known: np.datetime64  # bar with which everything that it may be made from is known
    at: np.datetime64  # when it is said
    channel: str
    values: tuple[Value, ...]
    step: int | None = None  # of the run, where it has steps


class Fill(NamedTuple):
    """An order that was executed on the very bar on which it was sent."""

    at: np.datetime64
    opening: bool  # sent at the open, before the rest of the bar
    price: float


class Failure(NamedTuple):
    """An exception that ended a run."""

    kind: str
    message: str
    where: str  # file and line of the innermost frame that is not Backtrader's

    def __str__(self) -> str:
        said = f"{self.kind}: {self.message}" if self.message else self.kind
        return f"{said} ({self.where})" if self.where else said


def no_stamps() -> Stamps:
    """Return no stamps."""
    return np.empty(0, dtype="datetime64[us]")


@dataclass(frozen=True)
class Trace:
    """All that a run said, as it was known at each step, and not as it stood at the end.

    Attributes:
        stamps: of each step, in order, shape ``(steps,)``; Backtrader may make several steps at one stamp.
        lines: values by dotted name, each of shape ``(steps,)``, NaN where there is none.
        events: in the order in which they were made.
        lengths: bars that each feed had delivered, shape ``(steps, feeds)``.
        fills: executions on the bar of the order itself.
        failure: what ended the run early; the rest is what was said until then.
    """

    stamps: Stamps = field(default_factory=no_stamps)
    lines: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    fills: tuple[Fill, ...] = ()
    failure: Failure | None = None
