"""A study of prompts as tables of text. Every function takes a frame of `llmguide.experiments.prompts.result`.

Tables III, IV, V and VIII of arXiv 2508.02366: Sharpe ratio, perplexity and entropy by instrument and prompt, costs;
and the share of right directions, which stands for Table VII (see `docs/method.md`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from llmguide.numbers import number
from llmguide.report.tables import TextTable, p_value

__all__ = [
    "costs_table",
    "dollars",
    "entropy_table",
    "hits_table",
    "means_table",
    "perplexity_table",
    "scores_table",
    "sharpe_table",
    "tests_table",
]

_PAPER = "arXiv 2508.02366"
MEASURES = {"sr": "Sharpe ratio", "perplexity": "perplexity", "entropy": "entropy"}


def sharpe_table(table: pd.DataFrame) -> TextTable:
    """Sharpe ratio of each prompt's guidance alone, the published one in brackets."""

    def cell(rows: pd.DataFrame, whole: bool) -> str:
        here = number(rows["sr"].mean())
        there = rows["sr_published"].mean(skipna=not whole)
        return here if math.isnan(there) else f"{here} ({number(there)})"

    notes = (
        f"Test bars, following the guidance of the prompt alone. In brackets: published by {_PAPER}, for 2018 "
        "and 2019; its mean only if every instrument was published.",
    )
    return TextTable("Sharpe ratio by prompt", *_by_prompt(table, cell), notes)


def perplexity_table(table: pd.DataFrame) -> TextTable:
    """Mean perplexity of the replies."""
    notes = ("Mean over the test months of exp(-mean log p) of the whole reply's tokens (eq. 3); 1 is certain.",)
    return TextTable(
        "Perplexity by prompt", *_by_prompt(table, lambda rows, _: number(rows["perplexity"].mean(), 3)), notes
    )


def entropy_table(table: pd.DataFrame) -> TextTable:
    """Mean entropy of the replies."""
    notes = (
        "Mean over the test months of the entropy of the whole reply's tokens (eq. 4), divided by the largest "
        "value it can take: 0 is certain, 1 is maximally uncertain.",
    )
    return TextTable("Entropy by prompt", *_by_prompt(table, lambda rows, _: number(rows["entropy"].mean(), 3)), notes)


def hits_table(table: pd.DataFrame) -> TextTable:
    """Share of right directions of each prompt."""

    def cell(rows: pd.DataFrame, whole: bool) -> str:
        rate = float(rows["hit_rate"].mean())
        return "n/a" if math.isnan(rate) else f"{rate:.0%}"

    columns, rows = _by_prompt(table, cell)
    for row in rows:
        up = table if row[0] == "mean" and len(rows) > 1 else table[table["symbol"] == row[0]]
        rate = float(up["up_rate"].mean())
        row.append("n/a" if math.isnan(rate) else f"{rate:.0%}")
    notes = (
        "Share of the test months with an answer whose direction was that of the price until the next "
        "guidance. Months up: the hit rate of always long.",
    )
    return TextTable("Right directions by prompt", [*columns, "months up"], rows, notes)


def _by_prompt(table: pd.DataFrame, cell: Callable[[pd.DataFrame, bool], str]) -> tuple[list[str], list[list[str]]]:
    """Instruments by prompts, and a last row over all instruments, for which `cell` is told so."""
    prompts = sorted(set(table["prompt"]))
    rows = []
    for symbol, of_symbol in table.groupby("symbol", sort=False):
        cells = [of_symbol[of_symbol["prompt"] == prompt] for prompt in prompts]
        rows.append([str(symbol), *("-" if one.empty else cell(one, False) for one in cells)])
    if len(rows) > 1:
        rows.append(["mean", *(cell(table[table["prompt"] == prompt], True) for prompt in prompts)])
    return ["symbol", *prompts], rows


def means_table(means: pd.DataFrame) -> TextTable:
    """Every measure of each prompt, over all instruments."""
    rows = [
        [
            row.prompt,
            number(row.sr),
            number(row.sr_published),
            number(row.mdd),
            number(row.hit_rate),
            number(row.up_rate),
            number(row.perplexity, 3),
            number(row.entropy, 3),
            number(row.direction_entropy, 3),
            number(row.confidence_entropy, 3),
            f"{row.abstentions} of {row.months}",
            str(row.instruments),
        ]
        for row in _rows(means)
    ]
    columns = [
        *(
            "prompt",
            "SR",
            "SR published",
            "MDD",
            "hit rate",
            "months up",
            "perplexity",
            "entropy",
            "of direction",
            "of confidence",
        ),
        *("abstained", "instruments"),
    ]
    notes = (
        "Means over instruments of the test bars and months. Hit rate: share of months with an answer whose "
        "direction was that of the price until the next guidance; months up: the hit rate of always long. "
        "Entropy: of the whole reply, and of the tokens that say the direction and the confidence.",
    )
    return TextTable("Prompts", columns, rows, notes)


def shares_table(shares: pd.DataFrame) -> TextTable:
    """How many answers of each prompt were usable, and right."""
    rows = [
        [
            row.prompt,
            f"{row.usable} of {row.months}",
            f"{row.right} of {row.known}",
            _share(row, row.hit_rate),
            f"{row.up_rate:.0%}" if math.isfinite(row.up_rate) else "n/a",
        ]
        for row in _rows(shares)
    ]
    notes = (
        "Test months of all instruments. Right: the direction was that of the price until the next guidance, "
        "with Wilson's 95 % interval, which treats months as independent. Months up: the hit rate of always "
        "long.",
    )
    return TextTable("Answers", ["prompt", "usable", "right", "share right", "months up"], rows, notes)


def agreement_table(agreement: pd.DataFrame) -> TextTable:
    """How often two prompts gave the same direction."""
    rows = [
        [
            f"{row.prompt_a}, {row.prompt_b}",
            f"{row.same} of {row.months}",
            _share(row, row.share),
            number(row.kappa),
        ]
        for row in _rows(agreement)
    ]
    notes = (
        "Test months of all instruments in which both prompts gave a direction, with Wilson's 95 % interval. "
        "Kappa is Cohen's: 0 is chance agreement, 1 is full agreement.",
    )
    return TextTable("Agreement between prompts", ["prompts", "same direction", "share", "kappa"], rows, notes)


def tests_table(tests: pd.DataFrame) -> TextTable:
    """The paired tests between prompts."""
    rows = [
        [
            row.over,
            MEASURES[row.measure],
            f"{row.prompt_a} - {row.prompt_b}",
            f"{row.mean_difference:+.3f}",
            number(row.t),
            p_value(row.p),
            p_value(row.p_holm),
            p_value(row.p_wilcoxon),
            str(row.n),
        ]
        for row in _rows(tests)
    ]
    columns = ["over", "measure", "prompts", "mean difference", "t", "p", "p Holm", "p Wilcoxon", "pairs"]
    notes = (
        "Two-sided paired t tests, over instruments or over the months of one instrument; Holm's p corrects them for "
        "the number of prompts, Wilcoxon's signed rank test is not corrected. Months of one instrument are hardly "
        "independent.",
    )
    return TextTable("Differences between prompts", columns, rows, notes, text=3)


def costs_table(costs: pd.DataFrame) -> TextTable:
    """What the prompts have cost."""
    rows = [
        [
            row.prompt,
            str(row.months),
            str(row.calls),
            _count(row.prompt_tokens),
            _count(row.completion_tokens),
            _count(row.tokens_per_advice),
            number(row.seconds, 1),
            dollars(row.dollars),
        ]
        for row in _rows(costs)
    ]
    columns = [
        "prompt",
        "months",
        "calls",
        "prompt tokens",
        "completion tokens",
        "tokens per advice",
        "seconds",
        "$",
    ]
    notes = (
        "When it was first asked, the Analyst and repeated questions included; in the sum of all prompts, an "
        "Analyst's answer that several of them share counts once. Seconds: total response time. Unknown: the "
        f"endpoint gave no count, or the model has no price in the table of prices. {_PAPER}: 8,300 tokens "
        "for one question by P4.",
    )
    return TextTable("Costs", columns, rows, notes)


def scores_table(scores: pd.DataFrame) -> TextTable:
    """Brier score of each prompt's probabilities beside that of the base rate, and their calibration error."""
    rows = [
        [
            f"{row.prompt}, {row.probability}",
            str(row.months),
            number(row.brier, 3),
            number(row.brier_base, 3),
            "yes" if row.brier < row.brier_base else "no",
            number(row.base_rate),
            number(row.ece, 3),
        ]
        for row in _rows(scores)
    ]
    columns = ["p(LONG)", "months", "Brier score", "of the base rate", "better", "months up", "calibration error"]
    notes = (
        "Over the test months of all instruments. Brier score: the mean of (p - rose)^2, 0 is perfect. Of the "
        "base rate: that of always stating the share of these months that rose, which was unknown beforehand. "
        "Calibration error: the mean distance between the probability and the share that rose, in ten bins of "
        "equal width; with few months, chance alone makes it large.",
    )
    return TextTable("Probabilities by prompt", columns, rows, notes)


def dollars(amount: float) -> str:
    """Return an amount to four decimals; "unknown" for NaN, never 0."""
    return "unknown" if math.isnan(amount) else f"{amount:.4f}"


def _share(row: Any, share: float) -> str:
    return f"{share:.0%} ({row.low:.0%} to {row.high:.0%})" if math.isfinite(share) else "n/a"


def _count(tokens: Any) -> str:
    return "unknown" if pd.isna(tokens) else f"{tokens:.0f}"


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
