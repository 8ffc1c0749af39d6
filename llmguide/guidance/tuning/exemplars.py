"""Decisions known to be right: by hindsight on training bars, and by people.

People's exemplars come in a file, as an expert review exports them. CSV, UTF-8, a header and one decision a row:

    instrument,date,direction,rationale
    AAPL,2014-03-10,LONG,"The trend held through a fall in volume; the pullback ended at the 50-day average."

| column | meaning |
|---|---|
| instrument | the symbol, as the bars have it |
| date | day of the decision, 2014-03-10; it is told from bars before that day |
| direction | LONG or SHORT (1 or 0 will do): what the person holds to have been right |
| rationale | why, in words; `comment` is the same, and both are joined where both are there |

Other columns are ignored. JSON: a list of objects with the same names. A row without rationale and comment counts as an
exemplar whose reasons the model is asked for.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from llmguide.errors import GuidanceError, did_you_mean
from llmguide.guidance.controls import future_return
from llmguide.guidance.schedule import close_prices
from llmguide.guidance.strategist import Brief, Month, prepare
from llmguide.guidance.study import Study
from llmguide.guidance.tuning.training import TrainingBars
from llmguide.guidance.tuning.windows import Window

__all__ = ["Exemplar", "ExpertExemplar", "FoundExemplars", "hindsight", "place_experts", "read_exemplars"]

_COLUMNS = ("instrument", "date", "direction")
_DIRECTIONS: Mapping[str, Literal["LONG", "SHORT"]] = {"LONG": "LONG", "1": "LONG", "SHORT": "SHORT", "0": "SHORT"}


@dataclass(frozen=True, eq=False)
class Exemplar:
    """What was known for a decision, and the direction that is held to be right.

    `rationale` is a person's; "" where the label is hindsight's, or the person gave none. **Uses the future** of the
    decision, within the training bars.
    """

    symbol: str
    month: Month
    direction: Literal["LONG", "SHORT"]
    rationale: str = ""


class ExpertExemplar(NamedTuple):
    """One row of a file of people's exemplars."""

    symbol: str
    day: date
    direction: Literal["LONG", "SHORT"]
    rationale: str


class FoundExemplars(NamedTuple):
    """People's exemplars on the training bars, and how many rows are of other days or instruments."""

    exemplars: tuple[Exemplar, ...]
    outside: int


def hindsight(window: Window, brief: Brief) -> tuple[Exemplar, ...]:
    """Return the labels of Algorithm 1 for every decision in a window, oldest first.

    LONG where r = 0.4 r10 + 0.6 r20 >= 0, counted from the last close known. **Uses the future**, up to the window's
    last bar: a horizon that would pass it ends there, and the last bar itself is not labelled.
    """
    subject = window.subject
    r = future_return(close_prices(subject.bars))
    study = Study((subject,), ("P0",), brief)
    return tuple(
        Exemplar(window.symbol, month, "LONG" if r[i - 1] >= 0 else "SHORT")
        for i, month in zip(study.positions(subject), study.months(subject), strict=True)
        if r[i - 1] == r[i - 1]
    )


def place_experts(rows: Iterable[ExpertExemplar], training: Sequence[TrainingBars], brief: Brief) -> FoundExemplars:
    """Return people's exemplars with what was known on their days.

    Rows of other instruments, and of days that are not within the training bars, are left out and counted: what people
    wrote about the test would bring the test into the prompt. Where names are hidden from the model, they are hidden in
    rationales too.
    """
    known = {one.symbol: one for one in training}
    found, outside = [], 0
    for row in rows:
        bars = None if row.symbol not in known else known[row.symbol].bars
        i = 0 if bars is None else int(bars.index.searchsorted(pd.Timestamp(row.day)))
        if bars is None or not brief.first <= i < len(bars):
            outside += 1
            continue
        subject = known[row.symbol].subject
        month = prepare(subject, bars.index[i], bars.iloc[:i], every=brief.every, levels=brief.levels)
        said = subject.hidden.text(row.rationale) if brief.anonymous else row.rationale
        found.append(Exemplar(row.symbol, month, row.direction, " ".join(said.split())))
    return FoundExemplars(tuple(found), outside)


def read_exemplars(path: Path | str) -> tuple[ExpertExemplar, ...]:
    """Read a file of people's exemplars (see the module).

    Raises GuidanceError, naming file and row, for what cannot be read, a column that is missing, a day or direction
    that is none, and a file without rows.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".json": _read_json}
    if path.suffix.lower() not in readers:
        raise GuidanceError(f"expected exemplars in a file ending in .csv or .json, got {path.name!r}")
    try:
        rows = readers[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise GuidanceError(f"there is no file of exemplars at {path}") from None
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise GuidanceError(f"{path} cannot be read as exemplars: {error}") from None
    if not rows:
        raise GuidanceError(f"{path} holds no exemplars; expected rows with {', '.join(_COLUMNS)} and rationale")
    return tuple(_exemplar(f"{path}, row {number}", row) for number, row in enumerate(rows, start=1))


def _read_csv(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(text.splitlines(keepends=True), strict=True))


def _read_json(text: str) -> list[dict[str, Any]]:
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected a list of objects")
    return rows


def _exemplar(where: str, row: Mapping[Any, Any]) -> ExpertExemplar:
    cells = {str(name).strip().lower(): "" if value is None else str(value).strip() for name, value in row.items()}
    for name in _COLUMNS:
        if not cells.get(name):
            hint = did_you_mean(name, cells) if name not in cells else ""
            raise GuidanceError(f"{where}: expected a value in the column {name!r}, got none{hint}")
    direction = _DIRECTIONS.get(cells["direction"].upper())
    if direction is None:
        raise GuidanceError(f"{where}: expected the direction LONG or SHORT, got {cells['direction']!r}")
    try:
        day = date.fromisoformat(cells["date"][:10])
    except ValueError:
        raise GuidanceError(f"{where}: expected a day such as 2014-03-10, got {cells['date']!r}") from None
    said = [cells.get("rationale", ""), cells.get("comment", "")]
    return ExpertExemplar(cells["instrument"], day, direction, "\n".join(part for part in said if part))
