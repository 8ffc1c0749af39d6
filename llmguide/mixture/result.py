"""What came of a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Mix"]


@dataclass(frozen=True, eq=False, repr=False)
class Mix:
    """A mixture of experts on one instrument's bars. Every frame has the bars' index, and a column for each expert.

    Row t of `sides`, `records`, `weights` and `positions` is known at the close of bar t-1, and the position is taken
    at the close of bar t. Row t of `results` is known at the close of bar t.

    Attributes:
        sides: what each expert proposes, in [-1, 1]; NaN where it has no opinion.
        results: what each earned on the bar, after cost, in standard deviations of the instrument's returns; NaN where
            nothing was booked.
        records: mean of prior and results, in the same unit per bar; may be negative.
        weights: shares of the positive records of those with an opinion; a row adds up to 1, or is 0 where there is
            none.
        positions: fraction of the account to hold, the weighted mean of the sides, in [-1, 1]; 0 before bar `start`.
        start: idle bars at the beginning.
        uses_future: whether an expert was made with knowledge of its future.
    """

    sides: pd.DataFrame
    results: pd.DataFrame
    records: pd.DataFrame
    weights: pd.DataFrame
    positions: pd.Series[Any]
    start: int
    uses_future: bool = False

    @property
    def decisions(self) -> pd.Series[Any]:
        """The position's sign for an all-in account, from bar `start` on: 1 long, 0 short, -1 flat.

        As `llmguide.sweep` takes them, and `llmguide.simulate` with ``flat=True``. Flat is where nobody is trusted, or
        where the experts cancel out.
        """
        signs = np.sign(self.positions.to_numpy()[self.start :])
        coded = np.where(signs > 0, 1, np.where(signs < 0, 0, -1)).astype(np.int8)
        return pd.Series(coded, index=self.positions.index[self.start :], name="decision")

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {weight:.0%}" for name, weight in self.weights.iloc[-1].items())
        now = f"last weights {shares}; position {self.positions.iloc[-1]:+.2f}"
        return f"Mix({len(self.positions):,} bars; {now}{'; USES THE FUTURE' if self.uses_future else ''})"
