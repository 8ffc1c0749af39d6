"""What came of a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.inline import FUTURE, Inline, Shown, Table
from llmguide.mixture.kernels import deviations, follow
from llmguide.mixture.live import WINDOW
from llmguide.mixture.prior import Prior, means_and_counts
from llmguide.numbers import number, percent
from llmguide.trading.simulate import returns_of

__all__ = ["Mix", "changes_of", "mixed_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Mix(Inline):
    """A mixture of experts on one instrument's bars; every frame has the bars' index and a column for each expert.

    Row t of `sides`, `records`, `weights` and `positions` is known at the close of bar t-1, and the position is taken
    at the close of bar t. Row t of `results` is known at the close of bar t.

    Attributes:
        sides: what each expert proposes, in [-1, 1]; NaN where it has no opinion.
        results: what each earned on the bar, after cost, in standard deviations of the instrument's returns; NaN where
            nothing was booked.
        records: mean of prior and results so far, in the same unit per bar; may be negative.
        weights: shares of the positive records of those with an opinion; a row adds up to 1, or is 0 where there is
            none.
        positions: fraction of the account to hold, the weighted mean of the sides, in [-1, 1]; 0 before bar `start`.
        start: idle bars at the beginning.
        closes: closes of the bars, from which the results were made.
        priors: what each expert was credited with at first, by name.
        cost: fraction of each traded value.
        uses_future: whether an expert was made with knowledge of the future.
    """

    sides: pd.DataFrame
    results: pd.DataFrame
    records: pd.DataFrame
    weights: pd.DataFrame
    positions: pd.Series[Any]
    start: int
    closes: pd.Series[Any]
    priors: Mapping[str, Prior]
    cost: float
    uses_future: bool = False

    @property
    def names(self) -> list[str]:
        """The experts, in their order."""
        return [str(name) for name in self.sides]

    @property
    def counts(self) -> pd.DataFrame:
        """Number of bars that each record of the same row stands on, those of the prior not included."""
        counted = self.results.notna() & self.sides.shift().notna()
        return counted.cumsum().shift(fill_value=0)

    @property
    def decisions(self) -> pd.Series[Any]:
        """The position's sign for an all-in account, 1 long, 0 short or -1 flat, from bar `start` on.

        `llmguide.sweep` takes them, and `llmguide.simulate` with ``flat=True``. Flat is where no expert has a positive
        record, or where the experts cancel out.
        """
        signs = np.sign(self.positions.to_numpy()[self.start :])
        coded = np.where(signs > 0, 1, np.where(signs < 0, 0, -1)).astype(np.int8)
        return pd.Series(coded, index=self.positions.index[self.start :], name="decision")

    @property
    def verdict(self) -> str:
        """What to hold now, and whom that trusts."""
        shares = ", ".join(f"{name} {weight:.0%}" for name, weight in self.weights.iloc[-1].items())
        return f"last weights {shares}; position {self.positions.iloc[-1]:+.2f}"

    def __repr__(self) -> str:
        return f"Mix({len(self.positions):,} bars; {self.verdict}{'; USES THE FUTURE' if self.uses_future else ''})"

    def __str__(self) -> str:
        return Inline.__repr__(self)

    def _shown(self) -> Shown:
        mean, last = self.weights.iloc[self.start :].mean(), self.weights.iloc[-1]
        rows = [
            [name, number(self.sides[name].iloc[-1]), percent(last[name]), percent(mean[name]),
             number(self.records[name].iloc[-1], 3), str(int(self.counts[name].iloc[-1]))]
            for name in self.names
        ]  # fmt: skip
        columns = ["expert", "side", "weight", "mean weight", "record", "bars of it"]
        title = f"at the last of {len(self.positions):,} bars; records in standard deviations a bar"
        return Shown(
            f"{self.verdict[0].upper()}{self.verdict[1:]}.",
            [Table(title, columns, rows)],
            warning=FUTURE if self.uses_future else "",
        )


def mixed_of(
    closes: pd.Series[Any],
    sides: Array,
    priors: Mapping[str, Prior],
    *,
    cost: float,
    start: int,
    uses_future: bool = False,
) -> Mix:
    """Return what comes of experts with these sides, shape ``(bars, experts)``, in the order of their priors."""
    changes = changes_of(closes.to_numpy(dtype=np.float64))
    means, strengths = means_and_counts(priors.values())
    results, records, weights = (np.empty_like(sides) for _ in range(3))
    positions = np.empty(len(sides))
    follow(
        changes, deviations(changes, WINDOW), sides, means, strengths, float(cost), results, records, weights, positions
    )
    positions[:start] = 0.0
    frames = {"sides": sides, "results": results, "records": records, "weights": weights}
    return Mix(
        **{name: pd.DataFrame(table, closes.index, list(priors)) for name, table in frames.items()},
        positions=pd.Series(positions, closes.index, name="position"),
        start=start,
        closes=closes,
        priors=priors,
        cost=float(cost),
        uses_future=uses_future,
    )


def changes_of(prices: Array) -> Array:
    """Return each bar's return, NaN at the first bar, which has none."""
    changes = returns_of(prices)
    changes[0] = np.nan
    return changes
