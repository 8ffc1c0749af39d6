"""What `tune` returns: what was found, and the way to say it and write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.tuning.result import TuningResult
from llmguide.inline import Inline, Shown, Table, note_files
from llmguide.numbers import number

__all__ = ["Tuned"]


class Tuned(Inline, TuningResult):
    """The result of `llmguide.tune`: every round, the template and its test, and `write` for its folder."""

    @property
    def summary(self) -> str:
        """The result in a few sentences, as at the top of the page."""
        from llmguide.experiments.tuning.write import page_data  # here: it loads the plotting library
        from llmguide.report.tuning_page import summary

        return summary(page_data(self))

    def _shown(self) -> Shown:
        by_prompt = self.finals.groupby("prompt", sort=False)["sharpe"] if len(self.finals) else ()
        rows = [[str(prompt), number(sharpes.mean())] for prompt, sharpes in by_prompt]
        table = Table("Sharpe ratio on training bars, mean over years", ["prompt", "Sharpe"], rows)
        return Shown(self.summary, [table])

    def write(self, folder: Path | str) -> Path:
        """Write the template, its pedigree, tables and the page into `folder`, and return the path of the page."""
        from llmguide.experiments.tuning.write import write_tuned  # here: it loads the plotting library

        return note_files(self, write_tuned(self, Path(folder)))
