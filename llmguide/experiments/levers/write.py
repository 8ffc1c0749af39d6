"""Write a study of levers into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmguide.experiments.levers.lever import find_levers
from llmguide.files import write_csv, write_json
from llmguide.report.levers_page import LeversData, write_levers_page

if TYPE_CHECKING:
    from llmguide.experiments.levers.result import LeverStudy

__all__ = ["write_levers"]


def write_levers(study: LeverStudy, folder: Path) -> Path:
    """Write everything (see `LeverStudy.write`) and return the path of the page."""
    write_json(folder / "config.json", dict(study.settings))
    write_csv(study.runs, folder / "runs.csv")
    write_csv(study.instruments, folder / "instruments.csv")
    write_csv(study.table.rename_axis("lever").reset_index(), folder / "table.csv")
    write_csv(study.differences, folder / "differences.csv")
    words = {lever.name: lever.words for lever in find_levers(study.levers[1:])}
    data = LeversData(
        table=study.table,
        differences=study.differences,
        instruments=study.instruments,
        words=words,
        settings=study.settings,
    )
    return write_levers_page(data, folder / "levers.html")
