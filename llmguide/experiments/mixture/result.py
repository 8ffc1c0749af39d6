"""What a study of the mixture found: all runs, tables of them, and which aims were reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.experiments.mixture.aims import judge
from llmguide.experiments.mixture.measure import ARMS
from llmguide.experiments.mixture.tables import by_instrument, differences, means
from llmguide.experiments.rows import aims_table
from llmguide.files import write_csv, write_json
from llmguide.inline import Inline, Shown, note_files

__all__ = ["MixtureStudy"]


@dataclass(frozen=True, repr=False)
class MixtureStudy(Inline):
    """The result of every instrument, agent, guidance and draw. **Uses the future**: most guidance is made from it.

    Attributes:
        runs: one row for each (see `llmguide.experiments.mixture.measure.measure_market`).
        settings: everything that shaped the study, with versions and hashes of the data.
    """

    runs: pd.DataFrame
    settings: Mapping[str, Any]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms of the study; "agent" is missing where none was given."""
        there = set(self.runs["arm"])
        return tuple(arm for arm in ARMS if arm in there)

    @property
    def missing(self) -> dict[str, list[int]]:
        """Seeds of agents that were asked for and are missing, by symbol (see `only_trained` of `study_mixture`)."""
        return dict(self.settings.get("missing", {}))

    @cached_property
    def instruments(self) -> pd.DataFrame:
        """Means over agents and draws, by guidance, instrument and arm (see `tables.by_instrument`)."""
        return by_instrument(self.runs)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Means over instruments with intervals, by group, guidance and arm (see `tables.means`)."""
        return means(self.instruments)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """What the mixtures gain over their parents, and by their guidance, with intervals; see
        `tables.differences`.
        """
        return differences(self.instruments)

    @cached_property
    def aims(self) -> pd.DataFrame:
        """What the mixtures should achieve, and whether they do, one row for each aim."""
        return judge(self.table, self.differences)

    @property
    def summary(self) -> str:
        """Which aims the sized mixture reaches, on all instruments and on those that fell, in a few sentences."""
        from llmguide.report.mixture_page import summary

        return " ".join(summary(self.aims, group) for group in ("all", "fell") if group in set(self.aims["group"]))

    def write(self, folder: Path | str) -> Path:
        """Write everything into `folder`, and return the path of the page.

        The files are::

            report.html      the page to read
            aims.csv         every aim: value, interval, reached or not
            table.csv        means over instruments, by group, guidance and arm
            differences.csv  of the mixtures to their parents, with intervals
            instruments.csv  means of every instrument
            runs.csv         every run
            config.json      settings, versions, hashes of the data
        """
        from llmguide.report.mixture_page import MixtureData, write_mixture_page  # here: it loads the plotting library

        target = Path(folder)
        write_json(target / "config.json", dict(self.settings))
        for name in ("runs", "instruments", "table", "differences", "aims"):
            write_csv(getattr(self, name), target / f"{name}.csv")
        flat = int(self.runs["sr"].isna().sum())
        data = MixtureData(self.instruments, self.table, self.differences, self.aims, self.settings, flat)
        return note_files(self, write_mixture_page(data, target / "report.html"))

    def _shown(self) -> Shown:
        return Shown(self.summary, [aims_table(self.aims)])
