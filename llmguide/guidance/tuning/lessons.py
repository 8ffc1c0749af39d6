"""What exemplars teach: features ranked by the model, of which the top quartile stays, and rationales in ten groups.

Rationales are compared by TF-IDF (words and pairs of words) and grouped by k-means, both of scikit-learn: no further
question is asked for it, and the same rationales give the same groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from llmguide.guidance.tuning.replies import RankedFeature, known_features

__all__ = ["CLUSTERS", "METHOD", "Group", "Lessons", "Reason", "group_rationales", "learn", "rank_features"]

CLUSTERS = 10
METHOD = "TF-IDF and k-means"
QUARTILE = 0.25


class Reason(NamedTuple):
    """What came of one exemplar."""

    direction: Literal["LONG", "SHORT"]
    rationale: str  # "" where none came
    ranks: tuple[RankedFeature, ...]
    available: tuple[str, ...]  # names of the data that were shown


class Group(NamedTuple):
    """Rationales that say about the same: the one nearest to their middle, how many they are, how many were LONG."""

    rationale: str
    size: int
    long: int


class Lessons(NamedTuple):
    """What some exemplars teach.

    Attributes:
        groups: of rationales, the largest first, at most ten.
        features: the top quartile, the most important first.
        scores: mean importance of every feature that was shown, 0..3.
        exemplars: how many there were.
        unusable: how many had no usable answer.
    """

    groups: tuple[Group, ...]
    features: tuple[str, ...]
    scores: Mapping[str, float]
    exemplars: int
    unusable: int


def learn(reasons: Sequence[Reason | None], *, seed: int) -> Lessons:
    """Return the lessons of exemplars; None stands for one without a usable answer."""
    usable = [reason for reason in reasons if reason is not None]
    scores = _scores(usable)
    groups = group_rationales([(r.rationale, r.direction) for r in usable if r.rationale], seed=seed)
    return Lessons(groups, rank_features(scores), scores, len(reasons), len(reasons) - len(usable))


def rank_features(scores: Mapping[str, float]) -> tuple[str, ...]:
    """Return the top quartile of features by score, the best first; of equal ones the order of the data decides.

    A quarter of those that were shown, rounded up; none that was never named.
    """
    order = {name: place for place, name in enumerate(known_features())}
    ranked = sorted(scores, key=lambda name: (-scores[name], order.get(name, len(order))))
    return tuple(name for name in ranked[: math.ceil(QUARTILE * len(ranked))] if scores[name] > 0)


def group_rationales(
    rationales: Sequence[tuple[str, Literal["LONG", "SHORT"]]], *, seed: int, most: int = CLUSTERS
) -> tuple[Group, ...]:
    """Return the rationales in at most `most` groups, the largest first."""
    if not rationales:
        return ()
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]  # no types; here: it takes a second to load
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]  # as above

    texts = [text for text, _ in rationales]
    told = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True).fit_transform(texts)
    points: Any = np.asarray(told.todense())
    count = min(most, len(np.unique(points, axis=0)))
    fitted = KMeans(count, n_init=10, random_state=seed).fit(points)
    groups = []
    for label in range(count):
        inside = np.flatnonzero(fitted.labels_ == label)
        apart = np.linalg.norm(points[inside] - fitted.cluster_centers_[label], axis=1)
        nearest = int(inside[int(apart.argmin())])
        groups.append(Group(texts[nearest], len(inside), sum(rationales[int(i)][1] == "LONG" for i in inside)))
    return tuple(sorted(groups, key=lambda group: (-group.size, group.rationale)))


def _scores(reasons: Iterable[Reason]) -> dict[str, float]:
    """Return the mean importance of each feature over the exemplars that showed it; 0 where it was not named."""
    shown: dict[str, list[int]] = {}
    for reason in reasons:
        ranks = {rank.name: int(rank.importance) for rank in reversed(reason.ranks)}
        for name in reason.available:
            shown.setdefault(name, []).append(ranks.get(name, 0))
    return {name: sum(values) / len(values) for name, values in shown.items()}
