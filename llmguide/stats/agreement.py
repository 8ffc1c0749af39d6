"""Do several observers say the same? Krippendorff's alpha, and intervals over what was observed and who observed it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError
from llmguide.stats.shares import percentile_interval

__all__ = ["Alpha", "crossed_interval", "krippendorff_alpha"]

Level = Literal["nominal", "ordinal", "interval"]

_RESAMPLES = 2000


class Alpha(NamedTuple):
    """Agreement of observers: 1 is perfect, 0 is that of chance, below 0 is systematic disagreement.

    Attributes:
        alpha: Krippendorff's alpha; NaN where no unit has two observers, or all values are the same.
        low: lower bound of the 95 % interval, from drawing whole units with replacement; NaN where no draw has an
            alpha.
        high: its upper bound.
        units: units that at least two observers rated.
        values: ratings of these units.
    """

    alpha: float
    low: float
    high: float
    units: int
    values: int


def krippendorff_alpha(
    ratings: ArrayLike, *, level: Level = "ordinal", seed: int = 0, resamples: int = _RESAMPLES
) -> Alpha:
    """Return Krippendorff's alpha of ratings: 1 less the observed disagreement over that expected by chance.

    Args:
        ratings: shape ``(observers, units)``; NaN where an observer gave none. Units that fewer than two observers
            rated are left out.
        level: how values differ: "nominal", 0 or 1; "interval", the square of their difference; "ordinal", the square
            of how many ratings lie between them, half of those at both ends included.
        seed: seed of the resampling.
        resamples: number of draws of whole units, for the interval.

    Returns:
        An `Alpha` with its interval.

    Raises DataError for ratings of another shape, infinite ones, and an unknown level.

    Source: Krippendorff (2011), Computing Krippendorff's alpha-reliability, University of Pennsylvania.
    """
    if level not in ("nominal", "ordinal", "interval"):
        raise DataError(f"expected the level nominal, ordinal or interval, got {level!r}")
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or np.isinf(table).any():
        raise DataError(f"expected finite ratings of shape (observers, units), NaN for none, got shape {table.shape}")
    paired = (~np.isnan(table)).sum(axis=0) > 1
    table = table[:, paired]
    values = np.unique(table[~np.isnan(table)])
    coincidences = _coincidences(table, values)  # (units, values, values)
    units = len(coincidences)
    if not units:
        return Alpha(np.nan, np.nan, np.nan, 0, 0)
    random = np.random.default_rng(seed)
    counts = random.multinomial(units, np.full(units, 1 / units), size=resamples)  # (resamples, units)
    drawn = np.tensordot(counts, coincidences, axes=1)  # (resamples, values, values)
    alpha = _alpha(coincidences.sum(axis=0)[None], values, level)
    low, high = percentile_interval(_alpha(drawn, values, level)) if units > 1 else (np.nan, np.nan)
    return Alpha(float(alpha[0]), low, high, units, int((~np.isnan(table)).sum()))


def crossed_interval(
    values: ArrayLike, rows: ArrayLike, columns: ArrayLike, *, seed: int = 0, resamples: int = _RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of `values` when rows and columns are both resampled.

    Args:
        values: shape ``(n,)``, such as scores.
        rows: shape ``(n,)``, labels of what was observed, such as months.
        columns: shape ``(n,)``, labels of who observed it, such as reviewers.
        seed: seed of the resampling.
        resamples: number of draws.

    Each draw takes as many rows, and as many columns, with replacement, and every value as often as its row and its
    column were drawn: an interval for other months and other reviewers. A single column is not resampled, so that the
    interval is then over rows alone; NaN where there are fewer than two rows. Raises DataError for shapes that differ.

    Source: Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1, 386-411; it is conservative.
    """
    x = np.asarray(values, dtype=np.float64)
    labels = [np.asarray(rows), np.asarray(columns)]
    if x.ndim != 1 or any(one.shape != x.shape for one in labels):
        raise DataError(
            f"expected values, rows and columns of one shape (n,), got {[x.shape, *(a.shape for a in labels)]}"
        )
    row, column = (np.unique(one, return_inverse=True)[1] for one in labels)
    if not len(x) or not row.any():
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    of_row, of_column = (_draws(random, int(at.max()) + 1, resamples) for at in (row, column))
    weights = of_row[:, row] * of_column[:, column]  # (resamples, n)
    total = weights.sum(axis=1)
    means = np.divide(weights @ x, total, out=np.full(resamples, np.nan), where=total > 0)
    return percentile_interval(means)


def _draws(random: np.random.Generator, count: int, resamples: int) -> NDArray[np.int64]:
    """How often each of `count` labels is drawn, (resamples, count)."""
    return random.multinomial(count, np.full(count, 1 / count), size=resamples)


def _coincidences(table: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each unit's part of the coincidence matrix, (units, values, values): pairs of ratings over one less than them."""
    counts = (table[:, :, None] == values).sum(axis=0).astype(np.float64)  # (units, values)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    found: NDArray[np.float64] = pairs / (counts.sum(axis=1) - 1)[:, None, None]
    return found


def _alpha(coincidences: NDArray[np.float64], values: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    """Alpha of each coincidence matrix of shape (n, values, values); NaN where all its values are the same."""
    marginal = coincidences.sum(axis=2)  # (n, values)
    total = marginal.sum(axis=1)
    if level == "ordinal":
        below = np.cumsum(marginal, axis=1) - marginal / 2  # ratings below a value, half of its own included
        distance = (below[:, :, None] - below[:, None, :]) ** 2
    elif level == "interval":
        distance = (values[:, None] - values[None, :])[None] ** 2
    else:
        distance = 1.0 - np.eye(len(values))[None]
    observed = (coincidences * distance).sum(axis=(1, 2)) / total
    chance = marginal[:, :, None] * marginal[:, None, :] - marginal[:, :, None] * np.eye(len(values))
    expected = (chance * distance).sum(axis=(1, 2)) / (total * (total - 1))
    ratio = np.divide(observed, expected, out=np.full(len(total), np.nan), where=expected > 0)
    alpha: NDArray[np.float64] = 1.0 - ratio
    return alpha
