"""What is believed of an expert before anything is known of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmguide.errors import LlmguideError

__all__ = ["AGENT", "GUIDANCE", "HOLD", "OTHER", "Prior", "means_and_counts"]


@dataclass(frozen=True)
class Prior:
    """What an expert is credited with before its own record: `count` bars with a mean result of `mean`.

    Attributes:
        mean: result per bar after cost, in standard deviations of the instrument's returns. 0.05 a day is a Sharpe
            ratio of 0.8 a year for an expert that is always in the market.
        count: number of own bars after which an expert's record weighs as much as the prior, above 0.

    Raises LlmguideError where either is not a finite number, or `count` is not above 0.
    """

    mean: float
    count: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise LlmguideError(f"a prior's mean is a finite result per bar, such as 0.03, got {self.mean}")
        if not (math.isfinite(self.count) and self.count > 0):
            raise LlmguideError(f"a prior's count is a number of bars above 0, such as 252, got {self.count}")


GUIDANCE = Prior(0.02, 252)
"""Of guidance: little is promised, and a year decides."""
AGENT = Prior(0.0, 252)
"""Of a trained agent: thirty published ones earned nothing in the year after their training (docs/mixture.md)."""
HOLD = Prior(0.02, 1000)
"""Of holding: markets rise slowly, and a bad year is no news."""
OTHER = Prior(0.03, 252)
"""Of any other expert."""


def means_and_counts(priors: Iterable[Prior]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the means and the counts of priors, shape ``(experts,)`` each."""
    given = list(priors)
    return np.array([prior.mean for prior in given], dtype=np.float64), np.array(
        [prior.count for prior in given], dtype=np.float64
    )
