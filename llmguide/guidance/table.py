"""The guidance table: what was said, from when on it may be known, and what of it a bar may see."""

from __future__ import annotations

import hashlib
import json
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.counting import counted
from llmguide.errors import DataWarning, GuidanceError
from llmguide.files import read_rows, write_rows
from llmguide.guidance.origin import daily_closes, judge, seen_by
from llmguide.guidance.row import GuidanceRow, check_columns, parse_row, parse_stamp
from llmguide.inline import FUTURE, Inline, Shown, Table, note_files
from llmguide.sketches import strip

__all__ = ["Guidance", "GuidanceRow"]

_DTYPES = {
    "issued_at": "datetime64[us]",
    "direction": "Int8",
    "confidence": "Int8",
    "entropy": "float64",
    "perplexity": "float64",
    "direction_entropy": "float64",
    "confidence_entropy": "float64",
    "strength": "float64",
    "tau": "float64",
    "explanation": "str",
    "provider": "str",
    "model": "str",
    "prompt_version": "str",
    "prompt_hash": "str",
    "fingerprint": "str",
    "uses_future": "bool",
    "symbol": "str",
    "seen_until": "datetime64[us]",
    "seen_return": "float64",
    "p_long": "float64",
    "said_direction": "Int8",
    "said_confidence": "Int8",
    "recall": "float64",
    "p_revised": "float64",
    "p_calibrated": "float64",
}
_ANY_BARS = "make guidance for these bars, or use it all the same: guidance.of_any_bars(), --any-bars"
_ALIGNED = ("direction", "confidence", "entropy", "strength", "tau")


@dataclass(frozen=True, repr=False)
class Guidance(Inline):
    """An immutable, validated table of guidance for one instrument, oldest row first.

    **What a bar may see.** A row issued at D was made only from bars strictly before D. The bar of calendar date d sees
    the last row with issued_at <= midnight of d, and no later one: a row of 18:00 is first seen on the next day's bar.
    The bar's own time of day plays no part.

    Attributes:
        rows: `GuidanceRow` values, or mappings of its columns. `issued_at`, `direction` and `confidence` are needed;
            `strength` and `tau` are always computed, and refused where given ones disagree.

    Two tables with the same rows are equal and have the same `hash`.

    Raises GuidanceError, naming row (from 0), column, value, what is allowed and the fix.
    """

    rows: tuple[GuidanceRow, ...]

    def __post_init__(self) -> None:
        rows = tuple(parse_row(number, row) for number, row in enumerate(self.rows))
        for number in range(1, len(rows)):
            earlier, later = rows[number - 1].issued_at, rows[number].issued_at
            if not earlier < later:
                raise GuidanceError(
                    f"row {number}, column 'issued_at': expected later than row {number - 1} ({earlier}), got {later}; "
                    f"sort the rows and keep one per time"
                )
        object.__setattr__(self, "rows", rows)

    @classmethod
    def from_rows(cls, rows: pd.DataFrame | Iterable[Mapping[str, Any] | GuidanceRow]) -> Guidance:
        """Return a table made of `rows`: a frame, mappings or `GuidanceRow` values; see the class for columns and
        errors.
        """
        if isinstance(rows, pd.DataFrame):
            check_columns(rows.columns, where="the frame")
            rows = ({str(name): value for name, value in row.items()} for row in rows.to_dict("records"))
        return cls(tuple(rows))  # type: ignore[arg-type]  # __post_init__ turns mappings into rows

    @classmethod
    def concat(cls, tables: Iterable[Guidance]) -> Guidance:
        """Return the `tables` of one instrument as one, earliest first; GuidanceError if their dates overlap."""
        return cls(tuple(row for table in tables for row in table.rows))

    @classmethod
    def read(cls, path: str | Path) -> Guidance:
        """Return the table in the ``.parquet`` or ``.csv`` file at `path`; an empty CSV field is a missing value, or an
        empty text.

        Raises GuidanceError where there is no such file, or it is not a table of guidance.
        """
        path = Path(path)
        missing = f"no guidance file at {path}; write one with Guidance.save or `llmguide guide`"
        frame = read_rows(path, GuidanceError, missing=missing)
        try:
            return cls.from_rows(frame)
        except GuidanceError as error:
            raise GuidanceError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> Path:
        """Write the table to `path`, a ``.parquet`` or ``.csv`` file, atomically, and return it; `read` gives an equal
        table back.
        """
        return note_files(self, write_rows(self.frame, Path(path), GuidanceError))

    @property
    def frame(self) -> pd.DataFrame:
        """A new frame with one row per issue; direction and confidence are nullable integers, missing floats are
        NaN.
        """
        return pd.DataFrame(list(self.rows), columns=list(GuidanceRow._fields)).astype(_DTYPES)

    @property
    def uses_future(self) -> bool:
        """Whether any row was made with knowledge of the future, as a control and never a result."""
        return any(row.uses_future for row in self.rows)

    @property
    def hash(self) -> str:
        """SHA-256 of the content, in hexadecimal; the same on every machine."""
        content = [[value.isoformat() if isinstance(value, datetime) else value for value in row] for row in self.rows]
        return hashlib.sha256(json.dumps([GuidanceRow._fields, content], allow_nan=False).encode()).hexdigest()

    def between(self, start: date | str | None = None, end: date | str | None = None) -> Guidance:
        """Return the rows issued on the calendar dates from `start` to `end`, both included; None is open.

        A row issued before `start` is left out even where it is still in force then: to restrict what bars see, cut the
        bars and align the whole table.
        """
        first = date.min if start is None else parse_stamp(start, where="start").date()
        last = date.max if end is None else parse_stamp(end, where="end").date()
        return Guidance(tuple(row for row in self.rows if first <= row.issued_at.date() <= last))

    def align(self, index: pd.DatetimeIndex) -> pd.DataFrame:
        """Return what each bar of `index` may see, as of its calendar date and never ahead of it.

        The columns are direction (1, 0), confidence, entropy, strength and tau (float64), and issued_at. Before the
        first row direction, confidence and entropy are NaN, issued_at is NaT, strength and tau are 0. On an abstention
        direction and confidence are NaN, strength and tau are 0. Bars may be of any frequency and order. Raises
        GuidanceError if `index` has a time zone or a missing date.
        """
        seen = self._seen(index)
        columns: dict[str, Any] = {name: self._columns[name][seen] for name in _ALIGNED}
        columns["issued_at"] = np.concatenate([[np.datetime64("NaT")], self._stamps])[seen]
        return pd.DataFrame(columns, index=index)

    def tau(self, index: pd.DatetimeIndex) -> NDArray[np.float64]:
        """Return tau of `align` for each bar of `index`: shape ``(len(index),)``, in [-1, 1], 0 where there is no
        guidance.
        """
        return self._columns["tau"][self._seen(index)]

    def at(self, day: date) -> GuidanceRow | None:
        """Return the row that a bar of calendar date `day` (a date or datetime) may see; None before the first row.

        It equals `align`, in O(log n) and without pandas: made for a strategy's `next()`. The row comes without its
        `recall`, which was measured with the realised return.
        """
        seen = bisect_right(self._issued, datetime(day.year, day.month, day.day))
        if not seen:
            return None
        row = self.rows[seen - 1]
        return row if row.recall is None else row._replace(recall=None)

    def made_from(self, bars: pd.DataFrame, *, symbol: str = "") -> Guidance:
        """Return the table with what each row saw of the `bars` that it was made from, and the instrument's `symbol`.

        A row remembers only bars before the date of its issue; what a row remembers already is kept.
        """
        closes = daily_closes(pd.DatetimeIndex(bars.index), bars["close"].to_numpy(dtype=np.float64))
        rows = []
        for row in self.rows:
            until, change = (row.seen_until, row.seen_return)
            if until is None:
                until, change = seen_by(row.issued_at, closes)
            rows.append(row._replace(symbol=row.symbol or symbol, seen_until=until, seen_return=change))
        return Guidance(tuple(rows))

    def with_recall(self, scores: Mapping[datetime, float | None]) -> Guidance:
        """Return the table with the recall score of each month; `scores` are by time of issue, None where there is
        none.

        **Uses the future**: a score says whether the model knew the realised return. It is kept for information only;
        `align`, `tau` and `at` do not show it. Raises GuidanceError where no row is of one of these months.
        """
        if not any(row.issued_at in scores for row in self.rows):
            raise GuidanceError(
                f"expected recall scores of the table's months, got {len(scores)} of other months; measure them on the "
                "same bars and schedule"
            )
        return Guidance(tuple(row._replace(recall=scores.get(row.issued_at)) for row in self.rows))

    def of_any_bars(self) -> Guidance:
        """Return the table without the bars and the instrument it remembers: it can be used with any."""
        return Guidance(tuple(row._replace(symbol="", seen_until=None, seen_return=None) for row in self.rows))

    def check_bars(self, bars: pd.DataFrame, *, symbol: str = "") -> None:
        """Refuse `bars`, or a `symbol`, other than those that the table was made from.

        Rows that saw bars which these do not hold cannot be compared, nor can tables that remember no bars; weekly and
        longer bars are never compared. Raises GuidanceError where most rows that can be compared differ, or the
        instrument does; warns (DataWarning) where some differ, as where one of two files is adjusted for dividends.
        `of_any_bars` gives a table that is not compared.
        """
        own = {row.symbol for row in self.rows if row.symbol}
        if symbol and own and symbol.upper() not in {name.upper() for name in own}:
            raise GuidanceError(
                f"this guidance is of {', '.join(sorted(own))}, and the bars are of {symbol}; {_ANY_BARS}"
            )
        self.refuse_others(
            daily_closes(pd.DatetimeIndex(bars.index), np.asarray(bars["close"], dtype=np.float64)), rows=self.rows
        )

    def refuse_others(self, closes: pd.Series, *, rows: Iterable[GuidanceRow], warn: bool = True) -> None:
        """Compare some `rows` with `closes` by date, and raise GuidanceError as `check_bars` does; `warn` also warns as
        it does.
        """
        found = judge(rows, closes)
        if found.other:
            own = ", ".join(sorted({row.symbol for row in self.rows if row.symbol}))
            made = f", of {own}," if own else ""
            raise GuidanceError(
                f"this guidance{made} was made from other bars: {found.differ} of the {found.compared} "
                f"comparable rows differ; {found.example}; {_ANY_BARS}"
            )
        if warn and found.differ and found.example not in self._said:
            self._said.add(found.example)  # a study shows one table to many doors and runs
            warnings.warn(
                f"{found.differ} of {found.compared} rows of the guidance saw different prices from these "
                f"bars: {found.example}; harmless if the two files are adjusted differently, otherwise remake "
                "the guidance from these bars",
                DataWarning,
                stacklevel=3,
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def verdict(self) -> str:
        """How much was said, when, by whom, and which way."""
        if not self.rows:
            return "No guidance."
        said = Counter(row.direction for row in self.rows)
        parts = [f"{said[1]} LONG", f"{said[0]} SHORT", *([f"{said[None]} without an answer"] if said[None] else [])]
        providers = ", ".join(sorted({row.provider or "unnamed" for row in self.rows}))
        span = f"{self.rows[0].issued_at:%Y-%m-%d} to {self.rows[-1].issued_at:%Y-%m-%d}"
        return f"{counted(len(self), 'row')} of guidance by {providers}, {span}: {', '.join(parts)}."

    def last_rows(self, count: int = 6) -> list[list[str]]:
        """Return the last `count` rows as text, each with issued, direction, confidence, tau and why."""
        return [
            [
                f"{row.issued_at:%Y-%m-%d}",
                "abstains" if row.direction is None else "LONG" if row.direction else "SHORT",
                str(row.confidence or "-"),
                f"{row.tau:+.2f}",
                row.explanation,
            ]
            for row in self.rows[-count:]
        ]

    def _shown(self) -> Shown:
        columns = ["issued", "direction", "confidence", "tau", "why"]
        table = Table("the last rows", columns, self.last_rows())
        return Shown(self.verdict, [table], warning=FUTURE if self.uses_future else "", picture=self._strip())

    def _strip(self) -> str:
        """Draw tau over time; the last row lasts as long as the one before."""
        if len(self) < 2:
            return ""
        days = [(issued - self._issued[0]).total_seconds() for issued in self._issued]
        ends = [*days[1:], 2 * days[-1] - days[-2]]
        spans = zip(days, ends, self.rows, strict=True)
        bars = [(begin / ends[-1], end / ends[-1], row.tau) for begin, end, row in spans]
        return strip(bars, f"{self._issued[0]:%Y-%m-%d}", f"{self._issued[-1]:%Y-%m-%d}")

    def __str__(self) -> str:
        return Inline.__repr__(self)

    def __repr__(self) -> str:
        if not self.rows:
            return "Guidance(0 rows)"
        span = f"{self.rows[0].issued_at:%Y-%m-%d}..{self.rows[-1].issued_at:%Y-%m-%d}"
        providers = ", ".join(sorted({row.provider or "unnamed" for row in self.rows}))
        return f"Guidance({len(self)} rows, {span}, {providers}{', USES THE FUTURE' if self.uses_future else ''})"

    def _seen(self, index: pd.DatetimeIndex) -> NDArray[np.intp]:
        """For each bar, the number of rows it may see; 0 before the first."""
        if not isinstance(index, pd.DatetimeIndex):
            raise GuidanceError(f"expected the bars' DatetimeIndex, got {type(index).__name__}; pass bars.index")
        if index.tz is not None:
            raise GuidanceError(f"expected a naive index, got time zone {index.tz}; drop it as read_bars does")
        if index.hasnans:
            raise GuidanceError(
                f"expected a date for every bar, got {int(np.sum(pd.isna(index)))} missing ones; drop them"
            )
        days = index.normalize().to_numpy().astype("datetime64[us]")
        return np.searchsorted(self._stamps, days, side="right")

    @cached_property
    def _said(self) -> set[str]:
        """What was warned of already."""
        return set()

    @cached_property
    def _issued(self) -> list[datetime]:
        return [row.issued_at for row in self.rows]

    @cached_property
    def _stamps(self) -> NDArray[np.datetime64]:
        return np.array(self._issued, dtype="datetime64[us]")

    @cached_property
    def _columns(self) -> dict[str, NDArray[np.float64]]:
        """Each aligned column (len + 1,), led by what a bar before the first row sees."""
        before = {"strength": 0.0, "tau": 0.0}
        return {
            name: np.array([before.get(name), *(getattr(row, name) for row in self.rows)], dtype=np.float64)
            for name in _ALIGNED
        }
