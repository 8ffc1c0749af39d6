"""What `llmguide.compare` returns: what was found, and the way to write it down."""

from __future__ import annotations

from pathlib import Path

from llmguide.experiments.compare.result import ComparisonResult

__all__ = ["Comparison"]


class Comparison(ComparisonResult):
    """The result of `llmguide.compare`: tables, tests and curves, and `write` for the run folder with its report."""

    def write(self, folder: Path | str, *, command: str = "") -> Path:
        """Write the run folder and return the path of its ``report.html``.

        Args:
            folder: the run folder, created if missing.
            command: shown in the report as the way to repeat the comparison.
        """
        from llmguide.experiments.compare.write import write_comparison  # here: it loads the plotting libraries

        return write_comparison(self, Path(folder), command=command)
