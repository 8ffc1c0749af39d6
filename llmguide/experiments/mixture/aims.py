"""What a mixture should be able to do, and whether it is.

The *best parent* is the expert (agent, guidance or holding) with the highest mean Sharpe ratio of the group beside the
same guidance. It is chosen once, from the means that happened, and not anew in each resample of an interval. Nobody
knows beforehand which one it will be: to be near it is what a mixture is for.

| aim | of which guidance | value | reached |
|---|---|---|---|
| near the best parent | each that is not shuffled | mixture less best parent, Sharpe ratio | from -0.05 on |
| above every parent | accuracies 0.7 and 0.85 | mixture less the parent nearest to it | p below 0.05 |
| rises with accuracy | all accuracies | smallest step from one accuracy to the next | from 0 on |
| shuffled costs little | each shuffled one | mixture less the mixture without guidance | from -0.05 on |
| shallower than the best parent | each that is not shuffled | drawdown of mixture minus that of best parent | below 0 |

The aims were set before the study. All but the second are judged by the mean that happened; its interval says how sure
that is. The p of the second is the largest of those against each parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from llmguide.experiments.mixture.measure import PARENTS
from llmguide.experiments.mixture.sources import NO_GUIDANCE, ORACLE, SHUFFLED
from llmguide.experiments.mixture.tables import LOWER_ACCURACY, WITHOUT_GUIDANCE

__all__ = ["ABOVE_AT", "AIMS", "LEVEL", "TOLERANCE", "judge"]

NEAR = "near the best parent"
ABOVE = "above every parent"
RISES = "rises with accuracy"
SHUFFLED_COSTS = "shuffled costs little"
SHALLOWER = "shallower than the best parent"
AIMS = (NEAR, ABOVE, RISES, SHUFFLED_COSTS, SHALLOWER)

TOLERANCE = 0.05
"""Sharpe ratio that a mixture may lose on its best parent, and by guidance that says nothing."""

LEVEL = 0.05
"""Of significance."""

ABOVE_AT = (0.7, 0.85)
"""Accuracies at which a mixture should be above all its parents."""


class Aim(NamedTuple):
    """One aim for one group, mixture and guidance.

    `value` is that of the table above, `low` and `high` its 95 % interval, `minus` what is compared with, `p` NaN where
    the aim has none, `bound` what the value is held against (of p: 0.05).
    """

    group: str
    aim: str
    arm: str
    guidance: str
    accuracy: float
    minus: str
    value: float
    low: float
    high: float
    p: float
    bound: float
    reached: bool
    instruments: int


def judge(table: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """Return an `Aim` for each group, aim, mixture and guidance, from the means and differences of a study.

    The frames are those of `llmguide.experiments.mixture.tables`.
    """
    order = {aim: at for at, aim in enumerate(AIMS)}
    found = [
        aim
        for (group, arm), part in differences.groupby(["group", "arm"], sort=False)
        for aim in sorted(_judge(table[table["group"] == group], part), key=lambda aim: order[aim.aim])
    ]
    return pd.DataFrame(found, columns=Aim._fields)


def _judge(table: pd.DataFrame, differences: pd.DataFrame) -> Iterator[Aim]:
    """Judge one mixture in one group."""
    for guidance, part in differences.groupby("guidance", sort=False):
        by_minus = {row.minus: row for row in _rows(part)}
        kind = str(guidance).split()[0]
        if kind == NO_GUIDANCE:
            continue
        if kind == SHUFFLED:
            row = by_minus[WITHOUT_GUIDANCE]
            yield _aim(SHUFFLED_COSTS, row, bound=-TOLERANCE, reached=row.sr >= -TOLERANCE)
            continue
        own = _rows(table[(table["guidance"] == guidance) & table["arm"].isin(PARENTS)])
        parents = {parent.arm: parent.sr for parent in own}
        row = by_minus[max(parents, key=parents.__getitem__)]
        yield _aim(NEAR, row, bound=-TOLERANCE, reached=row.sr >= -TOLERANCE)
        yield _aim(SHALLOWER, row, bound=0.0, reached=row.mdd < 0.0, measure="mdd")
        if kind == ORACLE and round(row.accuracy, 9) in ABOVE_AT:
            p = float(np.max([by_minus[parent].p for parent in parents]))  # NaN where one is
            yield _aim(ABOVE, row, bound=LEVEL, reached=p < LEVEL, p=p)
    steps = list(_rows(differences[differences["minus"] == LOWER_ACCURACY]))
    if steps:
        row = min(steps, key=lambda step: float(step.sr))
        yield _aim(RISES, row, bound=0.0, reached=row.sr >= 0.0)


def _aim(aim: str, row: Any, *, bound: float, reached: bool, p: float = np.nan, measure: str = "sr") -> Aim:
    """Return an aim that a row of the differences is judged by."""
    value, low, high = (float(getattr(row, f"{measure}{end}")) for end in ("", "_low", "_high"))
    return Aim(
        row.group,
        aim,
        row.arm,
        row.guidance,
        row.accuracy,
        row.minus,
        value=value,
        low=low,
        high=high,
        p=p,
        bound=bound,
        reached=bool(reached),
        instruments=row.instruments,
    )


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
