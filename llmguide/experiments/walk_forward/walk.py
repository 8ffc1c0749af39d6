"""What `llmguide.walk_forward` returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.walk_forward.result import WalkResult

__all__ = ["Walk"]


class Walk(WalkResult):
    """The result of `llmguide.walk_forward`: all tables and accounts, and `write` for its folder."""

    def write(self, folder: Path | str, *, command: str = "") -> Path:
        """Write settings, tables, accounts and the page into a folder, and return the path of the page.

        Args:
            folder: the folder, created if missing.
            command: shown on the page as the way to repeat the walk.
        """
        from llmguide.experiments.walk_forward.write import write_walk  # here: it loads the plotting library

        return write_walk(self, Path(folder), command=command)
