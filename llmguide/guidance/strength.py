"""How strongly a direction is meant: eq. 5-8 of arXiv 2508.02366v3, elementwise.

NaN means missing. A missing entropy is never replaced by a guess: the certainty abstains from it and is 1. A missing
confidence or direction is an abstention, of strength and tau 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["EPS", "certainty", "confidence_weight", "strength", "tau"]

EPS = 0.01
_LIKERT_MAX = 3.0

FloatArray = NDArray[np.float64]


def confidence_weight(likert: ArrayLike) -> FloatArray:
    """Return mu = likert / 3 for a confidence of 1, 2 or 3 (eq. 6); NaN where it is NaN."""
    return np.divide(np.asarray(likert, dtype=np.float64), _LIKERT_MAX)


def certainty(entropy: ArrayLike, *, eps: float = EPS) -> FloatArray:
    """Return C = eps + (1 - eps)(1 - H) for a normalised entropy H in 0..1 (eq. 7); 1 where H is NaN.

    H is eq. 4 divided by ln(k + 1), the largest value it can take with k named tokens and one tail. `eps` keeps a
    direction visible when the model was as unsure as can be.
    """
    known = np.asarray(entropy, dtype=np.float64)
    return np.where(np.isnan(known), 1.0, eps + (1.0 - eps) * (1.0 - known))


def strength(confidence: ArrayLike, entropy: ArrayLike, *, eps: float = EPS) -> FloatArray:
    """Return mu C, in 0..1 (eq. 8); 0 where the confidence is NaN."""
    return np.nan_to_num(confidence_weight(confidence) * certainty(entropy, eps=eps), nan=0.0)


def tau(direction: ArrayLike, confidence: ArrayLike, entropy: ArrayLike, *, eps: float = EPS) -> FloatArray:
    """Return the scalar that the agent sees (eq. 5): +strength for direction 1, -strength for 0, 0 where it is NaN."""
    chosen = np.asarray(direction, dtype=np.float64)
    sign = np.where(np.isnan(chosen), 0.0, 2.0 * chosen - 1.0)
    return np.asarray(sign * strength(confidence, entropy, eps=eps), dtype=np.float64)
