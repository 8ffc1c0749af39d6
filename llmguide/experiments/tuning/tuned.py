"""What `tune` returns: what was found, and the way to say it and write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.tuning.result import TuningResult

__all__ = ["Tuned"]


class Tuned(TuningResult):
    """A `TuningResult`, which has every round, the template and its test, that can be written into a folder."""

    @property
    def summary(self) -> str:
        """The result in a few sentences, as the page begins."""
        from llmguide.experiments.tuning.write import page_data  # here: it loads the plotting library
        from llmguide.report.tuning_page import summary

        return summary(page_data(self))

    def write(self, folder: Path | str) -> Path:
        """Write the template, its pedigree, tables and the page into a folder (see `write_tuned`); return the page."""
        from llmguide.experiments.tuning.write import write_tuned  # here: it loads the plotting library

        return write_tuned(self, Path(folder))
