"""Write a study of prompts into its folder.

prompts.html                    the page to read: every month's prompts, reasons and outcome side by side
table_sharpe.*                  Sharpe ratio by instrument and prompt, the published ones beside (Table III)
table_perplexity.*              mean perplexity by instrument and prompt (Table IV)
table_entropy.*                 mean entropy by instrument and prompt (Table V)
table_reviews.*                 mean scores of the expert review by prompt and criterion (Table VI), where there is one
table_hits.*                    share of right directions by instrument and prompt (Table VII)
costs.*                         calls, tokens, time and dollars by prompt (Table VIII); unknown dollars are empty
tests.*                         paired tests of every prompt against P1
means.*                         every measure by prompt, means over instruments
prompts.csv                     every measure by instrument and prompt
months.csv                      every advice and its outcome
brier.*                         Brier score and calibration error of each prompt's probabilities
calibration.csv                 how often each confidence was right
shares.csv                      how many answers of each prompt were usable, and right, with intervals
agreement.csv                   how often two prompts gave the same direction
reliability.csv                 how often it rose where about the same probability was said
figure_*.png                    Sharpe ratio by instrument and prompt (figure 2), uncertainty, calibration, reliability,
                                expert review
guidance/PROMPT/SYMBOL.parquet  guidance tables
config.json                     settings, and hashes of the guidance

Tables are .csv (numbers), .md and .tex (as a reader wants them). The numbers of tables are of arXiv 2508.02366; what
its Tables VI and VII and its figure 2 show exactly could not be looked up, and is our reading (`docs/method.md`). A
table without rows has no files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from llmguide.experiments.review import review_data
from llmguide.files import atomic_path, write_csv, write_json, write_text
from llmguide.report.prompt_figures import FIGURES, draw_figures
from llmguide.report.prompt_tables import (
    costs_table,
    entropy_table,
    hits_table,
    means_table,
    perplexity_table,
    scores_table,
    sharpe_table,
    tests_table,
)
from llmguide.report.prompts_page import PromptsData, write_prompts_page
from llmguide.report.review_tables import scores_table as reviewed_table
from llmguide.report.tables import TextTable

if TYPE_CHECKING:
    from llmguide.experiments.prompts.result import PromptResult

__all__ = ["page_data", "write_prompts"]

PAGE = "prompts.html"


def write_prompts(study: PromptResult, folder: Path) -> Path:
    """Write everything (see the module) and return the path of the page; files of an earlier study are replaced."""
    data = page_data(study)
    hashes = {f"{symbol} {prompt}": table.hash for (symbol, prompt), table in study.guidance.items()}
    write_json(folder / "config.json", {**study.settings, "guidance": hashes})
    for (symbol, prompt), table in study.guidance.items():
        table.save(folder / "guidance" / prompt / f"{symbol}.parquet")
    texts = {
        "table_sharpe": (_wide(data.table, ("sr", "sr_published")), sharpe_table(data.table)),
        "table_perplexity": (_wide(data.table, ("perplexity",)), perplexity_table(data.table)),
        "table_entropy": (_wide(data.table, ("entropy",)), entropy_table(data.table)),
        "table_hits": (_wide(data.table, ("hit_rate",)), hits_table(data.table)),
        "costs": (data.costs, costs_table(data.costs)),
        "tests": (data.tests, tests_table(data.tests)),
        "means": (data.means, means_table(data.means)),
        "brier": (data.scores, scores_table(data.scores)),
    }
    reviews = pd.DataFrame() if data.reviews is None else data.reviews.scores
    texts["table_reviews"] = (reviews, TextTable("", [], []) if reviews.empty else reviewed_table(reviews))
    for name, (frame, text) in texts.items():
        csv, markdown, latex = (folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex"))
        if frame.empty:
            for file in (csv, markdown, latex):
                file.unlink(missing_ok=True)
            continue
        write_csv(frame, csv)
        write_text(markdown, text.markdown())
        write_text(latex, text.latex())
    write_csv(data.table, folder / "prompts.csv")
    write_csv(study.months, folder / "months.csv")
    write_csv(data.calibration, folder / "calibration.csv")
    write_csv(data.shares, folder / "shares.csv")
    write_csv(data.agreement, folder / "agreement.csv")
    write_csv(data.reliability, folder / "reliability.csv")
    drawn = draw_figures(data.table, data.means, data.calibration, data.reliability, reviews)
    for name in FIGURES:
        path = folder / f"figure_{name}.png"
        if name not in drawn:
            path.unlink(missing_ok=True)
            continue
        with atomic_path(path) as temporary:
            temporary.write_bytes(drawn[name].png)
    return write_prompts_page(data, {name: figure.svg for name, figure in drawn.items()}, folder / PAGE)


def page_data(study: PromptResult) -> PromptsData:
    """Return what the page of a study shows."""
    return PromptsData(
        means=study.means,
        table=study.table,
        tests=study.tests,
        costs=study.costs,
        calibration=study.calibration,
        shares=study.shares,
        agreement=study.agreement,
        reliability=study.reliability,
        scores=study.scores,
        months=study.test_months,
        all_advice=study.all_advice,
        reviews=None if study.reviews is None else review_data(study.reviews),
    )


def _wide(table: pd.DataFrame, measures: tuple[str, ...]) -> pd.DataFrame:
    """Instruments by prompts, a column ``PROMPT`` (and ``PROMPT_published``) each.

    The last row holds the means, of published ones only where every instrument has one. Empty where the first measure
    is nowhere known.
    """
    if table[measures[0]].isna().all():
        return pd.DataFrame()
    wide: dict[str, pd.Series[float]] = {
        f"{prompt}{'_published' if measure == 'sr_published' else ''}": rows.set_index("symbol")[measure]
        for prompt, rows in table.groupby("prompt")
        for measure in measures
    }
    frame = pd.DataFrame(wide).reindex(list(dict.fromkeys(table["symbol"])))
    frame.loc["mean"] = [frame[name].mean(skipna=not name.endswith("_published")) for name in wide]
    return frame.rename_axis("symbol").reset_index()
