"""What an audit of biases found: every month, each bias with its intervals, and what the directions are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmguide.experiments.rows import turned_table
from llmguide.files import write_csv, write_json
from llmguide.inline import Inline, Shown, note_files

if TYPE_CHECKING:
    from llmguide.report.bias_page import BiasData

__all__ = ["CHANGES", "BiasResult"]

CHANGES = {
    "labels": "LONG/SHORT, not X/Y",
    "codes": "LONG is X, not Y",
    "order": "groups reversed",
    "paraphrase": "in other words",
}
"""Changes of the question after which a direction should be the same, in words."""


@dataclass(frozen=True, eq=False, repr=False)
class BiasResult(Inline):
    """The result of an audit of biases. The skill is measured with realised returns: it is knowledge of the future.

    Attributes:
        months: one row per instrument and issue: ``symbol``, ``issued_at``, ``realised`` (fraction, NaN where the bars
            end before), and for each way to ask a direction (1 long, 0 short) and ``p_`` with its name (probability of
            LONG): ``plain``, ``long_x``, ``long_y``, ``long_x_reversed``, ``long_y_reversed``, ``debiased`` (of these
            four, see `llmguide.guidance.doubt.debias`), ``paraphrase``, ``bare``, ``mirrored``.
        nulls: the month in which nothing moved, by way to ask: ``form``, ``direction``, ``p_long``, ``log_odds``.
        measures: one row per bias, what was measured of it, and instrument ("all" for all of them): ``measure``,
            ``what``, ``symbol``, ``n``, ``hits`` (of shares), ``value``, ``unbiased`` (what it would be), ``low`` and
            ``high`` (95 %, Wilson, of shares), ``cluster_low`` and ``cluster_high`` (95 %, bootstrap over calendar
            months), ``left_out``.
        skill: one row per answer (plain, debiased, constant LONG, base rate), measure and instrument: ``answer``,
            ``measure``, ``symbol``, ``n``, ``value`` and the same intervals.
        settings: the settings of the study.
    """

    months: pd.DataFrame
    nulls: pd.DataFrame
    measures: pd.DataFrame
    skill: pd.DataFrame
    settings: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The result in a few sentences, as at the top of the page."""
        from llmguide.report.bias_page import summary  # here: it loads the plotting library

        return summary(self._data)

    @property
    def turned(self) -> dict[str, pd.Series[Any]]:
        """How often each of `CHANGES` turned the direction, as its row of `measures`, by the change in words."""
        return {words: self.measure(name) for name, words in CHANGES.items()}

    def _shown(self) -> Shown:
        return Shown(self.summary, [turned_table(self.turned)])

    @property
    def _data(self) -> BiasData:
        from llmguide.report.bias_page import BiasData

        return BiasData(self.months, self.nulls, self.measures, self.skill, self.settings)

    def measure(self, name: str, what: str = "turned", symbol: str = "all") -> pd.Series[Any]:
        """Return the row of `measures` of a `name`, of `what` was measured, and of a `symbol`; KeyError where there is
        none.
        """
        frame = self.measures
        rows = frame[(frame["measure"] == name) & (frame["what"] == what) & (frame["symbol"] == symbol)]
        if rows.empty:
            raise KeyError(f"no measure {name!r}, {what!r} of {symbol!r}")
        return rows.iloc[0]

    def worth(self, answer: str, measure: str, symbol: str = "all") -> pd.Series[Any]:
        """Return the row of `skill` of an `answer`, a `measure` and a `symbol`; KeyError where there is none."""
        frame = self.skill
        rows = frame[(frame["answer"] == answer) & (frame["measure"] == measure) & (frame["symbol"] == symbol)]
        if rows.empty:
            raise KeyError(f"no {measure!r} of {answer!r} for {symbol!r}")
        return rows.iloc[0]

    def write(self, folder: Path | str) -> Path:
        """Write everything into `folder` and return the path of the page; files of an earlier audit are replaced.

        The files are::

            bias.html     the page to read
            measures.csv  every bias by instrument, with intervals
            skill.csv     how good the directions are, beside constant LONG and the base rate
            months.csv    every month: its outcome and the model's answers, however it was asked
            nulls.csv     the answers for a month in which nothing moved
            bias.json     settings, the result in a few sentences, measures, skill and nulls
        """
        from llmguide.report.bias_page import write_bias_page  # here: it loads the plotting library

        folder = Path(folder)
        frames = {"measures": self.measures, "skill": self.skill, "months": self.months, "nulls": self.nulls}
        for name, frame in frames.items():
            write_csv(frame, folder / f"{name}.csv")
        kept = {name: _records(frames[name]) for name in ("measures", "skill", "nulls")}
        write_json(folder / "bias.json", {**self.settings, "summary": self.summary, **kept})
        return note_files(self, write_bias_page(self._data, folder / "bias.html"))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): value for name, value in row.items()}
        for row in frame.astype(object).where(frame.notna(), None).to_dict("records")
    ]
