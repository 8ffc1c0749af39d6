"""Factors of the news, as the Analyst tells them, and the day from which each counts.

`llmguide guide --factors FILE` writes such a table. One row is one factor: ``issued_at`` (naive), ``text``,
``sentiment`` (-1, 0, 1) and ``impact`` (1 to 3). Those count that were issued last; a row of which the last three are
missing says that nothing was found in the news of that issue, so that the ones before no longer count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from llmguide.errors import DataError, did_you_mean
from llmguide.files import read_rows, write_rows
from llmguide.sources.cells import read_numbers, read_stamps, read_texts, refuse

__all__ = ["Factor", "Factors", "FactorsSource", "as_factors"]

COLUMNS = ("issued_at", "text", "sentiment", "impact")


class Factor(NamedTuple):
    """One factor of the news, as the Analyst tells it: nameless already."""

    text: str
    sentiment: int  # -1, 0, 1
    impact: int  # 1 to 3


@dataclass(frozen=True)
class Factors:
    """Factors by the time of their issue, in its order.

    Attributes:
        issues: naive time and factors of each issue, the weightiest first; an issue may have none.
    """

    issues: tuple[tuple[datetime, tuple[Factor, ...]], ...]

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, where: str = "the factors") -> Factors:
        """Read a frame with one row a factor, in any order.

        Raises DataError for missing and unknown columns, and for the first cell that cannot be what its column says;
        `where` is what it is called there.
        """
        names = [str(name) for name in frame.columns]
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            raise DataError(f"expected {where} with the columns {', '.join(COLUMNS)}, but {missing} are missing")
        for name in names:
            if name not in COLUMNS:
                raise DataError(
                    f"{where}: unknown column {name!r}{did_you_mean(name, COLUMNS)}; rename it or leave it out"
                )
        table = frame.reset_index(drop=True)
        issued, text = read_stamps(where, table["issued_at"]), read_texts(where, table["text"])
        sentiment, impact = (read_numbers(where, table[name]) for name in ("sentiment", "impact"))
        nothing = (text == "") & sentiment.isna() & impact.isna()
        refuse(where, table["text"], (text == "") & ~nothing, "a text, or none of text, sentiment and impact")
        refuse(where, table["sentiment"], ~sentiment.isin((-1, 0, 1)) & ~nothing, "-1 (bad), 0 or 1 (good)")
        refuse(where, table["impact"], ~impact.isin((1, 2, 3)) & ~nothing, "1 (weak), 2 or 3 (strong)")
        rows = zip(issued.dt.to_pydatetime(), text, sentiment, impact, nothing, strict=True)
        return cls.of((at, None if none else Factor(said, int(good), int(much))) for at, said, good, much, none in rows)

    @classmethod
    def of(cls, rows: Iterable[tuple[datetime, Factor | None]]) -> Factors:
        """Gather factors by the time of their issue, in any order; None for an issue without any."""
        ordered = sorted(rows, key=lambda row: row[0])
        return cls(
            tuple(
                (at, tuple(sorted((one for _, one in group if one is not None), key=lambda one: -one.impact)))
                for at, group in groupby(ordered, key=lambda row: row[0])
            )
        )

    @classmethod
    def read(cls, path: Path | str) -> Factors:
        """Read a ``.parquet`` or ``.csv`` file. Raises DataError where it cannot be read, and as `from_frame` does."""
        source = Path(path)
        missing = f"there is no file of factors {source}; write one with: llmguide guide --factors FILE"
        frame = read_rows(source, DataError, missing=missing)
        return cls.from_frame(frame, where=str(source))

    def save(self, path: Path | str) -> Path:
        """Write a ``.parquet`` or ``.csv`` file, whole or not at all; `read` gives the same back. Return the path."""
        return write_rows(self.frame, Path(path), DataError)

    @property
    def frame(self) -> pd.DataFrame:
        """A new frame with one row a factor, and one for an issue without any: sentiment and impact nullable."""
        rows = [(at, *one) for at, factors in self.issues for one in factors or ((None, None, None),)]
        kinds = {"issued_at": "datetime64[ns]", "sentiment": "Int64", "impact": "Int64"}
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)

    def at(self, day: date) -> tuple[Factor, ...]:
        """Return what a bar of a date may see, the weightiest first: the last issue up to midnight at its beginning.

        So guidance counts too: an issue of 18:00 is first seen on the next day.
        """
        seen = bisect_right(self._issued, datetime(day.year, day.month, day.day))
        return self.issues[seen - 1][1] if seen else ()

    @cached_property
    def _issued(self) -> list[datetime]:
        return [at for at, _ in self.issues]

    def __len__(self) -> int:
        return sum(len(factors) for _, factors in self.issues)


FactorsSource = Factors | pd.DataFrame | Path | str
"""Factors, a frame of them, or the path of a file."""


def as_factors(source: FactorsSource | None) -> Factors | None:
    """Return the factors that are meant; None where there are none. Raises DataError as reading them does."""
    if source is None or isinstance(source, Factors):
        return source
    if isinstance(source, pd.DataFrame):
        return Factors.from_frame(source)
    if isinstance(source, str | Path):
        return Factors.read(source)
    raise DataError(
        f"expected factors as a frame with the columns {', '.join(COLUMNS)}, or the path of a file, got "
        f"{type(source).__name__}"
    )
