"""What a study of levers found: all runs, tables of them, and what each lever changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.experiments.levers.lever import PUBLISHED, find_levers
from llmguide.experiments.levers.measure import MEASURES, REFERENCES
from llmguide.experiments.over_instruments import interval
from llmguide.experiments.rows import levers_table
from llmguide.files import write_csv, write_json
from llmguide.inline import FUTURE, Inline, Shown, note_files
from llmguide.report.levers_page import LeversData, summary, write_levers_page

__all__ = ["FEWEST", "LeverStudy"]

FEWEST = 10
"""Instruments below which nothing is told apart: of fewer, all differences are on one side too often by chance."""


@dataclass(frozen=True, repr=False)
class LeverStudy(Inline):
    """The result of every instrument, lever and seed.

    Attributes:
        runs: one row for each (see `llmguide.experiments.levers.measure`), references included.
        settings: everything that shaped the study, with versions and hashes of the data.
    """

    runs: pd.DataFrame
    settings: Mapping[str, Any]

    @property
    def levers(self) -> tuple[str, ...]:
        """The levers that agents were trained with, the published settings first."""
        return tuple(name for name in dict.fromkeys(self.runs["lever"]) if name not in REFERENCES)

    @property
    def uses_future(self) -> bool:
        """Whether the guidance was made with knowledge of later bars, as a control and never a result."""
        return bool(self.settings["uses_future"])

    @property
    def instruments(self) -> pd.DataFrame:
        """Means over seeds of `MEASURES`, a row for each symbol and lever, references included.

        Runs in which a measure is undefined are left out of its mean.
        """
        return self.runs.groupby(["symbol", "lever"], sort=False)[list(MEASURES)].mean().reset_index()

    @property
    def table(self) -> pd.DataFrame:
        """Means over instruments of `instruments`, a row for each lever, which is the index."""
        order = [*self.levers, *(name for name in REFERENCES if name in set(self.runs["lever"]))]
        return self.instruments.groupby("lever", sort=False)[list(MEASURES)].mean().loc[order]

    @property
    def differences(self) -> pd.DataFrame:
        """What each lever changes, its runs less those of the published settings on the same instrument and seed.

        Columns lever, measure, difference, low, high, low_all, high_all, instruments and verdict. The difference is the
        mean over seeds, then over instruments; ``low`` to ``high`` is its 95 % interval over instruments (see
        `llmguide.experiments.over_instruments`). ``low_all`` to ``high_all`` is a wider interval: those of all levers
        hold together with 95 % (Bonferroni's correction for their number). The verdict is "higher" or "lower" where the
        wider interval excludes 0 and there are at least `FEWEST` instruments, else "open". Instruments in which a
        measure is undefined for either are left out.

        Levers are compared on test bars: to choose one by this table is to tune on the test.
        """
        runs = self.runs.set_index(["symbol", "seed"])
        usual = runs[runs["lever"] == PUBLISHED.name][list(MEASURES)]
        others = [name for name in self.levers if name != PUBLISHED.name]
        rows = []
        for lever in others:
            gains = runs[runs["lever"] == lever][list(MEASURES)] - usual
            by_symbol = gains.groupby("symbol", sort=False).mean()
            for measure in MEASURES:
                found = by_symbol[measure].dropna().to_numpy(dtype=np.float64)
                mean = float(found.mean()) if len(found) else float("nan")
                low, high = interval(found, level=1.0 - 0.05 / len(others))
                judged = len(found) >= FEWEST and (low > 0 or high < 0)
                verdict = ("higher" if low > 0 else "lower") if judged else "open"
                rows.append((lever, measure, mean, *interval(found), low, high, len(found), verdict))
        columns = ["lever", "measure", "difference", "low", "high", "low_all", "high_all", "instruments", "verdict"]
        return pd.DataFrame(rows, columns=columns)

    def write(self, folder: Path | str) -> Path:
        """Write settings, runs, all tables (CSV) and the page into `folder`, and return the path of ``levers.html``."""
        target = Path(folder)
        write_json(target / "config.json", dict(self.settings))
        write_csv(self.runs, target / "runs.csv")
        write_csv(self.instruments, target / "instruments.csv")
        write_csv(self.table.rename_axis("lever").reset_index(), target / "table.csv")
        write_csv(self.differences, target / "differences.csv")
        words = {lever.name: lever.words for lever in find_levers(self.levers[1:])}
        data = LeversData(self.table, self.differences, self.instruments, words, self.settings)
        return note_files(self, write_levers_page(data, target / "levers.html"))

    def _shown(self) -> Shown:
        return Shown(summary(self.differences), [levers_table(self.table)], warning=FUTURE if self.uses_future else "")
