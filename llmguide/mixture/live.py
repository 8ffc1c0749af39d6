"""The mixture one bar at a time, for live use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.mixture.kernels import book, deviation, weigh
from llmguide.mixture.prior import Prior, means_and_counts

__all__ = ["WINDOW", "Mixed", "Mixture", "check_cost", "check_sides"]

WINDOW = 60
"""Returns of which the standard deviation is taken, in bars."""


class Mixed(NamedTuple):
    """What a mixture makes of its experts' sides at one bar.

    Attributes:
        weights: shape ``(experts,)``, adding up to 1; all 0 where no expert has a positive record.
        position: fraction of the account to hold, in [-1, 1].
        records: shape ``(experts,)``, the mean results that the weights are made of.
    """

    weights: NDArray[np.float64]
    position: float
    records: NDArray[np.float64]


class Mixture:
    """Weighs experts by what they earn, bar by bar: the same bits as `llmguide.mix`, from returns and sides alone.

    Call `update` once for each bar from the first one on, at the close of the bar before it.

    Args:
        priors: what is credited to each expert before its own record, by name; in a sequence, their names are "0", "1",
            ...
        cost: fraction of each traded value.

    Raises LlmguideError where there is no expert, or the cost is not a fraction in [0, 1).
    """

    def __init__(self, priors: Mapping[str, Prior] | Sequence[Prior], *, cost: float = 0.001) -> None:
        named = priors if isinstance(priors, Mapping) else {str(place): prior for place, prior in enumerate(priors)}
        if not named:
            raise LlmguideError("a mixture needs at least one expert, got none")
        for name, prior in named.items():
            if not isinstance(prior, Prior):
                raise LlmguideError(f"expected a Prior for {name!r}, got {type(prior).__name__}")
        self.names = tuple(named)
        self.cost = check_cost(cost)
        self._means, self._strengths = means_and_counts(named.values())
        experts = len(named)
        self._sums, self._counts = np.zeros(experts), np.zeros(experts)
        self._sides = np.full((2, experts), math.nan)  # of the two newest bars
        self._returns = np.full(WINDOW, math.nan)  # oldest first

    def update(self, change: float, sides: Mapping[str, float] | ArrayLike) -> Mixed:
        """Take the newest return and the experts' sides for the next bar; return what to hold from its close on.

        Args:
            change: return of the bar that has just closed, t-1, as a fraction; at its close the sides of the last call
                were taken. NaN at the first two calls, which come before and at the close of the very first bar.
            sides: what each expert proposes for bar t, shape ``(experts,)`` or by name, in [-1, 1]; 0 is flat, NaN is
                no opinion. It must be NaN on every bar that the expert has learned from.

        Raises LlmguideError for an impossible return or side, and changes nothing then.
        """
        now = self._read(sides)
        begun = not math.isnan(self._returns[-1])
        if not (change > -1.0 and math.isfinite(change)) and (begun or not math.isnan(change)):
            raise LlmguideError(f"expected the last bar's return as a fraction above -1, got {change}; 1 % is 0.01")
        spread = deviation(self._returns) if not math.isnan(self._returns[0]) else math.nan
        book(self._sides, 1, change, spread, self.cost, self._sums, self._counts)
        self._sides[0], self._sides[1] = self._sides[1], now
        self._returns[:-1] = self._returns[1:]
        self._returns[-1] = change
        weights = np.empty(len(now))
        position, total = weigh(self._sides, 1, self._sums, self._counts, self._means, self._strengths, weights)
        records = (self._strengths * self._means + self._sums) / (self._strengths + self._counts)
        return Mixed(weights / total if total > 0.0 else weights, position, records)

    def __repr__(self) -> str:
        return f"Mixture({', '.join(self.names)}; cost {self.cost:g})"

    def _read(self, sides: Mapping[str, float] | ArrayLike) -> NDArray[np.float64]:
        """Return the sides in the order of the priors, as an array of their own."""
        if isinstance(sides, Mapping):
            for name in sides:
                if name not in self.names:
                    raise LlmguideError(f"there is no expert {name!r} in this mixture{did_you_mean(name, self.names)}")
            for name in self.names:
                if name not in sides:
                    raise LlmguideError(f"expected a side of {name!r} too; NaN says that it has no opinion")
            sides = [sides[name] for name in self.names]
        return check_sides(sides, (len(self.names),), "the sides")


def check_cost(cost: float) -> float:
    """Return the cost; LlmguideError unless it is a fraction in [0, 1)."""
    if not 0 <= cost < 1:
        raise LlmguideError(f"cost must be a fraction of the traded value in [0, 1), got {cost}; 0.1 % is 0.001")
    return float(cost)


def check_sides(sides: ArrayLike, shape: tuple[int, ...], whose: str) -> NDArray[np.float64]:
    """Return sides as a float64 array that numba can take; LlmguideError unless they have this shape and are sides."""
    try:
        given = np.require(sides, dtype=np.float64, requirements=["C", "W"])
    except (TypeError, ValueError) as error:
        raise LlmguideError(f"{whose}: expected numbers in [-1, 1], or NaN for no opinion ({error})") from None
    if given.shape != shape:
        raise LlmguideError(f"{whose}: expected the shape {shape}, got {given.shape}")
    outside = (given > 1.0) | (given < -1.0)
    if outside.any():
        raise LlmguideError(
            f"{whose}: expected sides in [-1, 1] (+1 long, 0 flat, -1 short), or NaN for no opinion, got "
            f"{given[outside][0]:g}"
        )
    return given
