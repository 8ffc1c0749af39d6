"""`--calibrate`: the tables of a study, calibrated, and what came of it in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmguide.guidance import Guidance
    from llmguide.guidance.advice import Advice
    from llmguide.guidance.study import Study
    from llmguide.stats.calibration import Method

__all__ = ["calibration_counts", "print_calibrated", "read_method", "tables_of"]


def read_method(text: str | None) -> Method | None:
    """Return the method that --calibrate names; DataError for an unknown one."""
    from llmguide.stats.calibration import check_method

    return None if text is None else check_method(text)


def tables_of(study: Study, advice: Sequence[Advice], method: Method | None) -> dict[tuple[str, str], Guidance]:
    """Return the table of each (symbol, prompt) of a study.

    With a method each is calibrated by its own months known before and those of the other instruments by this prompt.
    """
    from llmguide.guidance.doubt.calibrate import calibrate_each
    from llmguide.guidance.study import guidance_of
    from llmguide.llm.templates import prompt_version

    found: dict[tuple[str, str], Guidance] = {}
    for version in map(prompt_version, study.prompts):
        tables = {
            (subject.symbol, version): (
                guidance_of(advice, symbol=subject.symbol, prompt=version, bars=subject.bars),
                subject.bars,
            )
            for subject in study.subjects
        }
        if method is None:
            found |= {name: table for name, (table, _) in tables.items()}
        else:
            found |= calibrate_each(tables, method=method, every=study.brief.every)
    return found


def calibration_counts(tables: Mapping[tuple[str, str], Guidance], advice: Sequence[Advice]) -> dict[str, int]:
    """Return how many rows were calibrated, and in how many of them that turned the direction."""
    before = {(one.symbol, one.prompt, one.issued_at): one.row.direction for one in advice}
    rows = {(*name, row.issued_at): row for name, table in tables.items() for row in table.rows}
    calibrated = {place: row for place, row in rows.items() if row.p_calibrated is not None}
    turned = sum(row.direction != before[place] for place, row in calibrated.items())
    return {"calibrated": len(calibrated), "turned_by_calibration": turned}


def print_calibrated(
    tables: Mapping[tuple[str, str], Guidance], advice: Sequence[Advice], method: Method | None
) -> None:
    """Say how many rows were calibrated; nothing without --calibrate."""
    from llmguide.console import out
    from llmguide.guidance.doubt.calibrate import LEAST

    if method is None:
        return
    count, rows = calibration_counts(tables, advice), sum(map(len, tables.values()))
    out.print(
        f"calibrated by {method}: {count['calibrated']} of {rows} rows, direction flipped in "
        f"{count['turned_by_calibration']}"
    )
    if count["calibrated"] < rows:
        out.print(
            f"{rows - count['calibrated']} rows not calibrated: fewer than {LEAST} months with log-probabilities were "
            "known before, or they have none themselves",
            style="yellow",
            soft_wrap=True,
        )
