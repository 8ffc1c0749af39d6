"""One line of guidance, and the door through which it comes in: every value is checked, none is repaired."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from llmguide.errors import GuidanceError, did_you_mean
from llmguide.guidance.strength import strength, tau

__all__ = ["GuidanceRow", "check_columns", "parse_row", "parse_stamp"]

_TOLERANCE = 1e-9


class GuidanceRow(NamedTuple):
    """One issue of guidance; None means missing.

    It was made only from bars strictly before `issued_at`; `Guidance.align` says which bars see it. A missing
    `direction` is an abstention: its confidence is missing, its strength and tau are 0. `strength` and `tau` follow
    from the other fields.

    Attributes:
        issued_at: naive, in the exchange's time.
        direction: 1 long, 0 short.
        confidence: 1, 2 or 3.
        entropy: normalised entropy of the answer, from 0 (certain) to 1.
        perplexity: of the answer's tokens, at least 1.
        direction_entropy: entropy of the tokens that say LONG or SHORT alone; for information.
        confidence_entropy: entropy of the tokens that say 1, 2 or 3 alone; for information.
        strength: confidence / 3, discounted by entropy, in [0, 1].
        tau: signed strength, in [-1, 1].
        explanation: the reasons given.
        provider: what made the row, such as "llm" or "rules".
        model: name of the language model, "" for other providers.
        prompt_version: name of the prompt.
        prompt_hash: SHA-256 of the prompt's template, the reply's schema and levels that are absolute.
        fingerprint: fingerprint of the system that answered, as its endpoint reports it.
        uses_future: True only for controls made from later bars or later guidance.
        symbol: the instrument, where known.
        seen_until: the last daily bar before `issued_at` (see `llmguide.guidance.origin`).
        seen_return: change of the close over the 20 daily bars up to it, a fraction.
        p_long: p(LONG) / (p(LONG) + p(SHORT)) at the direction's token, where both are known.
        said_direction: the model's own direction, where the row's was revised.
        said_confidence: the model's own confidence, likewise.
        recall: score of ``llmguide memory``, measured with the realised return: knowledge of the future.
        p_revised: p(LONG) without memory, debiased or by votes, from which the direction is made.
        p_calibrated: p(LONG) calibrated on the months known before; the direction follows from it.

    Source: arXiv 2508.02366v3, equations 3 to 8.
    """

    issued_at: datetime
    direction: int | None
    confidence: int | None
    entropy: float | None
    perplexity: float | None
    direction_entropy: float | None
    confidence_entropy: float | None
    strength: float
    tau: float
    explanation: str
    provider: str
    model: str
    prompt_version: str
    prompt_hash: str
    fingerprint: str
    uses_future: bool
    symbol: str = ""
    seen_until: datetime | None = None
    seen_return: float | None = None
    p_long: float | None = None
    said_direction: int | None = None
    said_confidence: int | None = None
    recall: float | None = None
    p_revised: float | None = None
    p_calibrated: float | None = None


_REQUIRED = ("issued_at", "direction", "confidence")


def check_columns(columns: Iterable[Any], *, where: str) -> None:
    """Raise GuidanceError for an unknown, repeated or missing column."""
    names = list(columns)
    for name in names:
        if name not in GuidanceRow._fields:
            hint = did_you_mean(name, GuidanceRow._fields)
            raise GuidanceError(
                f"{where}: unknown column {name!r}{hint or '; known: ' + ', '.join(GuidanceRow._fields)}"
            )
        if names.count(name) > 1:
            raise GuidanceError(f"{where}: column {name!r} appears {names.count(name)} times; keep one")
    for name in _REQUIRED:
        if name not in names:
            raise GuidanceError(f"{where}: column {name!r} is missing; needed are {', '.join(_REQUIRED)}")


def parse_row(number: int, row: Mapping[str, Any] | GuidanceRow) -> GuidanceRow:
    """Return the checked row with its strength and tau; GuidanceError names row, column, value, range and fix."""
    if isinstance(row, GuidanceRow):
        row = row._asdict()
    elif not isinstance(row, Mapping):
        raise GuidanceError(f"row {number}: expected a mapping of columns or a GuidanceRow, got {row!r}")
    check_columns(row, where=f"row {number}")
    issued_at = parse_stamp(row["issued_at"], where=f"row {number}, column 'issued_at'")
    cell = _Cells(f"row {number} (issued {issued_at})", row)
    direction = cell.integer("direction", (0, 1), "1 (long), 0 (short) or missing (an abstention)", "")
    confidence = cell.integer("confidence", (1, 2, 3), "1, 2 or 3", "; map the scale to these three")
    if (direction is None) != (confidence is None):
        known, absent = ("confidence", "direction") if direction is None else ("direction", "confidence")
        raise GuidanceError(
            f"{cell.where}, column {absent!r}: expected a value beside {known} {row[known]!r}, got none; "
            f"give both, or neither to abstain"
        )
    entropy = cell.entropy("entropy")
    perplexity = cell.number("perplexity", 1.0, math.inf, ">= 1 or missing", "; it is exp(-mean log p), eq. 3")
    return GuidanceRow(
        issued_at=issued_at,
        direction=direction,
        confidence=confidence,
        entropy=entropy,
        perplexity=perplexity,
        direction_entropy=cell.entropy("direction_entropy"),
        confidence_entropy=cell.entropy("confidence_entropy"),
        strength=cell.computed("strength", float(strength(_nan(confidence), _nan(entropy)))),
        tau=cell.computed("tau", float(tau(_nan(direction), _nan(confidence), _nan(entropy)))),
        explanation=cell.text("explanation"),
        provider=cell.text("provider"),
        model=cell.text("model"),
        prompt_version=cell.text("prompt_version"),
        prompt_hash=cell.text("prompt_hash"),
        fingerprint=cell.text("fingerprint"),
        uses_future=cell.flag("uses_future"),
        symbol=cell.text("symbol"),
        seen_until=cell.stamp("seen_until"),
        seen_return=cell.number("seen_return", -1.0, math.inf, "a change of price above -1, or missing", ""),
        p_long=cell.number("p_long", 0.0, 1.0, "a probability, 0..1, or missing", ""),
        said_direction=cell.integer("said_direction", (0, 1), "1 (long), 0 (short) or missing", ""),
        said_confidence=cell.integer("said_confidence", (1, 2, 3), "1, 2, 3 or missing", ""),
        recall=cell.number("recall", 0.0, 1.0, "a probability, 0..1, or missing", ""),
        p_revised=cell.number("p_revised", 0.0, 1.0, "a probability, 0..1, or missing", ""),
        p_calibrated=cell.number("p_calibrated", 0.0, 1.0, "a probability, 0..1, or missing", ""),
    )


def parse_stamp(value: Any, *, where: str) -> datetime:
    """Return a naive datetime for an ISO 8601 text, date, datetime or numpy/pandas stamp; GuidanceError otherwise."""
    expected = f"{where}: expected a naive date or time (ISO 8601 if text)"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise GuidanceError(f"{expected}, got {value!r}; write it like 2018-01-02") from None
    elif isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    # pandas declares NaT a datetime.
    if value is pd.NaT or not isinstance(value, datetime):
        raise GuidanceError(f"{expected}, got {value!r}; every row needs the time at which it became known")
    if value.tzinfo is not None:
        raise GuidanceError(
            f"{expected}, got {value} with a time zone; convert it to the exchange's own time and drop the "
            "zone: tz_convert(exchange).tz_localize(None)"
        )
    if isinstance(value, pd.Timestamp):
        if value.nanosecond:
            raise GuidanceError(f"{expected} of at most microseconds, got {value}; round it up: .ceil('us')")
        return value.to_pydatetime()
    return value


class _Cells:
    """Reads the values of one row; `where` begins every message."""

    def __init__(self, where: str, row: Mapping[str, Any]) -> None:
        self.where = where
        self.row = row

    def _refuse(self, column: str, expected: str, fix: str) -> GuidanceError:
        return GuidanceError(f"{self.where}, column {column!r}: expected {expected}, got {self.row.get(column)!r}{fix}")

    def _float(self, column: str, expected: str, fix: str) -> float | None:
        value = self.row.get(column)
        if value is None or value is pd.NA or value is pd.NaT or value == "":
            return None
        if isinstance(value, bool | np.bool_):
            raise self._refuse(column, expected, fix)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self._refuse(column, expected, fix) from None
        # Adding zero turns -0.0 into 0.0, so that equal tables have equal hashes.
        return None if math.isnan(number) else number + 0.0

    def number(self, column: str, low: float, high: float, expected: str, fix: str) -> float | None:
        number = self._float(column, expected, fix)
        if number is not None and not (low <= number <= high and math.isfinite(number)):
            raise self._refuse(column, expected, fix)
        return number

    def integer(self, column: str, allowed: tuple[int, ...], expected: str, fix: str) -> int | None:
        number = self._float(column, expected, fix)
        if number is not None and number not in allowed:
            raise self._refuse(column, expected, fix)
        return None if number is None else int(number)

    def entropy(self, column: str) -> float | None:
        return self.number(column, 0.0, 1.0, "0..1 or missing", "; divide eq. 4 by its largest value, ln(k + 1)")

    def computed(self, column: str, value: float) -> float:
        expected = f"{value:.9g}, computed from direction, confidence and entropy (eq. 5-8)"
        fix = "; leave the column out"
        given = self._float(column, expected, fix)
        if given is not None and not abs(given - value) <= _TOLERANCE:
            raise self._refuse(column, expected, fix)
        return value

    def text(self, column: str) -> str:
        value = self.row.get(column)
        if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
            return ""
        if not isinstance(value, str):
            raise self._refuse(column, "a text, maybe empty", "")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise self._refuse(column, "a text that UTF-8 can hold", "; it has a lone surrogate") from None
        return str(value)

    def stamp(self, column: str) -> datetime | None:
        value = self.row.get(column)
        if value is None or value is pd.NaT or value is pd.NA or value == "":
            return None
        if isinstance(value, float) and math.isnan(value):
            return None
        return parse_stamp(value, where=f"{self.where}, column {column!r}")

    def flag(self, column: str) -> bool:
        value = self.row.get(column, False)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool | np.bool_):
            return bool(value)
        raise self._refuse(column, "True or False in every row", "; leave the column out if no row uses the future")


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
