"""Tables of paired tests, with what many tests at once ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from llmguide.stats import PairedTests, holm

__all__ = ["paired_table"]


def paired_table(rows: Sequence[tuple[Any, ...]], names: Sequence[str], *, family: Sequence[str]) -> pd.DataFrame:
    """Return rows of the values of `names`, followed by the fields of `PairedTests`, as a table with ``p_holm``.

    ``p_holm`` is the t test's p by Holm's correction over all rows that are alike in the columns of `family`.
    """
    table = pd.DataFrame(rows, columns=[*names, *PairedTests._fields])
    corrected = pd.Series(float("nan"), index=table.index, dtype="float64")
    for _, p in table.groupby(list(family), sort=False)["p"]:
        corrected[p.index] = holm(p.to_numpy(dtype="float64"))
    return table.assign(p_holm=corrected)
