"""What a study of a model's memory found: every month, and each measure with its chance and its intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.experiments.rows import memory_tables
from llmguide.files import write_csv, write_json
from llmguide.inline import Inline, Shown, note_files

__all__ = ["MemoryResult"]


@dataclass(frozen=True, eq=False, repr=False)
class MemoryResult(Inline):
    """The result of a study of memory. All of it is measured with realised returns: it is knowledge of the future.

    Attributes:
        months: one row per instrument and issue: ``symbol``, ``issued_at``, ``period``, ``realised`` (fraction, NaN
            where the bars end before), ``named`` and ``p_named`` (direction without data; its probability of LONG),
            ``recall`` (the probability that it gave to the realised direction, in [0, 1]), ``options``,
            ``said_instrument``, ``instrument_right``, ``said_month`` (YYYY-MM), ``months_off``, ``base``, ``mirrored``,
            ``swapped`` (directions), ``swapped_with`` (whose bars were shown), ``base_there`` (the direction given to
            them under their own date).
        nulls: the anonymous question in each order of the directions: ``order``, ``direction``, ``p_long``.
        measures: one row per measure, period and instrument ("all" for all of them): ``n``, ``hits``, ``share``,
            ``chance`` (and ``base_rate`` for recall), ``low`` and ``high`` (95 %, Wilson), ``cluster_low`` and
            ``cluster_high`` (95 %, bootstrap over calendar months), ``left_out``.
        settings: the settings of the study.
    """

    months: pd.DataFrame
    nulls: pd.DataFrame
    measures: pd.DataFrame
    settings: Mapping[str, Any]

    def measure(self, name: str, symbol: str = "all", period: str | None = None) -> pd.Series[Any]:
        """Return the row of `measures` of a `name`, `symbol` and `period`; None is the first period.

        Raises KeyError where there is none.
        """
        rows = self.measures[(self.measures["measure"] == name) & (self.measures["symbol"] == symbol)]
        if period is not None:
            rows = rows[rows["period"] == period]
        if rows.empty:
            raise KeyError(f"no measure {name!r} of {symbol!r} in period {period!r}")
        return rows.iloc[0]

    def scores(self, symbol: str) -> dict[datetime, float | None]:
        """Return the recall score of each month of the instrument `symbol`, by time of issue."""
        rows = self.months[self.months["symbol"] == symbol]
        return {
            stamp.to_pydatetime(): None if pd.isna(score) else float(score)
            for stamp, score in zip(rows["issued_at"], rows["recall"], strict=True)
        }

    def write(self, folder: Path | str) -> Path:
        """Write everything into `folder` and return the path of the page; files of an earlier study are replaced.

        The files are::

            memory.html   the page to read
            measures.csv  every measure by period and instrument, with chance and intervals
            months.csv    every month: its outcome and the model's answers
            nulls.csv     the anonymous question in both orders
            memory.json   settings and measures
        """
        from llmguide.report.memory_page import write_memory_page  # here: it loads the plotting library

        folder = Path(folder)
        write_csv(self.measures, folder / "measures.csv")
        write_csv(self.months, folder / "months.csv")
        write_csv(self.nulls, folder / "nulls.csv")
        measures = self.measures.astype(object).where(self.measures.notna(), None).to_dict("records")
        write_json(folder / "memory.json", {**self.settings, "measures": measures})
        page = write_memory_page(self.months, self.nulls, self.measures, self.settings, folder / "memory.html")
        return note_files(self, page)

    def _shown(self) -> Shown:
        from llmguide.report.memory_page import summary  # here: it loads the plotting library

        return Shown(summary(self.measures), list(memory_tables(self.measures)))
