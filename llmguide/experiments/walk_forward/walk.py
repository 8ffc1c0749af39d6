"""What `llmguide.walk_forward` returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.rows import walk_table
from llmguide.experiments.walk_forward.result import WalkResult
from llmguide.inline import FUTURE, Inline, Shown, note_files

__all__ = ["Walk"]


class Walk(Inline, WalkResult):
    """The result of `llmguide.walk_forward`: all tables and accounts, and `write` for its folder."""

    @property
    def verdict(self) -> str:
        """The best run of every instrument, and whether it is more than luck, as the page begins."""
        from llmguide.experiments.walk_forward.write import page_data  # here: it loads the plotting library
        from llmguide.report.walk_page import summary

        return " ".join(summary(page_data(self)))

    def _shown(self) -> Shown:
        return Shown(self.verdict, [walk_table(self.stitched, self.spread)], warning=FUTURE if self.uses_future else "")

    def write(self, folder: Path | str, *, command: str = "") -> Path:
        """Write settings, tables, accounts and the page into a folder, and return the path of the page.

        Args:
            folder: the folder, created if missing.
            command: shown on the page as the way to repeat the walk.
        """
        from llmguide.experiments.walk_forward.write import write_walk  # here: it loads the plotting library

        return note_files(self, write_walk(self, Path(folder), command=command))
