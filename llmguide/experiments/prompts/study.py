"""What a study of prompts returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.prompts.result import PromptResult
from llmguide.experiments.rows import prompts_table
from llmguide.inline import Inline, Shown, note_files

__all__ = ["PromptStudy"]


class PromptStudy(Inline, PromptResult):
    """The result of `judge_prompts`: all months, tables and costs, and `write` for its folder."""

    @property
    def verdict(self) -> str:
        """Which prompt has the highest mean Sharpe ratio, and what the test says of it, as the page begins."""
        from llmguide.experiments.prompts.write import page_data  # here: it loads the plotting library
        from llmguide.report.prompts_page import summary

        return summary(page_data(self))

    def _shown(self) -> Shown:
        return Shown(self.verdict, [prompts_table(self.means)])

    def write(self, folder: Path | str) -> Path:
        """Write tables, figures, guidance and the page into `folder`, and return the path of the page."""
        from llmguide.experiments.prompts.write import write_prompts  # here: it loads the plotting library

        return note_files(self, write_prompts(self, Path(folder)))
