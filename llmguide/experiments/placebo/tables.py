"""The guidance and the tables it is measured beside, all of the same schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from llmguide.experiments.placebo.plan import ControlPlan
from llmguide.guidance import Guidance, guide
from llmguide.guidance.controls import inverted, shuffled
from llmguide.guidance.schedule import EVERY, daily_bars

__all__ = ["GIVEN", "NO_DRAW", "SHUFFLED", "Control", "control_tables", "schedule_of"]

GIVEN, SHUFFLED = "guidance", "shuffled"
NO_DRAW = -1
"""Stands for the draw where nothing is drawn."""


class Control(NamedTuple):
    """A table of guidance under the name of its kind.

    `name` is guidance (the user's), shuffled, inverted, constant, rules or oracle; `accuracy` is that of the oracle,
    else NaN.
    """

    name: str
    accuracy: float
    draw: int
    table: Guidance


def control_tables(guidance: Guidance, bars: pd.DataFrame, *, start: int, plan: ControlPlan) -> tuple[Control, ...]:
    """Return the guidance first, and then its controls.

    Args:
        guidance: the user's table.
        bars: training and test bars together.
        start: position of the first bar that is traded in the test. The row in force there and all later ones are
            shuffled among themselves, and so are the earlier ones: a shuffled table says long as often on the test bars
            as the guidance does, only at other times.
        plan: which controls.

    Rows that no bar sees, issued after the last one, are left out.
    """
    seen = guidance.between(end=bars.index[-1].date())
    in_force = seen.at(bars.index[start])
    since = None if in_force is None else in_force.issued_at
    every, first = schedule_of(seen, bars)

    def made() -> Iterator[Control]:
        yield Control(GIVEN, np.nan, NO_DRAW, seen)
        for draw in range(plan.shuffles):
            yield Control(SHUFFLED, np.nan, draw, shuffled(seen, seed=draw, since=since))
        yield Control("inverted", np.nan, NO_DRAW, inverted(seen))
        yield Control("constant", np.nan, NO_DRAW, guide(bars, "constant", every=every, first=first))
        yield Control("rules", np.nan, NO_DRAW, guide(bars, "rules", every=every, first=first))
        for accuracy in plan.accuracies:
            for draw in range(plan.draws) if accuracy < 1.0 else (NO_DRAW,):
                seed = max(draw, 0)
                table = guide(bars, "oracle", accuracy=accuracy, seed=seed, every=every, first=first)
                yield Control("oracle", accuracy, draw, table)

    return tuple(made())


def schedule_of(guidance: Guidance, bars: pd.DataFrame) -> tuple[int, int]:
    """Return (every, first) of a table: the usual number of days with bars between its rows, and the first row's.

    The first is one after the first day at the earliest, since guidance needs a bar before it.
    """
    days = pd.DatetimeIndex(daily_bars(bars).index).normalize()
    stamps = pd.DatetimeIndex([row.issued_at for row in guidance.rows])
    places = np.searchsorted(days, stamps, side="left")
    gaps = np.diff(places)
    every = max(1, int(np.median(gaps))) if len(gaps) else EVERY
    return every, max(1, int(places[0]))
