"""What `llmguide.replicate` returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.replicate.result import ReplicationResult

__all__ = ["Replication"]


class Replication(ReplicationResult):
    """The result of `llmguide.replicate`: all runs and tables, and `write` for its folder."""

    def write(self, folder: Path | str) -> Path:
        """Write runs, settings, all tables (CSV, Markdown, LaTeX) and the figure into `folder`, and return its path."""
        from llmguide.experiments.replicate.write import write_replication  # here: it loads the plotting library

        return write_replication(self, Path(folder))
