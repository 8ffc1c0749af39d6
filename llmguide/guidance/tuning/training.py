"""Training bars and test bars as two types: what tunes a prompt takes the one, and is never given the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import pandas as pd

from llmguide.errors import DataError
from llmguide.features.moment import known_at
from llmguide.guidance.strategist import Subject

__all__ = ["HeldOut", "TrainingBars", "check_training", "split_subject"]


@dataclass(frozen=True, eq=False)
class TrainingBars:
    """One instrument up to the end of its training: bars, and rows of its tables that were public at the last close.

    Make it with `split_subject`, or of a subject that has no later bars.
    """

    subject: Subject

    def __post_init__(self) -> None:
        """Take what was published later out of the tables, and schedule guidance from the first bar on."""
        tables = self.subject.tables.until(known_at(self.subject.bars))
        object.__setattr__(self, "subject", replace(self.subject, tables=tables, since=None))

    @property
    def symbol(self) -> str:
        """Name of the instrument."""
        return self.subject.symbol

    @property
    def bars(self) -> pd.DataFrame:
        """The daily bars."""
        return self.subject.bars

    def until(self, end: int, *, since: date) -> Subject:
        """Return the instrument as it was before bar `end`, with guidance from the one in force on `since`."""
        return replace(self.subject, bars=self.bars.iloc[:end], since=since)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """One instrument with the bars that come after its training, which a tuned prompt is tried on once.

    `subject` has the training bars too: the first test months are told from them. `first` is the position of the first
    test bar in it.
    """

    subject: Subject
    first: int

    @property
    def symbol(self) -> str:
        """Name of the instrument."""
        return self.subject.symbol


def split_subject(subject: Subject, first_test_day: date | pd.Timestamp | str) -> tuple[TrainingBars, HeldOut]:
    """Cut an instrument at a day: bars before it are for training, those from it on for the test.

    Raises DataError where either has no bars.
    """
    day = pd.Timestamp(first_test_day)
    cut = int(subject.bars.index.searchsorted(day))
    if not 0 < cut < len(subject.bars):
        raise DataError(
            f"{subject.symbol}: expected bars before and after {day:%Y-%m-%d}, got {cut} before and "
            f"{len(subject.bars) - cut} from it on; choose another day"
        )
    training = TrainingBars(replace(subject, bars=subject.bars.iloc[:cut]))
    return training, HeldOut(replace(subject, since=subject.bars.index[cut].date()), cut)


def check_training(training: object) -> TrainingBars:
    """Return training bars; DataError for anything else, test bars above all."""
    if not isinstance(training, TrainingBars):
        raise DataError(
            f"expected TrainingBars, got {type(training).__name__}: a prompt is tuned on training bars only; "
            "cut the bars with split_subject"
        )
    return training
