"""What the answers say about a model's biases; no model is asked here.

A contrast is the same month asked in two ways, and what the answer does between them:

| measure | the one | the other |
|---|---|---|
| labels | LONG and SHORT | the codes X and Y, both ways to give them out, groups in the same order |
| codes | LONG is X | LONG is Y, in both orders of the groups |
| order | groups reversed | groups in order, both ways to give out the codes |
| paraphrase | the first paragraph in other words | as it is |

turned: the share of months in which the directions differ; log-odds and p(LONG): how much more LONG the one is, on
average. Of several answers the mean log-odds count (their mean direction where log-probabilities are missing), so that
no contrast has a part in another: each is the same on either side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from llmguide.errors import DataError
from llmguide.experiments.bias.result import BiasResult
from llmguide.experiments.shares import Share, calendar_months, judge_share
from llmguide.guidance.doubt.coding import FORMS, Form
from llmguide.guidance.doubt.debias import View, debias
from llmguide.guidance.inquiries.bias_study import BiasAnswer, BiasStudy
from llmguide.llm.odds import log_odds
from llmguide.stats import clustered_interval, directional_skill

__all__ = ["CONTRASTS", "judge_bias"]


class Contrast(NamedTuple):
    """Two sets of columns of the months, each a way to ask."""

    name: str
    one: tuple[str, ...]
    other: tuple[str, ...]


def _column(form: Form) -> str:
    return f"long_{form.long.lower()}{'_reversed' if form.reversed else ''}"


_CODED = tuple(map(_column, FORMS))
_WAYS = ("plain", *_CODED, "debiased", "paraphrase", "bare", "mirrored")

CONTRASTS = (
    Contrast("labels", ("plain",), tuple(_column(form) for form in FORMS if not form.reversed)),
    Contrast(
        "codes",
        tuple(_column(form) for form in FORMS if form.long == "X"),
        tuple(_column(form) for form in FORMS if form.long == "Y"),
    ),
    Contrast(
        "order",
        tuple(_column(form) for form in FORMS if form.reversed),
        tuple(_column(form) for form in FORMS if not form.reversed),
    ),
    Contrast("paraphrase", ("paraphrase",), ("plain",)),
)

_EVEN = 1e-12  # log-odds within it are a tie: their sum is rounded
_INTERVALS = ("low", "high", "cluster_low", "cluster_high")


def judge_bias(study: BiasStudy, answers: Sequence[BiasAnswer]) -> BiasResult:
    """Return how the model's answers differ from each other, and how good its directions are.

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
    measures, skill = [], []
    for symbol, group in [("all", months), *months.groupby("symbol", sort=False)]:
        measures += [{"symbol": symbol, **row} for row in _biases(group, study.seed)]
        skill += [{"symbol": symbol, **row} for row in _skill(group, study.seed)]
    settings = {
        "model": ", ".join(sorted({answer.model for answer in answers if answer.model})),
        "prompt": study.version,
        "every": study.brief.every,
        "levels": study.brief.levels,
        "seed": study.seed,
        "paraphrases_own": study.paraphrases_own,
        "questions": len(answers),
        "failures": sum(answer.direction is None for answer in answers),
        "without_logprobs": sum(answer.direction is not None and answer.p_long is None for answer in answers),
    }
    columns = ("measure", "what", "symbol", "n", "hits", "value", "unbiased", *_INTERVALS, "left_out")
    floats = dict.fromkeys(("value", *_INTERVALS), "float64")
    return BiasResult(
        months,
        _nulls(answers),
        pd.DataFrame(measures, columns=list(columns)).astype({**floats, "unbiased": "float64", "hits": "Int64"}),
        pd.DataFrame(skill, columns=["answer", "measure", "symbol", "n", "value", *_INTERVALS]).astype(floats),
        settings,
    )


def _months(study: BiasStudy, answers: Sequence[BiasAnswer]) -> pd.DataFrame:
    rows: dict[tuple[str, Any], dict[str, Any]] = {
        (symbol, day): {"symbol": symbol, "issued_at": day, "realised": realised}
        for (symbol, day), realised in study.outcomes.items()
    }
    views: dict[tuple[str, Any], list[View]] = {key: [] for key in rows}
    for answer in answers:
        kind, symbol, day, _, form = answer.question
        if kind == "null":
            continue
        if form is not None:
            views[symbol, day].append(View(form, answer.direction, answer.p_long))
        name = kind if form is None else _column(form)
        rows[symbol, day] |= {name: answer.direction, f"p_{name}": answer.p_long}
    for key, row in rows.items():
        row["debiased"], row["p_debiased"] = _debiased(views[key], row["plain"])
    columns = ["symbol", "issued_at", "realised", *(f"{prefix}{way}" for way in _WAYS for prefix in ("", "p_"))]
    dtypes = dict.fromkeys(_WAYS, "Int8") | {f"p_{way}": "float64" for way in _WAYS}
    return pd.DataFrame(list(rows.values()), columns=columns).astype(
        {**dtypes, "realised": "float64", "issued_at": "datetime64[us]"}
    )


def _debiased(views: Sequence[View], own: int | None) -> tuple[int | None, float | None]:
    """Return the direction as `--debias` has it, and its probability of LONG; None where guidance has none either."""
    found = None if own is None else debias(views, direction=own, confidence=3)
    if found is None:
        return None, None
    return found.direction, None if found.by_votes else found.p_long


def _nulls(answers: Sequence[BiasAnswer]) -> pd.DataFrame:
    null = [answer for answer in answers if answer.question.kind == "null"]
    rows = [
        ("plain" if answer.question.form is None else answer.question.form.name, answer.direction, answer.p_long)
        for answer in null
    ]
    views = [
        View(answer.question.form, answer.direction, answer.p_long)
        for answer in null
        if answer.question.form is not None
    ]
    rows.append(("debiased", *_debiased(views, rows[0][1])))
    frame = pd.DataFrame(rows, columns=["form", "direction", "p_long"])
    frame = frame.astype({"direction": "Int8", "p_long": "float64"})
    return frame.assign(log_odds=_log_odds(frame["p_long"]))


def _biases(group: pd.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """Yield each measure of the biases over some months."""

    def share(measure: str, what: str, hit: pd.Series[Any], unbiased: float) -> dict[str, Any]:
        return {"measure": measure, "what": what, "unbiased": unbiased, **_of_share(hit, group, seed)}

    def mean(measure: str, what: str, values: pd.Series[Any]) -> dict[str, Any]:
        return {"measure": measure, "what": what, "unbiased": 0.0, **_of_mean(values, group, seed)}

    for contrast in CONTRASTS:
        one, other = (_side(group, names) for names in (contrast.one, contrast.other))
        yield share(contrast.name, "turned", _differ(one.direction, other.direction), 0.0)
        moved = one.log_odds - other.log_odds
        yield mean(contrast.name, "log-odds", moved)
        yield mean(contrast.name, "absolute log-odds", moved.abs())
        told = moved.notna()
        yield mean(contrast.name, "p(LONG)", _p_long(one, told) - _p_long(other, told))
    bare, mirrored = (_side(group, (name,)) for name in ("bare", "mirrored"))
    yield share("mirror", "opposite", _differ(bare.direction, mirrored.direction), 1.0)
    both = bare.direction + mirrored.direction  # missing where either is
    yield share("mirror", "both LONG", (both == 2).where(both.notna()), 0.0)
    yield share("mirror", "both SHORT", (both == 0).where(both.notna()), 0.0)
    lean = _side(group, ("bare", "mirrored"))
    yield mean("mirror", "log-odds", lean.log_odds)
    yield mean("mirror", "p(LONG)", _p_long(lean, lean.log_odds.notna()) - 0.5)


class _Side(NamedTuple):
    """What the answers to some ways to ask say together; one row a month, NaN where any of them is missing."""

    log_odds: pd.Series[Any]  # mean
    said: pd.Series[Any]  # mean direction, 0..1
    direction: pd.Series[Any]  # 1, 0; of several answers NaN at a tie


def _side(group: pd.DataFrame, names: Sequence[str]) -> _Side:
    odds = pd.concat([_log_odds(group[f"p_{name}"]) for name in names], axis=1).mean(axis=1, skipna=False)
    said = group[list(names)].astype("float64").mean(axis=1, skipna=False)
    if len(names) == 1:
        return _Side(odds, said, said)
    balance = odds.where(odds.notna(), said - 0.5)
    return _Side(odds, said, (balance > 0).astype("float64").where(balance.abs() > _EVEN))


def _p_long(side: _Side, told: pd.Series[Any]) -> pd.Series[Any]:
    """Return the probability of LONG at the mean log-odds where `told`, elsewhere the mean direction."""
    probability = pd.Series(0.5 + 0.5 * np.tanh(side.log_odds / 2.0), side.said.index)  # the logistic function
    return probability.where(told, side.said)


def _log_odds(p: pd.Series[Any]) -> pd.Series[Any]:
    return pd.Series([math.nan if pd.isna(one) else log_odds(one, 1.0 - one) for one in p], p.index, dtype="float64")


def _differ(one: pd.Series[Any], other: pd.Series[Any]) -> pd.Series[Any]:
    return (one != other).where(one.notna() & other.notna())


def _of_share(hit: pd.Series[Any], group: pd.DataFrame, seed: int) -> dict[str, Any]:
    found: Share = judge_share(hit, group["issued_at"], seed=seed)
    fields = found._asdict()
    return {"value": fields.pop("share"), **fields}


def _of_mean(values: pd.Series[Any], group: pd.DataFrame, seed: int) -> dict[str, Any]:
    kept = values.dropna()
    low, high = clustered_interval(kept, calendar_months(group["issued_at"].loc[kept.index]), seed=seed)
    value = float(kept.mean()) if len(kept) else math.nan
    return {
        "n": len(kept),
        "value": value,
        "cluster_low": low,
        "cluster_high": high,
        "left_out": len(group) - len(kept),
    }


def _skill(group: pd.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """Yield what the directions are worth, all on the same months: those with both directions and an outcome."""
    known = group["realised"].notna() & (group["realised"] != 0) & group["plain"].notna() & group["debiased"].notna()
    kept = group[known]
    rose = (kept["realised"] > 0).astype("float64")
    up = float(rose.mean()) if len(rose) else math.nan
    told = kept["p_plain"].notna() & kept["p_debiased"].notna()
    answers = {
        "plain": (kept["plain"].astype("float64"), kept["p_plain"]),
        "debiased": (kept["debiased"].astype("float64"), kept["p_debiased"]),
        "constant LONG": (rose * 0.0 + 1.0, rose * 0.0 + 1.0),
        "base rate": (rose * 0.0 + float(up >= 0.5), rose * 0.0 + up),
    }
    clusters = calendar_months(kept["issued_at"])
    for name, (said, p_long) in answers.items():
        found = directional_skill(said, rose, clusters, seed=seed)
        right = _of_share(said == rose, kept, seed)
        yield {"answer": name, "measure": "says LONG", **_of_share(said == 1, kept, seed)}
        yield {"answer": name, "measure": "accuracy", **right}
        for measure, one in (("balanced accuracy", found.balanced_accuracy), ("MCC", found.mcc)):
            around = {"cluster_low": one.low, "cluster_high": one.high}
            yield {"answer": name, "measure": measure, "n": len(kept), "value": one.value, **around}
        yield {"answer": name, "measure": "Brier score", **_of_mean(((p_long - rose) ** 2)[told], kept, seed)}
