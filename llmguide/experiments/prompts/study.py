"""What a study of prompts returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.prompts.result import PromptResult

__all__ = ["PromptStudy"]


class PromptStudy(PromptResult):
    """A `PromptResult`, which has all months, tables and costs, that can be written into a folder."""

    def write(self, folder: Path | str) -> Path:
        """Write tables, figures, guidance and the page to read into a folder (see `write_prompts`); return the page."""
        from llmguide.experiments.prompts.write import write_prompts  # here: it loads the plotting library

        return write_prompts(self, Path(folder))
