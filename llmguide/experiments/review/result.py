"""What a review found: scores by prompt, and who agrees with whom. A model that scored too stands apart from people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from llmguide.counting import counted
from llmguide.errors import DataError
from llmguide.guidance.review.kept import KeptMonth
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.rubric import CRITERIA
from llmguide.guidance.review.sheet import Entry, Sheet
from llmguide.inline import Inline, Shown, Table
from llmguide.numbers import number
from llmguide.stats import clustered_interval, crossed_interval, krippendorff_alpha, wilson_interval

__all__ = ["ALL", "MEASURES", "PEOPLE", "ReviewResult", "judge_review"]

PEOPLE = "people"
"""Who scored, where it is not a model: all reviewers together."""

ALL = "all"
"""All prompts together."""

MEASURES = (*CRITERIA, "mean")
"""The criteria, and the mean of the three, the expert review score."""

_WITH = ("model", "hindsight", "realised")


@dataclass(frozen=True, eq=False, repr=False)
class ReviewResult(Inline):
    """The result of a review. It is measured with realised returns: knowledge of the future.

    Attributes:
        answers: one row for each reviewer and month with an answer: ``reviewer``, ``kind`` (person or model), ``id``,
            ``symbol``, ``prompt``, ``issued_at``; directions as 1 long and 0 short: ``own`` (the reviewer's, before the
            model's was seen), ``model``, ``hindsight`` (Algorithm 1), ``realised`` (sign of the return over the
            horizon); scores from 1 to 3: ``rationale``, ``fidelity``, ``safety`` and their ``mean``; ``reason``,
            ``comment``. What is missing is NA, "" for texts.
        settings: the packet and its reviewers.
        seed: seed of the bootstrap.
    """

    answers: pd.DataFrame
    settings: Mapping[str, Any]
    seed: int = 0

    @property
    def verdict(self) -> str:
        """What those who scored think of the reasons, and how often people would have decided as the model did."""
        said = [_of_scores(row) for row in _rows(self._overall)]
        known = self.answers[self.answers["kind"] == "person"].dropna(subset=["own"])
        if len(known):
            same = int((known["own"] == known["model"]).sum())
            said.append(f"People's own direction was the model's in {same} of {counted(len(known), 'answer')}.")
        return " ".join(said or ["No reasons have been scored yet."])

    def _shown(self) -> Shown:
        from llmguide.report.review_tables import agreement_table, scores_table

        tables = scores_table(self.scores), agreement_table(self.agreement)
        return Shown(self.verdict, [Table(found.title, found.columns, found.rows) for found in tables])

    @property
    def _overall(self) -> pd.DataFrame:
        """The mean scores of all prompts together: a row for people, and one for each model that scored."""
        scores = self.scores
        return scores[(scores["prompt"] == ALL) & (scores["criterion"] == "mean")]

    @property
    def people(self) -> tuple[str, ...]:
        """The reviewers that are people, and not models."""
        rows = self.answers[self.answers["kind"] == "person"]
        return tuple(dict.fromkeys(rows["reviewer"]))

    @property
    def scores(self) -> pd.DataFrame:
        """Mean scores by reviewer group, prompt and criterion, as in Table VI of the paper.

        Columns ``by`` ("people", or the name of a model that scored), ``prompt`` ("all" for all), ``criterion`` (the
        three, and "mean"), ``score``, its 95 % interval ``low`` to ``high``, and the numbers of ``months``,
        ``reviewers`` and ``scores``. The interval resamples months and reviewers (`llmguide.stats.crossed_interval`);
        for one reviewer it is over months alone. NaN for fewer than two months.
        """
        rows = []
        for by, of_by in self._scored():
            for prompt in [*sorted(set(of_by["prompt"])), ALL]:
                some = of_by if prompt == ALL else of_by[of_by["prompt"] == prompt]
                for measure in MEASURES:
                    x = some[measure].to_numpy(dtype=float)
                    low, high = crossed_interval(x, some["id"], some["reviewer"], seed=self.seed)
                    counts = some["id"].nunique(), some["reviewer"].nunique(), len(some)
                    rows.append((by, prompt, measure, float(x.mean()), low, high, *counts))
        columns = ["by", "prompt", "criterion", "score", "low", "high", "months", "reviewers", "scores"]
        return pd.DataFrame(rows, columns=columns)

    @property
    def alpha(self) -> pd.DataFrame:
        """Krippendorff's alpha between people, ordinal for scores and nominal for their own directions.

        Columns ``measure`` (the criteria and "direction"), ``level``, ``alpha``, its 95 % interval over months ``low``
        to ``high``, ``months`` with at least two answers, and ``answers`` to them. Empty for fewer than two people.
        """
        people = self.answers[self.answers["kind"] == "person"]
        rows = []
        measures = [*((name, name) for name in CRITERIA), ("direction", "own")]
        for measure, column in measures if len(self.people) > 1 else ():
            level: Literal["nominal", "ordinal"] = "nominal" if measure == "direction" else "ordinal"
            wide = people.pivot(index="reviewer", columns="id", values=column).to_numpy(dtype=float, na_value=np.nan)
            found = krippendorff_alpha(wide, level=level, seed=self.seed)
            rows.append((measure, level, *found))
        return pd.DataFrame(rows, columns=["measure", "level", "alpha", "low", "high", "months", "answers"])

    @property
    def agreement(self) -> pd.DataFrame:
        """How often the directions of people, and the model's on the same months, agree with a reference.

        Columns ``who`` (each reviewer, "people" for all of them, "model"), ``held_to``, the reference ("model",
        "hindsight": the label of Algorithm 1, "realised": the sign of the return over the horizon), ``same``, ``n``,
        ``share``, and its 95 % interval ``low`` to ``high``: by Wilson for one reviewer and the model, which takes
        months as independent; by resampling months and reviewers for people. Months without an outcome are left out.
        """
        people = self.answers[self.answers["kind"] == "person"]
        rows = []
        for held_to in _WITH:
            for who in self.people:
                rows.append((who, held_to, *_wilson(people[people["reviewer"] == who], "own", held_to)))
            if len(self.people) > 1:
                known = people.dropna(subset=["own", held_to])
                same = (known["own"] == known[held_to]).to_numpy(dtype=float)
                low, high = crossed_interval(same, known["id"], known["reviewer"], seed=self.seed)
                share = float(same.mean()) if len(same) else np.nan
                rows.append((PEOPLE, held_to, int(same.sum()), len(same), share, low, high))
            if held_to != "model" and len(people):
                rows.append(("model", held_to, *_wilson(people.drop_duplicates("id"), "model", held_to)))
        return pd.DataFrame(rows, columns=["who", "held_to", "same", "n", "share", "low", "high"])

    @property
    def judges(self) -> pd.DataFrame:
        """How much higher each model scored than people did, over the months that both scored.

        Columns ``by``, ``criterion``, ``difference`` (the model's score less people's mean, averaged over months), its
        95 % interval over months ``low`` to ``high``, and ``months``.
        """
        scored = dict(self._scored())
        rows = []
        for by, of_by in scored.items():
            if by == PEOPLE or PEOPLE not in scored:
                continue
            theirs = scored[PEOPLE].groupby("id")[list(MEASURES)].mean()
            gaps = (of_by.set_index("id")[list(MEASURES)].astype("Float64") - theirs).dropna()
            for measure in MEASURES:
                x = gaps[measure].to_numpy(dtype=float)
                low, high = clustered_interval(x, gaps.index, seed=self.seed) if len(x) else (np.nan, np.nan)
                rows.append((by, measure, float(x.mean()) if len(x) else np.nan, low, high, len(x)))
        return pd.DataFrame(rows, columns=["by", "criterion", "difference", "low", "high", "months"])

    @property
    def exemplars(self) -> list[dict[str, Any]]:
        """What people would have decided, and why, as rows for ``llmguide tune --exemplars``.

        Of people's months with a reason or a comment: ``id`` (which names neither instrument nor date), ``instrument``,
        ``date``, ``direction`` (the reviewer's own), ``rationale`` (the reason for it), ``comment`` (what the model's
        answer should have said), ``reviewer``, ``prompt`` and ``scores``.
        """
        people = self.answers[self.answers["kind"] == "person"]
        return [
            {
                "id": row.id,
                "instrument": row.symbol,
                "date": f"{row.issued_at:%Y-%m-%d}",
                "direction": "LONG" if row.own else "SHORT",
                "rationale": row.reason,
                "comment": row.comment,
                "reviewer": row.reviewer,
                "prompt": row.prompt,
                "scores": {name: None if pd.isna(getattr(row, name)) else int(getattr(row, name)) for name in CRITERIA},
            }
            for row in _rows(people)
            if row.reason or row.comment
        ]

    def check(self, kept: Sequence[KeptMonth]) -> None:
        """Raise DataError unless the reviewed months of the prompts in `kept` are all among these answers of a run."""
        reviewed = set(self.of_prompts([month.prompt for month in kept]).answers["id"])
        strange = len(reviewed - {month.id for month in kept})
        if strange or not reviewed:
            what = f"{strange} of {len(reviewed)} months with another question, answer or model" if strange else "none"
            raise DataError(
                f"expected a review of these answers, got {what}; give the review of this run, or the prompts, months "
                "and model that were reviewed"
            )

    def of_prompts(self, prompts: Sequence[str]) -> ReviewResult:
        """Return the review of these `prompts` alone."""
        return ReviewResult(self.answers[self.answers["prompt"].isin(prompts)], self.settings, self.seed)

    def _scored(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Those who scored, people first, with their scored months."""
        scored = self.answers.dropna(subset=list(CRITERIA))
        people = scored[scored["kind"] == "person"]
        if len(people):
            yield PEOPLE, people
        for name, rows in scored[scored["kind"] == "model"].groupby("reviewer"):
            yield str(name), rows


def judge_review(packet: Packet, sheets: Sequence[Sheet], *, seed: int = 0) -> ReviewResult:
    """Return the result of a review from its reviewers' sheets.

    Args:
        packet: the months that were reviewed.
        sheets: one for each reviewer.
        seed: seed of the bootstrap.

    Raises DataError where nothing is answered.

    Source: arXiv 2508.02366, section II-B3 and experiment 1.
    """
    rows = [
        {
            "reviewer": sheet.reviewer,
            "kind": sheet.kind,
            "id": month.id,
            "symbol": month.symbol,
            "prompt": month.prompt,
            "issued_at": month.issued_at,
            "own": None if entry.own is None else int(entry.own == "LONG"),
            "model": month.direction,
            "hindsight": month.hindsight,
            "realised": None if month.realised is None or month.realised == 0 else int(month.realised > 0),
            **_scores_of(entry),
            "reason": entry.reason,
            "comment": entry.comment,
        }
        for sheet in sheets
        for month in packet.months
        if (entry := sheet.answers.get(month.id)) is not None
    ]
    if not rows:
        raise DataError("expected answers of at least one reviewer, got none; review with `llmguide review open`")
    whole = dict.fromkeys(("own", "model", "hindsight", "realised", *CRITERIA), "Int8")
    frame = pd.DataFrame(rows).astype({**whole, "mean": "Float64", "issued_at": "datetime64[us]"})
    people = {sheet.reviewer: len(sheet.answers) for sheet in sheets if sheet.kind == "person"}
    models = {sheet.reviewer: len(sheet.answers) for sheet in sheets if sheet.kind == "model"}
    settings = {"packet": packet.id, "months": len(packet.months), "people": people, "models": models, "seed": seed}
    return ReviewResult(frame, settings, seed)


def _scores_of(entry: Entry) -> dict[str, float | None]:
    if entry.scores is None:
        return dict.fromkeys(MEASURES)
    scores = [float(getattr(entry.scores, name)) for name in CRITERIA]
    return dict(zip(MEASURES, [*scores, sum(scores) / len(scores)], strict=True))


def _of_scores(row: Any) -> str:
    interval = f", 95 % interval {number(row.low)} to {number(row.high)}" if math.isfinite(row.low) else ""
    found = f"the reasons {number(row.score)} of 3 on average"
    if row.by == PEOPLE:
        over = f"{counted(row.months, 'month')}, {counted(row.reviewers, 'reviewer')}"
        return f"People rate {found} ({over}{interval})."
    return f"The language model {row.by} rates {found} ({counted(row.months, 'month')}{interval})."


def _wilson(rows: pd.DataFrame, one: str, other: str) -> tuple[int, int, float, float, float]:
    known = rows.dropna(subset=[one, other])
    same, n = int((known[one] == known[other]).sum()), len(known)
    return same, n, same / n if n else np.nan, *wilson_interval(same, n)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
