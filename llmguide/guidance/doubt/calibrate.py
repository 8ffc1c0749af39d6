"""Set the probability of the direction right by the months whose outcome was known.

A model that gives LONG 0.9 may have been right in six of ten such months; then 0.6 is what its 0.9 is worth, and the
confidence should say so. Walking forward, each row is set right by what was known before it, and by nothing else: no
question is asked for it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import GuidanceError
from llmguide.guidance.revision import decide, undecided
from llmguide.guidance.row import GuidanceRow, parse_row
from llmguide.guidance.schedule import EVERY, bar_dates, close_prices, daily_bars, horizon_returns
from llmguide.guidance.table import Guidance
from llmguide.stats.calibration import Calibrator, Method, check_method, fit_calibrator

__all__ = ["LEAST", "calibrate", "calibrate_each", "calibrate_last", "said_probability"]

Name = TypeVar("Name", bound=Hashable)

LEAST = 12
"""Known months, below which nothing is calibrated."""


def calibrate(
    guidance: Guidance,
    bars: pd.DataFrame,
    *,
    method: Method = "platt",
    every: int = EVERY,
    others: Sequence[tuple[Guidance, pd.DataFrame]] = (),
    least: int = LEAST,
) -> Guidance:
    """Return the table with `p_calibrated`, and direction and confidence revised by it.

    The row issued at D is calibrated by the months known before D: those of this table and of `others` whose outcome
    rests on bars dated before D. The outcome of a month is whether the close rose in the `every` bars from the first
    one that sees it. Each month's probability is `p_revised` where there is one, else `p_long`.

    Direction and confidence follow from p_calibrated as `llmguide.guidance.revision.decide` says; at exactly 0.5 the
    direction stays. `said_direction` and `said_confidence` keep what stood there, unless they hold the model's own
    words already, and the explanation ends with what was done. A row stays as it is, without p_calibrated, where fewer
    than `least` months are known, where it abstains, and where it has no probability.

    Args:
        guidance: a table that was not calibrated yet.
        bars: those that it was made from, of days or of parts of a day.
        method: "platt" or "isotonic", see `llmguide.stats.fit_calibrator`. Isotonic regression fits chance where
            months are few, and is for those of many instruments; Platt's two numbers need fewer.
        every: trading days from a month's first bar to its outcome.
        others: tables and bars of other instruments, asked in the same way; they are not changed.
        least: known months without which nothing is calibrated.

    Raises GuidanceError for a table that is calibrated already, others with knowledge of the future, bars that a table
    was not made from (see `Guidance.check_bars`), and settings out of range; DataError for an unknown method and for
    bars that cannot be used.
    """
    walk = _Walk([guidance], [(guidance, bars), *others], method=method, every=every, least=least)
    return walk.table(guidance)


def calibrate_each(
    tables: Mapping[Name, tuple[Guidance, pd.DataFrame]],
    *,
    method: Method = "platt",
    every: int = EVERY,
    least: int = LEAST,
) -> dict[Name, Guidance]:
    """Return every table, each with its bars, calibrated with all of the rest as `others`; see `calibrate`."""
    walk = _Walk(
        [guidance for guidance, _ in tables.values()], [*tables.values()], method=method, every=every, least=least
    )
    return {name: walk.table(guidance) for name, (guidance, _) in tables.items()}


def calibrate_last(
    guidance: Guidance, bars: pd.DataFrame, *, method: Method = "platt", every: int = EVERY, least: int = LEAST
) -> GuidanceRow:
    """Return the table's last row as `calibrate` returns it, from the bars known when it was issued: for a live run."""
    return _Walk([guidance], [(guidance, bars)], method=method, every=every, least=least).row(guidance.rows[-1])


def said_probability(row: GuidanceRow) -> float | None:
    """Return the probability of LONG as the model gave it, or as it was revised; None for an abstention or without."""
    if row.direction is None:
        return None
    return row.p_long if row.p_revised is None else row.p_revised


@dataclass(frozen=True, eq=False)
class _Known:
    """Months by the date of the bar at whose close their outcome is known, earliest first; each array is (months,)."""

    day: NDArray[np.datetime64]
    p: NDArray[np.float64]
    rose: NDArray[np.bool_]


class _Walk:
    """Revises one row after another; rows before which the same months are known share a calibrator.

    `own` are the tables to be revised, `sources` all that is learned from, each with its bars.
    """

    def __init__(
        self,
        own: Sequence[Guidance],
        sources: Sequence[tuple[Guidance, pd.DataFrame]],
        *,
        method: Method,
        every: int,
        least: int,
    ) -> None:
        for name, value in (("every", every), ("least", least)):
            if value < 1:
                raise GuidanceError(f"expected {name} >= 1, got {value}")
        if any(row.p_calibrated is not None for table in own for row in table.rows):
            raise GuidanceError(
                "expected a table that is not calibrated yet; start from the one that this was made from"
            )
        if any(table.uses_future for table, _ in sources) and not all(table.uses_future for table in own):
            raise GuidanceError("expected other guidance without knowledge of the future; leave controls out")
        self._method = check_method(method)
        self._known = _known(sources, every)
        self._least = least
        self._fitted: dict[int, Calibrator] = {}

    def table(self, guidance: Guidance) -> Guidance:
        return Guidance(tuple(map(self.row, guidance.rows)))

    def row(self, row: GuidanceRow) -> GuidanceRow:
        midnight = np.datetime64(datetime.combine(row.issued_at, time()), "us")
        months = int(np.searchsorted(self._known.day, midnight, side="left"))
        p = said_probability(row)
        if p is None or row.direction is None or row.confidence is None or months < self._least:
            return row
        calibrated = float(self._after(months)(p))
        own = row.direction if row.said_direction is None else row.said_direction
        own_confidence = row.confidence if row.said_confidence is None else row.said_confidence
        direction, confidence = decide(calibrated, direction=own, confidence=own_confidence)
        note = f"[Calibrated by {self._method} on {months} months: p(LONG) {p:.2f} becomes {calibrated:.2f}.]"
        return _with(
            row,
            direction=row.direction if undecided(calibrated) else direction,
            confidence=confidence,
            said_direction=own,
            said_confidence=own_confidence,
            p_calibrated=calibrated,
            explanation=f"{row.explanation} {note}".lstrip(),
        )

    def _after(self, months: int) -> Calibrator:
        if months not in self._fitted:
            p, rose = self._known.p[:months], self._known.rose[:months]
            self._fitted[months] = fit_calibrator(p, rose, method=self._method)
        return self._fitted[months]


def _known(sources: Sequence[tuple[Guidance, pd.DataFrame]], every: int) -> _Known:
    """Return all months of some tables, each with its bars, that have an outcome."""
    found = [months for table, bars in sources for months in _months(table, bars, every)]
    found.sort()  # of one day by value: sums are then the same in whatever order the tables come
    return _Known(
        np.array([day for day, _, _ in found], dtype="datetime64[us]"),
        np.array([p for _, p, _ in found], dtype=np.float64),
        np.array([rose for _, _, rose in found], dtype=np.bool_),
    )


def _months(table: Guidance, bars: pd.DataFrame, every: int) -> list[tuple[np.datetime64, float, bool]]:
    """Return day of the outcome, probability of LONG and whether the close rose, of every month that has them.

    A month's first bar is the first one that sees it. One that was issued before the first bar of all has none.
    """
    table.check_bars(bars)
    bars = daily_bars(bars)
    days = bar_dates(bars).normalize().to_numpy().astype("datetime64[us]")
    stamps = np.array([row.issued_at for row in table.rows], dtype="datetime64[us]")
    first = np.searchsorted(days, stamps, side="left")
    realised = horizon_returns(close_prices(bars), first, every=every)
    return [
        (days[start + every], p, change > 0.0)
        for row, stamp, start, change in zip(table.rows, stamps, first.tolist(), realised.tolist(), strict=True)
        if (p := said_probability(row)) is not None and stamp >= days[0] and not np.isnan(change)
    ]


def _with(row: GuidanceRow, **values: object) -> GuidanceRow:
    """Return the row with other values, its strength and tau computed from them."""
    given = {name: value for name, value in row._asdict().items() if name not in ("strength", "tau")}
    return parse_row(0, given | values)
