"""How well directions say which way a price goes, by measures that always LONG does not do well on.

| measure | formula | always the same direction |
|---|---|---|
| accuracy | (tp + tn) / n | the share of that direction |
| balanced accuracy | (tp / (tp + fn) + tn / (tn + fp)) / 2 | 0.5 |
| MCC | (tp tn - fp fn) / sqrt((tp + fp)(tp + fn)(tn + fp)(tn + fn)) | 0 |

tp counts months that rose and were said to, tn those that fell and were said to, fp and fn the others by what was said.

Source: Matthews (1975), Biochimica et Biophysica Acta 405, 442-451, for the correlation coefficient (MCC).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError
from llmguide.stats.shares import clustered_sums, percentile_interval

__all__ = ["Measured", "Skill", "directional_skill"]


class Measured(NamedTuple):
    """A measure with its 95 % interval by a bootstrap over clusters.

    Attributes:
        value: the measure; NaN where it is undefined.
        low: lower bound of the interval.
        high: upper bound of the interval.
    """

    value: float
    low: float
    high: float


class Skill(NamedTuple):
    """How good directions are, each measure with its interval.

    Attributes:
        accuracy: share of directions that were right.
        balanced_accuracy: mean of the accuracies on rises and on falls; NaN unless there are both.
        mcc: Matthews correlation coefficient; 0 where a row or a column of the table is empty, as for a constant
            direction.
    """

    accuracy: Measured
    balanced_accuracy: Measured
    mcc: Measured


def directional_skill(said: ArrayLike, rose: ArrayLike, clusters: ArrayLike, *, seed: int = 0) -> Skill:
    """Return the skill of predicted directions against what happened.

    Args:
        said: predicted direction, 1 (up) or 0 (down), shape ``(n,)``.
        rose: what happened, 1 or 0, shape ``(n,)``.
        clusters: labels, shape ``(n,)``; trials with one label are drawn together, such as the instruments of one
            month.
        seed: seed of the resampling.

    Draws in which a measure is undefined are left out of its interval, which is NaN where there are fewer than two
    clusters. Raises DataError for shapes that differ, and for values other than 0 and 1.
    """
    first, second = np.asarray(said, dtype=np.float64), np.asarray(rose, dtype=np.float64)
    if first.shape != second.shape or not np.isin([first, second], (0.0, 1.0)).all():
        raise DataError(f"expected directions and outcomes of 0 or 1, as many, got {first.shape} and {second.shape}")
    table = np.stack(
        [first * second, first * (1 - second), (1 - first) * second, (1 - first) * (1 - second)], axis=1
    )  # (n, 4): tp, fp, fn, tn
    drawn = _measures(clustered_sums(table, clusters, seed=seed))  # (resamples, 3)
    values = _measures(table.sum(axis=0)[None])[0]
    return Skill(*(_measured(value, around) for value, around in zip(values, drawn.T, strict=True)))


def _measures(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return accuracy, balanced accuracy and MCC of counts of shape (..., 4), as (..., 3)."""
    tp, fp, fn, tn = np.moveaxis(counts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = (tp + tn) / (tp + fp + fn + tn)
        balanced = (tp / (tp + fn) + tn / (tn + fp)) / 2
    square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    mcc = (tp * tn - fp * fn) / np.sqrt(np.where(square > 0, square, 1.0))  # 0 / 1 where undefined
    return np.stack([accuracy, balanced, np.where(tp + fp + fn + tn > 0, mcc, np.nan)], axis=-1)


def _measured(value: float, drawn: NDArray[np.float64]) -> Measured:
    return Measured(float(value), *percentile_interval(drawn if value == value else np.empty(0)))
