"""The replay memory: since all seeds walk over the same bars, a transition is a bar, a side, an action and a reward."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Replay"]


class Batch(NamedTuple):
    """Transitions of many seeds, each of shape ``(seeds, batch)``.

    The state before is (`bar`, `side`), the state after (`bar` + 1, the action's side); observations are looked up.
    """

    bar: NDArray[np.int64]
    side: NDArray[np.int8]
    action: NDArray[np.int8]
    reward: NDArray[np.float32]


class Replay:
    """The last `capacity` transitions of each of `seeds` runs, oldest overwritten first."""

    def __init__(self, seeds: int, capacity: int) -> None:
        self.capacity = capacity
        self.stored = 0
        """Transitions ever added, the same in every seed: all of them step together."""
        self._arrays = Batch(
            bar=np.zeros((seeds, capacity), dtype=np.int64),
            side=np.zeros((seeds, capacity), dtype=np.int8),
            action=np.zeros((seeds, capacity), dtype=np.int8),
            reward=np.zeros((seeds, capacity), dtype=np.float32),
        )

    def __len__(self) -> int:
        return min(self.stored, self.capacity)

    def add(
        self, bar: NDArray[np.int64], side: NDArray[np.int8], action: NDArray[np.int8], reward: NDArray[np.float32]
    ) -> None:
        """Add one transition to each seed; all of shape ``(seeds,)``."""
        slot = self.stored % self.capacity
        for array, values in zip(self._columns(), (bar, side, action, reward), strict=True):
            array[:, slot] = values
        self.stored += 1

    def sample(self, generators: list[np.random.Generator], batch: int) -> Batch:
        """Draw `batch` different transitions of each seed with its own generator."""
        picks = np.stack([g.choice(len(self), batch, replace=False, shuffle=False) for g in generators])
        return Batch(*(np.take_along_axis(array, picks, axis=1) for array in self._columns()))

    def keep(self, rows: NDArray[np.int64]) -> Replay:
        """Return a memory of only these seeds."""
        kept = Replay(0, self.capacity)
        kept.stored = self.stored
        kept._arrays = Batch(*(array[rows] for array in self._columns()))
        return kept

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self._arrays
