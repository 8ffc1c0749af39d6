"""Tables of paired tests, with what many tests at once ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.stats import PairedTests, holm, paired_tests

__all__ = ["against_others", "paired_table"]


def against_others(
    first: str | None,
    arms: Sequence[str],
    measures: Sequence[str],
    values: Callable[[str, str], NDArray[np.float64]],
) -> pd.DataFrame:
    """Return two-sided paired tests of one arm against every other one, by every measure; no rows where it is None.

    `values` returns an arm's values by a measure, in the order of the pairs; an arm with a single one has it in every
    pair. Columns measure, arm_a, arm_b, and those of `paired_table`, corrected by measure.
    """
    rows = []
    for measure in measures if first else ():
        ours = values(str(first), measure)
        for other in arms:
            if other != first:
                theirs = values(other, measure)
                rows.append((measure, first, other, *paired_tests(ours, np.broadcast_to(theirs, ours.shape))))
    return paired_table(rows, ["measure", "arm_a", "arm_b"], family=["measure"])


def paired_table(rows: Sequence[tuple[Any, ...]], names: Sequence[str], *, family: Sequence[str]) -> pd.DataFrame:
    """Return rows of the values of `names`, followed by the fields of `PairedTests`, as a table with ``p_holm``.

    ``p_holm`` is the t test's p by Holm's correction over all rows that are alike in the columns of `family`.
    """
    table = pd.DataFrame(rows, columns=[*names, *PairedTests._fields])
    corrected = pd.Series(float("nan"), index=table.index, dtype="float64")
    for _, p in table.groupby(list(family), sort=False)["p"]:
        corrected[p.index] = holm(p.to_numpy(dtype="float64"))
    return table.assign(p_holm=corrected)
