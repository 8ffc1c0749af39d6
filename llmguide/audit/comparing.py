"""Where two runs first differ, in each line and each kind of event."""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmguide.audit.trace import OPENING, Event, Trace, Value

__all__ = ["NOTHING", "Difference", "differences"]

RELATIVE = 1e-6
"""Two values further apart than this fraction of them differ; a sum that is added up in another order does not."""
ABSOLUTE = 1e-9
"""The same as a fraction of the largest value of a line, for values that are the small difference of large ones."""
NOTHING = "nothing"
STEPS = "steps"
LONG = 14
"""An event of more values than this is told by those that differ; an order has fewer."""


class Difference(NamedTuple):
    """The first place where a line or a kind of event is not the same in two runs."""

    stamp: np.datetime64
    one: Value
    other: Value


def differences(
    one: Trace,
    other: Trace,
    *,
    before: np.datetime64 | None = None,
    opened: np.datetime64 | None = None,
    ends: bool = False,
) -> dict[str, Difference]:
    """Return the first difference of each line and each kind of event that has one.

    Args:
        one, other: two runs.
        before: only what rests on bars before this stamp is compared; None compares everything.
        opened: the same for orders sent at the open of a bar, where that open is the same in both; `before` if None.
        ends: the bars of `other` end there. What `one` says at its next bar from what was known before has no
            counterpart then. Nor has a bar that Backtrader closed early because the data ended: a feed of weeks then
            has one more bar at the last step, which is left out.
    """
    steps = _common_steps(one, other, before, ends)
    found: dict[str, Difference] = {}
    same = one.stamps[:steps] == other.stamps[:steps]
    if not same.all():
        step = int(np.argmin(same))
        found[STEPS] = Difference(one.stamps[step], str(one.stamps[step]), str(other.stamps[step]))
        steps = step
    absent = np.full(steps, np.nan)
    for name in {**one.lines, **other.lines}:
        values, others = (trace.lines.get(name, absent)[:steps] for trace in (one, other))
        place = _first_unequal(values, others)
        if place is not None:
            found[name] = Difference(one.stamps[place], float(values[place]), float(others[place]))
    for channel in dict.fromkeys(event.channel for event in (*one.events, *other.events)):
        # An order at the open belongs to the step that its bar would have made, had the rest of it been the same too.
        opening = opened is not None and channel.endswith(OPENING)
        bound, last = (opened, steps + 1) if opening else (before, steps)
        lists = [_events(trace, channel, bound, last, ends) for trace in (one, other)]
        difference = _first_event(*lists)
        if difference is not None:
            found[channel] = difference
    return found


def _common_steps(one: Trace, other: Trace, before: np.datetime64 | None, ends: bool) -> int:
    """Return how many steps are compared."""
    steps = min(
        len(trace.stamps) if before is None else int(np.count_nonzero(trace.stamps < before)) for trace in (one, other)
    )
    last = steps - 1
    if ends and steps and one.lengths.size and not np.array_equal(one.lengths[last], other.lengths[last]):
        return last
    return steps


def _first_unequal(one: NDArray[np.float64], other: NDArray[np.float64]) -> int | None:
    size = np.nanmax(np.abs(one), initial=0.0, where=np.isfinite(one))
    same = np.isclose(one, other, rtol=RELATIVE, atol=ABSOLUTE * size, equal_nan=True)
    return None if same.all() else int(np.argmin(same))


def _events(trace: Trace, channel: str, before: np.datetime64 | None, steps: int, ends: bool) -> list[Event]:
    def counts(event: Event) -> bool:
        if event.channel != channel or (event.step is not None and event.step >= steps):
            return False
        return before is None or bool((event.at if ends else event.known) < before)

    return [event for event in trace.events if counts(event)]


def _first_event(ones: list[Event], others: list[Event]) -> Difference | None:
    for one, other in zip_longest(ones, others):
        if one is not None and other is not None and one.at == other.at and _same(one.values, other.values):
            continue
        at = min(event.at for event in (one, other) if event is not None)
        said = [event.values if event is not None and event.at == at else (NOTHING,) for event in (one, other)]
        return Difference(at, *_told_apart(*said))
    return None


def _told_apart(one: tuple[Value, ...], other: tuple[Value, ...]) -> tuple[str, str]:
    """Return both in words; of what is long, as a prompt is, only the parts that differ."""
    if min(len(one), len(other)) > LONG:
        pairs = [pair for pair in zip_longest(one, other, fillvalue="") if not _same(pair[:1], pair[1:])]
        one, other = (tuple(pair[side] for pair in pairs) for side in (0, 1))
    return _told(one), _told(other)


def _same(one: tuple[Value, ...], other: tuple[Value, ...]) -> bool:
    if len(one) != len(other):
        return False
    for a, b in zip(one, other, strict=True):
        if isinstance(a, str) or isinstance(b, str):
            if a != b:
                return False
        elif not np.isclose(a, b, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
            return False
    return True


def _told(values: tuple[Value, ...]) -> str:
    return " ".join(value if isinstance(value, str) else f"{value:.6g}" for value in values)
