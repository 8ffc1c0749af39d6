"""Guidance that was asked for and is not asked for again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.guidance.live import Ask
from llmguide.guidance.row import GuidanceRow
from llmguide.live.journal import Journal

__all__ = ["remembered"]


def remembered(ask: Ask, journal: Path | str) -> Ask:
    """Return a function for ``provider=`` whose answers the journal keeps, so that a restart asks nothing twice.

    An answer is found again by its time of issue and the bars it was made from. Language models do not need this: their
    answers are kept in the cache of completions.

    Args:
        ask: a function ``(known_bars, issued_at)`` that returns a row of guidance.
        journal: the journal's file, created if missing.
    """

    def answer(known: pd.DataFrame, issued_at: datetime) -> GuidanceRow | Mapping[str, Any]:
        question = f"{issued_at.isoformat()} {_digest(known)}"
        book = Journal(journal)
        try:
            kept: dict[str, Any] | None = book.answer(question)
            if kept is not None:
                return _read(kept)
            row = ask(known, issued_at)
            book.remember(question, _written(row._asdict() if isinstance(row, GuidanceRow) else row))
            return row
        finally:
            book.close()

    return answer


def _digest(known: pd.DataFrame) -> str:
    stamps = known.index.to_numpy().astype("datetime64[ns]").astype(np.int64)
    return hashlib.sha256(stamps.tobytes() + known.to_numpy(dtype=np.float64).tobytes()).hexdigest()


def _written(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON can hold it, with its times as text."""
    written: dict[str, Any] = {}
    for key, value in row.items():
        plain = value.item() if isinstance(value, np.generic) else value
        written[key] = pd.Timestamp(plain).isoformat() if isinstance(plain, datetime) else plain
    json.dumps(written)
    return written


def _read(kept: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(kept)
    for key in ("issued_at", "seen_until"):
        if row.get(key):
            row[key] = pd.Timestamp(row[key]).to_pydatetime()
    return row
