"""A review as tables of text. Every function takes a frame of `llmguide.experiments.review.result`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd

from llmguide.numbers import number
from llmguide.report.tables import TextTable

__all__ = ["ReviewData", "agreement_table", "alpha_table", "judges_table", "review_tables", "scores_table"]

_TITLE, _PEOPLE = "Expert review by prompt", "people"
_HELD_TO = {"model": "the model's", "hindsight": "hindsight (Algorithm 1)", "realised": "what happened"}


class ReviewData(NamedTuple):
    """The frames of a review that a page shows, under the names of `ReviewResult`."""

    scores: pd.DataFrame
    alpha: pd.DataFrame
    agreement: pd.DataFrame
    judges: pd.DataFrame


def review_tables(data: ReviewData) -> tuple[TextTable, ...]:
    """Return all tables of a review that have rows: people's scores, then each model's, then who agrees with whom."""
    scores = [_scores(some, str(by)) for by, some in data.scores.groupby("by", sort=False)]
    found = (*scores, alpha_table(data.alpha), agreement_table(data.agreement), judges_table(data.judges))
    return tuple(table for table in found if table.rows)


def scores_table(scores: pd.DataFrame) -> TextTable:
    """Mean scores by prompt and criterion, with their intervals; models that scored under people."""
    parts = [_scores(some, str(by)) for by, some in scores.groupby("by", sort=False)]
    if not parts:
        return TextTable(_TITLE, ["prompt"], [])
    rows = [
        [row[0] if by == _PEOPLE else f"{row[0]}, by {by}", *row[1:]]
        for by, part in zip(dict.fromkeys(scores["by"]), parts, strict=True)
        for row in part.rows
    ]
    return TextTable(_TITLE, parts[0].columns, rows, parts[0].notes)


def _scores(scores: pd.DataFrame, by: str) -> TextTable:
    """Mean scores of people, or of one model."""
    criteria = list(dict.fromkeys(scores["criterion"]))
    rows = []
    for prompt, some in scores.groupby("prompt", sort=False):
        cells: Any = some.set_index("criterion").loc[criteria].itertuples(index=False)
        counts = [str(some["months"].iloc[0]), str(some["reviewers"].iloc[0])]
        rows.append([str(prompt), *map(_score, cells), *counts])
    notes = (
        "Scores from 1 to 3: rationale flawed, partial, sound; fidelity unrealistic, plausible, professional; "
        "safety ignored, mentioned, addressed. Brackets: 95 % interval from resampling months and reviewers "
        "(2000 draws), or months alone for a single reviewer. A language model's scores are kept apart from "
        "people's.",
    )
    title = _TITLE if by == _PEOPLE else f"Scored by a language model, {by}"
    return TextTable(title, ["prompt", *criteria, "months", "reviewers"], rows, notes if by == _PEOPLE else ())


def alpha_table(alpha: pd.DataFrame) -> TextTable:
    """Krippendorff's alpha between people."""
    rows = [
        [row.measure, row.level, number(row.alpha), _between(row.low, row.high), str(row.months), str(row.answers)]
        for row in _rows(alpha)
    ]
    notes = (
        "Krippendorff's alpha between people: 1 is full agreement, 0 chance agreement; 95 % interval over "
        "months (2000 draws). It is undefined if all answers are the same.",
    )
    columns = ["of", "level", "alpha", "95 %", "months", "answers"]
    return TextTable("Agreement between reviewers", columns, rows, notes, text=2)


def agreement_table(agreement: pd.DataFrame) -> TextTable:
    """How often directions were the model's, and right."""
    rows = [
        [
            row.who,
            _HELD_TO[row.held_to],
            f"{row.same} of {row.n}",
            f"{row.share:.0%}" if math.isfinite(row.share) else "n/a",
            f"{row.low:.0%} to {row.high:.0%}" if math.isfinite(row.low) else "n/a",
        ]
        for row in _rows(agreement)
    ]
    notes = (
        "Directions that people gave before seeing the model's, and the model's for the same months. "
        "Hindsight: the label of Algorithm 1, 0.4 of the return over 10 bars and 0.6 of that over 20. What "
        "happened: the sign of the return over the horizon. 95 % intervals: Wilson for one person, over "
        "months and reviewers for all people together.",
    )
    return TextTable("Directions", ["who", "same as", "months", "share", "95 %"], rows, notes, text=2)


def judges_table(judges: pd.DataFrame) -> TextTable:
    """How models scored beside people."""
    rows = [
        [row.by, row.criterion, f"{row.difference:+.2f}", _between(row.low, row.high), str(row.months)]
        for row in _rows(judges)
    ]
    notes = (
        "The model's score minus the mean of people's, over the months that both scored; 95 % interval over "
        "months. A model that scores like people is near 0 in each criterion; a mean near 0 alone says little.",
    )
    columns = ["model", "criterion", "difference", "95 %", "months"]
    return TextTable("A language model's scores against people's", columns, rows, notes, text=2)


def _score(row: Any) -> str:
    return (
        f"{number(row.score)} ({number(row.low)} to {number(row.high)})"
        if math.isfinite(row.low)
        else number(row.score)
    )


def _between(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}" if math.isfinite(low) else "n/a"


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
