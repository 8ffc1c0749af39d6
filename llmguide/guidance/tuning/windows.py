"""The years of the training bars on which a prompt is tried: random, and none has a bar of another."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from llmguide.errors import GuidanceError
from llmguide.guidance.strategist import Subject
from llmguide.guidance.tuning.training import TrainingBars, check_training

__all__ = ["YEAR", "Window", "draw_windows"]

YEAR = 252
"""Bars of a window: one year (arXiv 2508.02366v3, section II-B3)."""


@dataclass(frozen=True, eq=False)
class Window:
    """Bars `first` to `end` - 1 of one instrument's training bars, on which guidance is followed.

    The guidance of a bar is told from bars before it, those before the window among them.
    """

    training: TrainingBars
    first: int
    end: int

    @property
    def symbol(self) -> str:
        """Name of the instrument."""
        return self.training.symbol

    @property
    def subject(self) -> Subject:
        """The instrument up to the window's last bar, with guidance from the one in force on its first."""
        return self.training.until(self.end, since=self.dates[0].date())

    @property
    def dates(self) -> pd.DatetimeIndex:
        """The dates of its bars."""
        return pd.DatetimeIndex(self.training.bars.index[self.first : self.end])


def draw_windows(training: TrainingBars, *, count: int, length: int, first: int, seed: int) -> tuple[Window, ...]:
    """Return `count` windows of `length` bars that do not overlap, in random order.

    Every placement from bar `first` on (the first that guidance is issued on) is equally likely. What is drawn depends
    on the seed, the symbol and the number of bars, not on other instruments or prices. Raises GuidanceError where the
    bars are too few, DataError for anything but training bars.
    """
    training = check_training(training)
    if count < 1 or length < 2:
        raise GuidanceError(f"expected at least 1 window of at least 2 bars, got {count} of {length}")
    bars, needed = len(training.bars), first + count * length
    if bars < needed:
        raise GuidanceError(
            f"{training.symbol}: {count} windows of {length} bars that do not overlap need {needed} training bars, the "
            f"first {first} of which come before any guidance; there are {bars}; ask for fewer repeats or a shorter "
            "window"
        )
    generator = np.random.default_rng([seed, zlib.crc32(training.symbol.encode())])
    free = bars - needed
    # Where `count` windows and `free` single bars stand in one line, each order is equally likely.
    places = np.sort(generator.choice(free + count, count, replace=False)) - np.arange(count)
    starts = [first + int(place) + number * length for number, place in enumerate(places)]
    return tuple(Window(training, starts[i], starts[i] + length) for i in generator.permutation(count))
