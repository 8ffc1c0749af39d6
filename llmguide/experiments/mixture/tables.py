"""Runs of a study put together: means by instrument, means over instruments, and paired differences.

Instruments are what is drawn anew for intervals, each as one block with all its agents and draws: another 30
instruments of the same kind and time would lie within. Markets rise and fall together, so other years would differ by
more.

Groups. "fell" are the instruments on whose test bars holding lost money after cost, "rose" are the others. Nobody knew
beforehand which these would be: a group says where a mean comes from, not what could have been chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.experiments.mixture.measure import ARMS, MIXTURES, PARENTS
from llmguide.experiments.mixture.sources import NO_GUIDANCE, ORACLE
from llmguide.stats.shares import clustered_sums

__all__ = [
    "GROUPS",
    "LOWER_ACCURACY",
    "WITHOUT_GUIDANCE",
    "by_instrument",
    "differences",
    "means",
]

GROUPS = ("all", "fell", "rose")
WITHOUT_GUIDANCE, LOWER_ACCURACY = "without guidance", "lower accuracy"
"""What a mixture is compared with beside its parents: the same arm on other guidance."""

RESAMPLES = 10_000
_MEASURES = ["sr", "mdd"]
_INTERVALS = ["sr", "sr_low", "sr_high", "mdd", "mdd_low", "mdd_high"]
_ROUNDING = 1e-12  # what is no more of a difference counts as none

Array = NDArray[np.float64]


def by_instrument(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the means over agents and draws: a row for each guidance, instrument and arm.

    Columns guidance, accuracy, symbol, fell (whether holding lost money on the test bars), arm, sr and mdd. The agent
    and holding, which depend on no guidance, stand beside each. An account that never trades has no Sharpe ratio; it
    counts as 0 here, as cash does, since to leave it out would leave out where a mixture kept away.
    """
    counted = runs.assign(sr=runs["sr"].fillna(0.0))
    keys = ["guidance", "accuracy", "symbol"]
    found = counted.groupby([*keys, "arm"], sort=False, dropna=False)[_MEASURES].mean().reset_index()
    alone = found["arm"].isin(["agent", "hold"])
    blocks = found.loc[~alone, keys].drop_duplicates()
    beside = blocks.merge(found.loc[alone, ["symbol", "arm", *_MEASURES]], on="symbol")
    held = runs[runs["arm"] == "hold"].set_index("symbol")["total_return"]
    table = pd.concat([beside, found[~alone]])
    table.insert(3, "fell", table["symbol"].map(held < 0.0))
    order = {"guidance": list(blocks["guidance"]), "symbol": list(blocks["symbol"]), "arm": list(ARMS)}
    places = {name: {value: at for at, value in enumerate(dict.fromkeys(values))} for name, values in order.items()}
    table = table.sort_values(list(order), key=lambda column: column.map(places[str(column.name)]))
    return table.reset_index(drop=True)


def means(instruments: pd.DataFrame) -> pd.DataFrame:
    """Return the means over instruments of `by_instrument`: a row for each group, guidance and arm.

    Columns group, guidance, accuracy, arm, sr and mdd with their 95 % intervals (``sr_low``, ``sr_high``, ...) and
    instruments, how many there are. Guidance that not all instruments have is told for those that have it, and so are
    the arms beside it.
    """
    rows = []
    for block in _blocks(instruments):
        drawn = _Drawn.over_instruments(np.hstack(list(block.values.values())))
        for at, arm in enumerate(block.values):
            rows.append((*block[:3], arm, *drawn.both(at), len(block.symbols)))
    return pd.DataFrame(rows, columns=["group", "guidance", "accuracy", "arm", *_INTERVALS, "instruments"])


def differences(instruments: pd.DataFrame) -> pd.DataFrame:
    """Return how much higher Sharpe ratio and drawdown of a mixture are than those of something else, on the mean.

    Columns group, guidance, accuracy, arm (a mixture), minus, sr and mdd (arm less minus) with 95 % intervals, p and
    instruments. `minus` is

    - a parent: "agent", "guidance" or "hold", beside the same guidance;
    - "without guidance": the same mixture without guidance, on the same instruments;
    - "lower accuracy": the same mixture with the guidance of the next lower accuracy of the study.

    Intervals are percentiles of 10,000 resamples of the instruments, each with its own difference; the same instruments
    are drawn for every row of as many. `p` is one-sided, of the Sharpe ratio: the share of resamples whose mean
    difference is not above 0, the one that happened counted among them. All are NaN for a single instrument.
    """
    blocks = {(block.group, block.guidance): block for block in _blocks(instruments)}
    lower = _lower({block.guidance: block.accuracy for block in blocks.values()})
    rows = []
    for block in blocks.values():
        gains: dict[tuple[str, str], Array] = {}
        for arm in MIXTURES:
            others = {minus: block.values[minus] for minus in PARENTS if minus in block.values}
            for minus, name in ((WITHOUT_GUIDANCE, NO_GUIDANCE), (LOWER_ACCURACY, lower.get(block.guidance))):
                if name is not None and name != block.guidance:
                    others[minus] = blocks[block.group, name].of(block.symbols, arm)
            for minus, other in others.items():
                gain = block.values[arm] - other
                gains[arm, minus] = np.where(np.abs(gain) > _ROUNDING, gain, 0.0)
        drawn = _Drawn.over_instruments(np.hstack(list(gains.values())))
        for at, pair in enumerate(gains):
            rows.append((*block[:3], *pair, *drawn.both(at), drawn.p[2 * at], len(block.symbols)))
    columns = ["group", "guidance", "accuracy", "arm", "minus", *_INTERVALS, "p", "instruments"]
    return pd.DataFrame(rows, columns=columns)


class _Drawn(NamedTuple):
    """Means over instruments, their 95 % intervals, and the one-sided p of a mean above 0; each of shape (k,)."""

    mean: Array
    low: Array
    high: Array
    p: Array

    @classmethod
    def over_instruments(cls, values: Array) -> _Drawn:
        """Return means of values of shape (instruments, k), and what a bootstrap of whole instruments says of them."""
        count, columns = values.shape
        drawn = clustered_sums(values, np.arange(count), resamples=RESAMPLES) / count  # (resamples, k)
        if not len(drawn):  # a single instrument
            none = np.full(columns, np.nan)
            return cls(values.mean(axis=0), none, none, none)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        return cls(values.mean(axis=0), low, high, (1 + (drawn <= 0.0).sum(axis=0)) / (1 + RESAMPLES))

    def both(self, pair: int) -> tuple[float, ...]:
        """Return mean and interval of both measures, those of one arm or difference."""
        return tuple(float(values[at]) for at in (2 * pair, 2 * pair + 1) for values in self[:3])


class _Block(NamedTuple):
    """What one guidance came to in one group: Sharpe ratios and drawdowns by arm, each of shape (instruments, 2)."""

    group: str
    guidance: str
    accuracy: float
    symbols: list[str]
    values: dict[str, Array]

    def of(self, symbols: list[str], arm: str) -> Array:
        """Return the measures of an arm on some of the instruments."""
        return self.values[arm][[self.symbols.index(symbol) for symbol in symbols]]


def _blocks(instruments: pd.DataFrame) -> Iterator[_Block]:
    """Yield every guidance in every group that has instruments."""
    members = {"all": instruments["symbol"].notna(), "fell": instruments["fell"], "rose": ~instruments["fell"]}
    for group in GROUPS:
        for guidance, part in instruments[members[group]].groupby("guidance", sort=False):
            by_arm = {str(arm): rows for arm, rows in part.groupby("arm", sort=False)}
            symbols = next(iter(by_arm.values()))["symbol"].tolist()
            values = {arm: rows[_MEASURES].to_numpy(dtype=np.float64) for arm, rows in by_arm.items()}
            yield _Block(group, str(guidance), float(part["accuracy"].iloc[0]), symbols, values)


def _lower(accuracies: dict[str, float]) -> dict[str, str]:
    """Return which guidance of known accuracy is the next less accurate one, by the name of the better."""
    known = sorted((accuracy, name) for name, accuracy in accuracies.items() if name.split()[0] == ORACLE)
    return {name: below for (_, below), (_, name) in pairwise(known)}
