"""What `tune` returns: what was found, and the way to say it and write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.tuning.result import TuningResult

__all__ = ["Tuned"]


class Tuned(TuningResult):
    """The result of `llmguide.tune`: every round, the template and its test, and `write` for its folder."""

    @property
    def summary(self) -> str:
        """The result in a few sentences, as at the top of the page."""
        from llmguide.experiments.tuning.write import page_data  # here: it loads the plotting library
        from llmguide.report.tuning_page import summary

        return summary(page_data(self))

    def write(self, folder: Path | str) -> Path:
        """Write the template, its pedigree, tables and the page into `folder`, and return the path of the page."""
        from llmguide.experiments.tuning.write import write_tuned  # here: it loads the plotting library

        return write_tuned(self, Path(folder))
