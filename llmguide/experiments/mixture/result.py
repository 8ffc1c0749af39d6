"""What a study of the mixture found: all runs, and tables of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.experiments.mixture.measure import ARMS
from llmguide.experiments.over_instruments import interval
from llmguide.files import write_csv, write_json

__all__ = ["MixtureStudy"]


@dataclass(frozen=True)
class MixtureStudy:
    """What came of every instrument, agent, accuracy and draw. **Uses the future**: the guidance is made from it.

    Attributes:
        runs: one row for each (see `llmguide.experiments.mixture.measure.measure_market`).
        settings: everything that shaped it, with versions and hashes of the data.
    """

    runs: pd.DataFrame
    settings: Mapping[str, Any]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms there are; "agent" is missing where none was given."""
        there = set(self.runs["arm"])
        return tuple(arm for arm in ARMS if arm in there)

    @property
    def instruments(self) -> pd.DataFrame:
        """Mean Sharpe ratio over agents and draws: a row for each accuracy and symbol, a column for each arm.

        Runs without a Sharpe ratio are left out.
        """
        drawn, alone = (
            part.pivot_table(index=index, columns="arm", values="sr", sort=False, dropna=False)
            for part, index in (
                (self.runs[self.runs["accuracy"].notna()], ["accuracy", "symbol"]),
                (self.runs[self.runs["accuracy"].isna()], ["symbol"]),
            )
        )
        return drawn.join(alone, on="symbol").reset_index()[["accuracy", "symbol", *self.arms]]

    @property
    def table(self) -> pd.DataFrame:
        """Mean over instruments of `instruments`: a row for each accuracy, which is the index."""
        return self.instruments.groupby("accuracy", sort=False)[list(self.arms)].mean()

    @property
    def differences(self) -> pd.DataFrame:
        """How much higher the mixture's Sharpe ratio is than that of each expert, with 95 % intervals over instruments.

        Columns accuracy, arm, minus, difference, low, high and instruments. The intervals are those of
        `llmguide.experiments.over_instruments`: each instrument is a block with all its agents and draws, and its
        difference that of the same instrument.
        """
        table = self.instruments
        rows = []
        for accuracy, part in table.groupby("accuracy", sort=False):
            for arm in ("mixture", "mixture_all_in"):
                for minus in self.arms[:-2]:
                    gains = (part[arm] - part[minus]).to_numpy(dtype=np.float64)
                    rows.append((accuracy, arm, minus, gains.mean(), *interval(gains), len(part)))
        columns = ["accuracy", "arm", "minus", "difference", "low", "high", "instruments"]
        return pd.DataFrame(rows, columns=columns)

    def write(self, folder: Path | str) -> Path:
        """Write settings (``config.json``), runs and all tables (CSV) into a folder, and return its path."""
        target = Path(folder)
        write_json(target / "config.json", dict(self.settings))
        write_csv(self.runs, target / "runs.csv")
        write_csv(self.instruments, target / "instruments.csv")
        write_csv(self.table.reset_index(), target / "table.csv")
        write_csv(self.differences, target / "differences.csv")
        return target
