"""Which bars of a file are used: those of some dates, or one file cut into training and test bars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmguide.cli.options import FromDay, ToDay
from llmguide.cli.reading import Reading, day, one_history
from llmguide.counting import counted
from llmguide.errors import DataError, LlmguideError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WHOLE", "Parts", "Span", "parts_of", "training_and_test"]


@dataclass(frozen=True)
class Span:
    """The first and the last date that are used of a file of bars, both inclusive; None: as far as it goes."""

    start: FromDay = None
    end: ToDay = None

    def bars(self, path: Path, reading: Reading) -> pd.DataFrame:
        """Return the bars of these dates; DataError where there are none."""
        return reading.bars(path, start=self.start, end=self.end)

    def before(self, path: Path, file: Path, reading: Reading) -> pd.DataFrame:
        """Return the bars of `path`, and where that is `file` itself those before the first day that is used of it."""
        if self.start is None or path.resolve() != file.resolve():
            return reading.bars(path)
        return _cut(reading.bars(path), self.start, path, option="--from")[0]


WHOLE = Span()


@dataclass(frozen=True, eq=False)
class Parts:
    """Earlier bars, the later ones if any were named, and all of them as one history."""

    earlier: pd.DataFrame
    later: pd.DataFrame | None
    whole: pd.DataFrame


def parts_of(reading: Reading, file: Path, later: Path | None, split: str | None, *, option: str = "--test") -> Parts:
    """Return the bars of `file`, and the later ones of another file or, with `split`, of the same.

    `option` is how the other file is named. Raises LlmguideError where both were given, and DataError for what cannot
    be read, is not in order, or leaves too few bars on a side.
    """
    if later is not None and split is not None:
        raise LlmguideError(f"give either {option} FILE, or --split DATE if {file} holds the later bars too")
    bars = reading.bars(file)
    if split is not None:
        return Parts(*_cut(bars, split, file), bars)
    if later is None:
        return Parts(bars, None, bars)
    after = reading.bars(later)
    return Parts(bars, after, one_history([(file, bars), (later, after)]))


def training_and_test(
    reading: Reading, file: Path | None, train: Path | None, test: Path | None, split: str | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return training bars, test bars and both: of one file and the first test day, or of two files."""
    if file is not None and (train is not None or test is not None):
        raise LlmguideError("give either BARS with --split DATE, or --train FILE and --test FILE")
    if file is not None and split is None:
        raise LlmguideError(f"say where the test begins in {file} with --split DATE, such as --split 2018-01-01")
    if file is None and split is not None:
        raise LlmguideError("--split DATE splits one file of BARS; give that file instead of --train and --test")
    first = file or train
    if first is None or (file is None and test is None):
        raise LlmguideError(
            "give the bars: one file with its first test day, as in BARS.csv --split 2018-01-01, or --train "
            "FILE and --test FILE"
        )
    parts = parts_of(reading, first, test, split)
    assert parts.later is not None  # one of test and split was given
    return parts.earlier, parts.later, parts.whole


def _cut(bars: pd.DataFrame, split: str, file: Path, *, option: str = "--split") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the bars before a day, and from that day on; DataError where either side has too few."""
    from llmguide.bars import MIN_BARS, bound_period

    first = bound_period(option, split).start_time
    before, after = bars[bars.index < first], bars[bars.index >= first]
    for part, where in ((before, "before"), (after, "from")):
        if len(part) < MIN_BARS:
            raise DataError(
                f"{file} has {counted(len(part), 'bar')} {where} {first:%Y-%m-%d}, and at least {MIN_BARS} are needed: "
                f"it runs from {day(bars, 0)} to {day(bars, -1)}; give {option} a day between them"
            )
    return before, after
