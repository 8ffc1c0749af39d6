"""How an account follows what a rule wants: all in by decisions, or any fraction of it by target weights.

A rule says which of the two by its `follow`. Everything else, frames, figures, validation, is the same for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from llmguide.sweeps import kernels, sized_kernels
from llmguide.sweeps.grid import Grid
from llmguide.sweeps.market import Market
from llmguide.trading import sizing

__all__ = ["ALL_IN", "SIZED", "Follow", "Trajectory"]

Array = NDArray[np.float64]
Trajectory = tuple[Array, Array, Array]
"""Side, shares and cash at the close of every bar, shape ``(bars,)`` each."""


class Follow(ABC):
    """What is wanted at each bar from the first tradable one on, and the account that follows it."""

    dtype: ClassVar[type]
    """Of what a rule writes, shape ``(rows, bars - start)``."""
    called: ClassVar[str]
    """What one of them is called."""

    @abstractmethod
    def measure(
        self, market: Market, wanted: NDArray[Any], grid: Grid, rows: slice, cash: float, years: float, into: Array
    ) -> None:
        """Write the measures of a slice of the grid's combinations (see `llmguide.sweeps.kernels.measure`)."""

    @abstractmethod
    def values(self, market: Market, wanted: NDArray[Any], grid: Grid, rows: slice, cash: float) -> Array:
        """Return the value of each account at every bar, shape ``(rows, bars)``."""

    @abstractmethod
    def carried_out(self, market: Market, wanted: NDArray[Any], setting: dict[str, Any], cash: float) -> NDArray[Any]:
        """Return what one combination carries out, after delay and limits, shape ``(bars - start,)``."""

    @abstractmethod
    def path(self, market: Market, done: NDArray[Any], setting: dict[str, Any], cash: float) -> Trajectory:
        """Return the account that carries it out."""


class _AllIn(Follow):
    """Decisions, int8: 1 long, 0 short, -1 flat."""

    dtype = np.int8
    called = "decision"

    def measure(
        self, market: Market, wanted: NDArray[Any], grid: Grid, rows: slice, cash: float, years: float, into: Array
    ) -> None:
        """See `Follow`."""
        costs, delays, limits = _columns(grid, rows, "stop_loss")
        kernels.measure(market.prices, wanted, cash, costs, market.start, delays, limits, years, into)

    def values(self, market: Market, wanted: NDArray[Any], grid: Grid, rows: slice, cash: float) -> Array:
        """See `Follow`."""
        costs, delays, limits = _columns(grid, rows, "stop_loss")
        values = np.empty((len(wanted), len(market.prices)))
        kernels.values_of(market.prices, wanted, cash, costs, market.start, delays, limits, values)
        return values

    def carried_out(self, market: Market, wanted: NDArray[Any], setting: dict[str, Any], cash: float) -> NDArray[Any]:
        """See `Follow`."""
        return kernels.effective(
            market.prices,
            wanted,
            cash,
            float(setting["cost"]),
            market.start,
            int(setting["delay"]),
            float(setting["stop_loss"]),
        )

    def path(self, market: Market, done: NDArray[Any], setting: dict[str, Any], cash: float) -> Trajectory:
        """See `Follow`."""
        return kernels.path(market.prices, done, cash, float(setting["cost"]), market.start)


class _Sized(Follow):
    """Target weights, float64 in [-1, 1], of a rule with a parameter `band`; there is no stop-loss."""

    dtype = np.float64
    called = "weight"

    def measure(
        self, market: Market, wanted: NDArray[Any], grid: Grid, rows: slice, cash: float, years: float, into: Array
    ) -> None:
        """See `Follow`."""
        costs, delays, bands = _columns(grid, rows, "band")
        sized_kernels.measure_weights(market.prices, wanted, cash, costs, market.start, delays, bands, years, into)

    def values(self, market: Market, wanted: NDArray[Any], grid: Grid, rows: slice, cash: float) -> Array:
        """See `Follow`."""
        costs, delays, bands = _columns(grid, rows, "band")
        values = np.empty((len(wanted), len(market.prices)))
        sized_kernels.values_of_weights(market.prices, wanted, cash, costs, market.start, delays, bands, values)
        return values

    def carried_out(self, market: Market, wanted: NDArray[Any], setting: dict[str, Any], cash: float) -> NDArray[Any]:
        """See `Follow`."""
        delay = int(setting["delay"])
        return np.concatenate([np.zeros(delay), wanted[: len(wanted) - delay]])

    def path(self, market: Market, done: NDArray[Any], setting: dict[str, Any], cash: float) -> Trajectory:
        """See `Follow`."""
        return sizing.trajectory(
            market.prices, done, cash, float(setting["cost"]), market.start, float(setting["band"])
        )


ALL_IN: Follow = _AllIn()
SIZED: Follow = _Sized()


def _columns(grid: Grid, rows: slice, last: str) -> tuple[Array, NDArray[np.int64], Array]:
    """Return cost, delay and one more parameter of some combinations, as the kernels take them."""
    cost, delay, limit = (grid.column(name, rows) for name in ("cost", "delay", last))
    return cost.astype(np.float64), delay.astype(np.int64), limit.astype(np.float64)
