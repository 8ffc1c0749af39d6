"""Write a replication into its folder.

config.json             instruments, arms, seeds, settings, versions, hashes of the data
runs.csv                every instrument, arm and seed
appendix_e.*            the unguided agent against its publications
experiment_2.*          every arm beside what was published
tests.*                 paired tests between arms
summary.*               how well the published Sharpe ratios are met
replication.png         published against replicated Sharpe ratios
SYMBOL/                 each instrument's own run folder, and its cells (see `llmguide.experiments.replicate.grid`)

Tables are .csv (all columns), .md and .tex (as a reader wants them). A table without rows has no files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmguide.files import write_csv, write_json, write_text
from llmguide.report.replication import (
    appendix_e_table,
    draw_replication,
    experiment_2_table,
    paired_tests_table,
    summary_table,
)

if TYPE_CHECKING:
    from llmguide.experiments.replicate.result import ReplicationResult

__all__ = ["write_replication"]

FIGURE = "replication.png"


def write_replication(replication: ReplicationResult, folder: Path) -> Path:
    """Write everything (see the module) and return the folder. What an earlier one left of these files is replaced."""
    write_json(folder / "config.json", dict(replication.settings))
    write_csv(replication.runs, folder / "runs.csv")
    words = replication.fit
    tables = {
        "appendix_e": (replication.appendix_e, appendix_e_table),
        "experiment_2": (replication.experiment_2, experiment_2_table),
        "tests": (replication.tests, paired_tests_table),
        "summary": (replication.summary, lambda frame: summary_table(frame, words)),
    }
    for name, (frame, as_text) in tables.items():
        csv, markdown, latex = (folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex"))
        if frame.empty:
            _remove(csv, markdown, latex)
            continue
        text = as_text(frame)
        write_csv(frame, csv)
        write_text(markdown, text.markdown())
        write_text(latex, text.latex())
    if replication.summary.empty:
        _remove(folder / FIGURE)
    else:
        draw_replication(replication.appendix_e, folder / FIGURE)
    return folder


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
