"""Write the results of a review into its folder.

scores.*          mean scores by prompt and criterion with intervals (Table VI)
alpha.*           Krippendorff's alpha between people
agreement.*       directions of people and the model, held to each other and to what happened
judges.*          scores of language models less people's, where a model scored too
answers.csv       every answer
results.json      settings

Tables are .csv (numbers), .md and .tex (as a reader wants them). A table without rows has no files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmguide.files import write_csv, write_json, write_text
from llmguide.inline import note_files
from llmguide.report.review_tables import ReviewData, agreement_table, alpha_table, judges_table, scores_table

if TYPE_CHECKING:
    from llmguide.experiments.review.result import ReviewResult

__all__ = ["review_data", "write_results"]


def write_results(result: ReviewResult, folder: Path) -> Path:
    """Write all tables of a review into a folder and return it; files of earlier results are replaced.

    Args:
        result: the review's result.
        folder: the folder, created if missing.
    """
    texts = {
        "scores": (result.scores, scores_table(result.scores)),
        "alpha": (result.alpha, alpha_table(result.alpha)),
        "agreement": (result.agreement, agreement_table(result.agreement)),
        "judges": (result.judges, judges_table(result.judges)),
    }
    for name, (frame, text) in texts.items():
        if frame.empty:
            for suffix in ("csv", "md", "tex"):
                (folder / f"{name}.{suffix}").unlink(missing_ok=True)
            continue
        write_csv(frame, folder / f"{name}.csv")
        write_text(folder / f"{name}.md", text.markdown())
        write_text(folder / f"{name}.tex", text.latex())
    write_csv(result.answers, folder / "answers.csv")
    write_json(folder / "results.json", dict(result.settings))
    return note_files(result, folder)


def review_data(result: ReviewResult) -> ReviewData:
    """Return what pages and tables show of a review.

    Args:
        result: the review's result.
    """
    return ReviewData(result.scores, result.alpha, result.agreement, result.judges)
