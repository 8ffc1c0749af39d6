"""What `llmguide.replicate` returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.counting import counted
from llmguide.experiments.replicate.result import ReplicationResult
from llmguide.experiments.rows import arms_beside_published, instruments_beside_published
from llmguide.inline import FUTURE, Inline, Shown, note_files

__all__ = ["Replication"]


class Replication(Inline, ReplicationResult):
    """The result of `llmguide.replicate`: all runs and tables, and `write` for its folder."""

    def _shown(self) -> Shown:
        unpublished = f"{counted(len(self.symbols), 'instrument')}, of which none has a published Sharpe ratio."
        tables = [instruments_beside_published(self.appendix_e), arms_beside_published(self.experiment_2)]
        return Shown(self.fit or unpublished, tables, warning=FUTURE if self.uses_future else "")

    def write(self, folder: Path | str) -> Path:
        """Write runs, settings, all tables (CSV, Markdown, LaTeX) and the figure into `folder`, and return its path."""
        from llmguide.experiments.replicate.write import write_replication  # here: it loads the plotting library

        return note_files(self, write_replication(self, Path(folder)))
