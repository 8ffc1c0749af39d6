"""What a study of prompts returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.prompts.result import PromptResult

__all__ = ["PromptStudy"]


class PromptStudy(PromptResult):
    """The result of `judge_prompts`: all months, tables and costs, and `write` for its folder."""

    def write(self, folder: Path | str) -> Path:
        """Write tables, figures, guidance and the page into `folder`, and return the path of the page."""
        from llmguide.experiments.prompts.write import write_prompts  # here: it loads the plotting library

        return write_prompts(self, Path(folder))
