"""The parameters of a sweep and every combination of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from llmguide.errors import LlmguideError

__all__ = ["Grid", "Where", "make_grid"]

Where = Callable[[pd.DataFrame], Any]
MOST = 50_000_000
"""More combinations than this in one product are taken for a slip."""


@dataclass(frozen=True)
class Grid:
    """Combinations of parameters, in the order of the product: the last parameter changes fastest.

    Attributes:
        levels: the values of each parameter, by its name.
        codes: for each parameter, which of its values a combination has; shape ``(combinations,)`` each.
    """

    levels: dict[str, pd.Index[Any]]
    codes: dict[str, np.ndarray[Any, np.dtype[np.int32]]]

    def __len__(self) -> int:
        return len(next(iter(self.codes.values())))

    def column(self, name: str, rows: slice = slice(None)) -> np.ndarray[Any, Any]:
        """Return a parameter's value in every combination, or in a slice of them."""
        return self.levels[name].to_numpy()[self.codes[name][rows]]

    def numbers(self, names: Iterable[str], rows: slice = slice(None)) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the values of several parameters as numbers, shape ``(rows, parameters)``."""
        return np.stack([self.column(name, rows).astype(np.float64) for name in names], axis=1)

    def setting(self, row: int) -> dict[str, Any]:
        """Return one combination by name, as Python's own numbers."""
        return {name: _native(level[self.codes[name][row]]) for name, level in self.levels.items()}

    def keep(self, rows: np.ndarray[Any, np.dtype[np.bool_]] | np.ndarray[Any, np.dtype[np.intp]]) -> Grid:
        """Return the grid of the combinations that `rows` marks, or whose numbers it has."""
        return Grid(self.levels, {name: code[rows] for name, code in self.codes.items()})

    @property
    def index(self) -> pd.MultiIndex:
        """The combinations as an index, one level for each parameter."""
        # Levels are unique by construction, and checking the codes once more would take as long as the sweep.
        levels: list[Any] = list(self.levels.values())
        codes: list[Any] = list(self.codes.values())
        return pd.MultiIndex(levels=levels, codes=codes, names=list(self.levels), verify_integrity=False)

    @property
    def frame(self) -> pd.DataFrame:
        """The combinations as a frame, one column for each parameter."""
        return pd.DataFrame({name: self.column(name) for name in self.levels})


def make_grid(parameters: Mapping[str, Any]) -> Grid:
    """Return the product of parameters, each a scalar or a sequence of different values.

    Raises LlmguideError for an empty sequence, values that repeat or are missing, and a product that is absurdly large.
    """
    levels = {name: _level(name, given) for name, given in parameters.items()}
    sizes = [len(level) for level in levels.values()]
    count = 1
    for size in sizes:
        count *= size
    if count > MOST:
        raise LlmguideError(
            f"{count:,} combinations are too many for one sweep, {MOST:,} at most; pass fewer values, or several sweeps"
        )
    codes, inner = {}, count
    for name, size in zip(levels, sizes, strict=True):
        inner //= size
        block = np.repeat(np.arange(size, dtype=np.int32), inner)
        codes[name] = np.tile(block, count // len(block))
    return Grid(levels, codes)


def restrict(grid: Grid, where: Where) -> Grid:
    """Return the combinations that `where` keeps: it gets `Grid.frame` and returns one truth value per row."""
    kept = np.asarray(where(grid.frame))
    if kept.shape != (len(grid),) or kept.dtype != np.bool_:
        raise LlmguideError(
            f"where= must return one True or False per combination, shape ({len(grid)},), got {kept.dtype} of shape "
            f"{kept.shape}; write it like: lambda p: p['short'] < p['long']"
        )
    if not kept.any():
        raise LlmguideError(f"where= keeps none of the {len(grid):,} combinations; check its condition")
    return grid.keep(kept)


def _level(name: str, given: Any) -> pd.Index[Any]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given]
    level: pd.Index[Any] = pd.Index(list(given), name=name)
    if not len(level):
        raise LlmguideError(f"{name} has no values; pass a scalar or a sequence of values")
    if level.hasnans:
        raise LlmguideError(f"{name} has a missing value; 'no limit' is float('inf'), not NaN or None")
    if not level.is_unique:
        twice = level[level.duplicated()][0]
        raise LlmguideError(f"{name} has the value {twice} more than once; pass each once")
    return level


def _native(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
