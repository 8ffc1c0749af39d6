"""What the answers say about a model's memory; no model is asked here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from llmguide.errors import DataError
from llmguide.experiments.memory.result import MemoryResult
from llmguide.experiments.shares import judge_share
from llmguide.guidance.doubt.suppression import recall_score
from llmguide.guidance.inquiries.memory_study import MemoryAnswer, MemoryStudy
from llmguide.llm.odds import log_odds

__all__ = ["NEAR", "judge_memory"]

NEAR = 3
"""Months between the said month and the true one that still count as near."""

BEFORE, AFTER, UNKNOWN = "before", "after", "before or unknown"
_FLOATS = ("realised", "p_named", "recall", "months_off")
_DIRECTIONS = ("named", "base", "mirrored", "swapped", "base_there")


def judge_memory(study: MemoryStudy, answers: Sequence[MemoryAnswer]) -> MemoryResult:
    """Return how the model's answers compare with what happened, and with chance.

    Args:
        study: the study, whose seed is that of the bootstrap.
        answers: one for each question of the study, in its order.

    Raises DataError where a question has no answer, or two.
    """
    if [answer.question for answer in answers] != list(study.questions):
        raise DataError(
            f"expected the answers to the {len(study.questions)} questions of the study, got {len(answers)}"
        )
    months = _months(study, answers)
    nulls = pd.DataFrame(
        [
            {"order": " or ".join(one.question.detail), "direction": one.direction, "p_long": _p(one)}
            for one in answers
            if one.question.kind == "null"
        ],
        columns=["order", "direction", "p_long"],
    ).astype({"direction": "Int8", "p_long": "float64"})
    settings = {
        "model": ", ".join(sorted({answer.model for answer in answers if answer.model})),
        "prompt": study.version,
        "every": study.brief.every,
        "seed": study.seed,
        "cutoff": None if study.cutoff is None else study.cutoff.isoformat(),
        "questions": len(answers),
        "failures": sum(bool(answer.failure) for answer in answers),
        "without_logprobs": sum(answer.direction is not None and answer.p_long is None for answer in answers),
    }
    return MemoryResult(months, nulls, _measures(months, nulls, study), settings)


def _months(study: MemoryStudy, answers: Sequence[MemoryAnswer]) -> pd.DataFrame:
    rows: dict[tuple[str, Any], dict[str, Any]] = {}
    for (symbol, day), realised in study.outcomes.items():
        period = UNKNOWN if study.cutoff is None else BEFORE if day.date() <= study.cutoff else AFTER
        rows[symbol, day] = {"symbol": symbol, "issued_at": day, "period": period, "realised": realised}
    for answer in answers:
        question = answer.question
        if question.kind == "null":
            continue
        row = rows[question.symbol, question.issued_at]
        if question.kind == "named":
            row |= {"named": answer.direction, "p_named": _p(answer)}
            known = not math.isnan(row["realised"]) and row["p_named"] is not None
            row["recall"] = recall_score(row["p_named"], row["realised"]) if known else None
        elif question.kind == "identity":
            row |= _identified(answer)
        else:
            row[question.kind] = answer.direction
            if question.kind == "swapped":
                row["swapped_with"] = question.detail
    for (symbol, _), row in rows.items():
        if "swapped_with" in row:
            row["base_there"] = rows[symbol, row["swapped_with"]].get("base")
    columns = (
        *("symbol", "issued_at", "period", "realised", "named", "p_named", "recall", "options", "said_instrument"),
        *("instrument_right", "said_month", "months_off", "base", "mirrored", "swapped", "swapped_with", "base_there"),
    )
    frame = pd.DataFrame(list(rows.values()), columns=list(columns))
    dtypes = dict.fromkeys(_DIRECTIONS, "Int8") | dict.fromkeys(_FLOATS, "float64")
    dtypes |= dict.fromkeys(("issued_at", "swapped_with"), "datetime64[us]")
    return frame.astype({**dtypes, "options": "Int64", "instrument_right": "boolean"})


def _p(answer: MemoryAnswer) -> float | None:
    """Return the probability of LONG; 0 or 1 by the answer where there are no log-probabilities."""
    return answer.p_long if answer.p_long is not None or answer.direction is None else float(answer.direction)


def _identified(answer: MemoryAnswer) -> dict[str, Any]:
    options, said, day = answer.question.detail, answer.identity, answer.question.issued_at
    if said is None or day is None:
        return {"options": len(options)}
    named = options[said.instrument - 1] if said.instrument <= len(options) else "not in the list"
    return {
        "options": len(options),
        "said_instrument": named,
        "instrument_right": named == answer.question.symbol,
        "said_month": f"{said.year}-{said.month:02d}",
        "months_off": 12 * (said.year - day.year) + said.month - day.month,
    }


def _measures(months: pd.DataFrame, nulls: pd.DataFrame, study: MemoryStudy) -> pd.DataFrame:
    rows = []
    for period, of_period in months.groupby("period", sort=False):
        groups = [("all", of_period), *of_period.groupby("symbol", sort=False)]
        for symbol, group in groups:
            for found in _of_group(group, nulls, study):
                rows.append({"measure": found.pop("measure"), "period": period, "symbol": symbol, **found})
    columns = ["measure", "period", "symbol", "n", "hits", "share", "chance", "base_rate", "low", "high"]
    frame = pd.DataFrame(rows, columns=[*columns, "cluster_low", "cluster_high", "left_out"])
    floats = dict.fromkeys(("share", "chance", "base_rate", "low", "high", "cluster_low", "cluster_high"), "float64")
    return frame.astype({**floats, "n": "int64", "hits": "int64", "left_out": "int64"})


def _of_group(group: pd.DataFrame, nulls: pd.DataFrame, study: MemoryStudy) -> Iterator[dict[str, Any]]:
    """Yield each measure of some months."""

    def row(measure: str, hit: pd.Series[Any], chance: float, base_rate: float | None = None) -> dict[str, Any]:
        found = judge_share(hit, group["issued_at"], seed=study.seed)
        return {"measure": measure, "chance": chance, "base_rate": base_rate, **found._asdict()}

    rose = (group["realised"] > 0).astype("Int8").where(group["realised"].notna() & (group["realised"] != 0))
    if "recall" in study.measures:
        up = float(rose.mean()) if rose.notna().any() else math.nan
        base_rate = max(up, 1.0 - up)
        yield row(
            "recall, named", (group["named"] == rose).where(rose.notna() & group["named"].notna()), 0.5, base_rate
        )
        null = _null_direction(nulls)
        yield row("recall, anonymous", (rose == null).where(rose.notna() & (null is not None)), 0.5, base_rate)
    if "identification" in study.measures:
        yield row("instrument", group["instrument_right"], float((1.0 / group["options"].astype("float64")).mean()))
        for name, most in (("month, exact", 0), (f"month, within {NEAR}", NEAR)):
            yield row(name, (group["months_off"].abs() <= most).where(group["months_off"].notna()), _dealt(group, most))
    if "counterfactual" in study.measures:
        both = group["base"].notna() & group["mirrored"].notna()
        yield row("follows flipped returns", (group["base"] != group["mirrored"]).where(both), math.nan)
        differ = group["base"].notna() & group["base_there"].notna() & (group["base"] != group["base_there"])
        told = (differ & group["swapped"].notna()).fillna(False)
        yield row("follows swapped months", (group["swapped"] == group["base_there"]).where(told), math.nan)


def _null_direction(nulls: pd.DataFrame) -> int | None:
    """Return the direction of the mean log-odds over both orders; None where it is undecided or unknown."""
    odds = [log_odds(p, 1.0 - p) for p in nulls["p_long"].dropna()]
    mean = math.fsum(odds)
    return None if not odds or abs(mean) < 1e-12 else int(mean > 0)


def _dealt(group: pd.DataFrame, most: int) -> float:
    """Return the share of months that would be hit if the same answers were dealt to the months at random."""
    known = group[group["months_off"].notna()]
    true = (12 * known["issued_at"].dt.year + known["issued_at"].dt.month).to_numpy(dtype=np.float64)
    said = true + known["months_off"].to_numpy()
    return float((np.abs(said[:, None] - true[None, :]) <= most).mean()) if len(true) else math.nan
