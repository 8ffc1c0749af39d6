"""At which bars an audit lets the future begin, and what it makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.audit.futures import Future, How
from llmguide.audit.trace import OPENING, Trace

__all__ = ["plan"]

EARLIEST = 0.25
"""Fraction of the bars before which no data end, and prices change only where something is said: there a strategy may
not have begun."""
LEAST = 40
STATES = 3
"""A line of at most so many different values is a signal, and says something where it changes."""
PATTERN: tuple[tuple[str, How | None], ...] = (
    ("said", None),
    ("said", None),
    ("month end", "cut"),
    ("said", "mirrored"),
    ("spread", "raised"),
    ("said", "cut"),
    ("said", "calmed"),
    ("month end", "shuffled"),
    ("spread", "cut"),
    ("said", None),
    ("spread", "lowered"),
)
"""Kinds of bars, and what comes after them, in turn; None is what speaks most against what was said there."""


def plan(base: Trace, index: pd.DatetimeIndex, *, cuts: int, seed: int) -> list[Future]:
    """Return `cuts` futures, each after another bar where there are enough.

    A rule that knows the next bar is caught at a bar on which it acts: so half of the bars are those of orders, of
    signals that change, of rows of guidance, each kind in turn; prices fall by a quarter after a purchase, and rise
    after a sale. The others are ends of months and bars anywhere, one in each of as many parts of the data.
    """
    random = np.random.default_rng(seed)
    last = len(index) - 2
    first = min(max(int(EARLIEST * len(index)), LEAST), last)
    opens = any(event.channel.endswith(OPENING) for event in base.events)
    said = _alternating(_said(base, index), first, last, random)
    months = pd.PeriodIndex(index, freq="M")
    ends = np.flatnonzero(np.asarray(months[1:] != months[:-1]))
    bars: dict[str, Iterator[_Place]] = {
        "said": iter(said),
        "month end": _places(random.permutation(ends[(ends >= first) & (ends <= last)])),
        "spread": _places(_spread(first, last, max(2, cuts // 4), random)),
    }
    anywhere = _places(random.permutation(np.arange(first, last + 1)))
    taken: dict[tuple[int, How], Future] = {}
    for number in range(cuts):
        kind, wanted = PATTERN[number % len(PATTERN)]
        for t, against in chain(bars[kind], anywhere):
            how = wanted or against
            if (t, how) not in taken and not (how == "cut" and t < first):
                # An order at the open knows the open of its bar, so every other change leaves that as it is.
                taken[t, how] = Future(t, how, keep_open=opens and how in ("mirrored", "calmed", "lowered"))
                break
    return list(taken.values())


class _Place(NamedTuple):
    t: int
    against: How  # what speaks against what was said there


def _places(bars: NDArray[np.intp] | list[int]) -> Iterator[_Place]:
    return (_Place(int(t), "lowered") for t in bars)


def _said(base: Trace, index: pd.DatetimeIndex) -> dict[tuple[str, How], list[int]]:
    """Return the bars on which something was said, by what was said, and what speaks against it."""
    stamps = index.to_numpy().astype("datetime64[us]")
    found: dict[tuple[str, How], list[int]] = {}
    for event in base.events:
        place = int(np.searchsorted(stamps, event.known, side="right")) - 1
        if event.channel.endswith(OPENING):
            place -= 1  # it is sent before the rest of its bar
        words = [value for value in event.values if isinstance(value, str)][:3]
        found.setdefault((f"{event.channel} {words}", "raised" if "sell" in words else "lowered"), []).append(place)
    if len(base.stamps):
        bars = np.searchsorted(stamps, base.stamps, side="right") - 1
        for name, values in base.lines.items():
            for state, places in _changes(values).items():
                found[f"{name} {state}", "lowered" if state > 0.0 else "raised"] = bars[places].tolist()
    return found


def _changes(values: NDArray[np.float64]) -> dict[float, NDArray[np.intp]]:
    states = np.unique(values[np.isfinite(values)])
    if not 2 <= len(states) <= STATES:
        return {}
    turned = np.flatnonzero(np.diff(values, prepend=np.nan) != 0.0)
    return {float(state): turned[values[turned] == state] for state in states}


def _alternating(
    said: dict[tuple[str, How], list[int]], first: int, last: int, random: np.random.Generator
) -> list[_Place]:
    """Return the bars in a random order, one of each kind in turn, those before `first` after the others of a kind."""
    kinds = [
        [_Place(t, against) for t in dict.fromkeys(places) if 0 <= t <= last] for (_, against), places in said.items()
    ]
    queues = [[kind[place] for place in random.permutation(len(kind))] for kind in kinds if kind]
    queues = [sorted(queue, key=lambda place: place.t >= first) for queue in queues]  # the last one comes first
    ordered = []
    while queues:
        ordered += [queue.pop() for queue in queues]
        queues = [queue for queue in queues if queue]
    return list(dict.fromkeys(ordered))


def _spread(first: int, last: int, parts: int, random: np.random.Generator) -> list[int]:
    edges = np.linspace(first, last + 1, parts + 1)
    return [int(random.integers(int(low), max(int(high), int(low) + 1))) for low, high in pairwise(edges)]
