"""What `llmguide.compare` returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.compare.result import ComparisonResult
from llmguide.experiments.rows import arms_table
from llmguide.inline import FUTURE, Inline, Shown, note_files
from llmguide.report.report_data import ReportData
from llmguide.report.verdict import summary

__all__ = ["Comparison"]


class Comparison(Inline, ComparisonResult):
    """The result of `llmguide.compare`: tables, tests and curves, and `write` for the run folder with its report."""

    @property
    def verdict(self) -> str:
        """Who has the highest mean Sharpe ratio, and what the paired test says of it, as the report begins."""
        values = {arm: self.values(arm) for arm in self.arms}
        return summary(ReportData("", self.table, self.tests, values, self.test["close"]))

    def _shown(self) -> Shown:
        future = self.guidance is not None and self.guidance.uses_future
        table = arms_table(self.table, self.settings["periods"])
        return Shown(self.verdict, [table], warning=FUTURE if future else "")

    def write(self, folder: Path | str, *, command: str = "") -> Path:
        """Write the run folder and return the path of its ``report.html``.

        Args:
            folder: the run folder, created if missing.
            command: shown in the report as the way to repeat the comparison.
        """
        from llmguide.experiments.compare.write import write_comparison  # here: it loads the plotting libraries

        return note_files(self, write_comparison(self, Path(folder), command=command))
