"""What the command line prints: tables for people, JSON for machines, notes and errors on standard error."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from llmguide.errors import DataWarning
from llmguide.inline import CONTROLS, FUTURE
from llmguide.numbers import number, percent, share_interval, spread

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.experiments.compare import Comparison
    from llmguide.experiments.prompts import PromptStudy
    from llmguide.experiments.replicate import Replication

__all__ = [
    "err",
    "notes",
    "number",
    "out",
    "percent",
    "print_comparison",
    "print_json",
    "print_prompts",
    "print_replication",
    "print_table",
    "print_tokens_misfit",
    "print_without_entropy",
    "share_interval",
    "spread",
]

# What is printed is data: names of files and instruments, and what a language model wrote. None of it is markup.
out = Console(markup=False, emoji=False, highlight=False)
err = Console(stderr=True, markup=False, emoji=False, highlight=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: a first column of text, then numbers; a last column named "why" is text that may wrap."""
    out.print(f"\n{title}", style="bold")
    table = Table()
    for position, name in enumerate(columns):
        text = position == 0 or name == "why"
        table.add_column(name, justify="left" if text else "right", no_wrap=name != "why")
    for row in rows:
        table.add_row(*(cell.translate(CONTROLS) for cell in row))
    out.print(table)


def print_json(value: Any) -> None:
    """Print JSON on standard output; NaN and infinite numbers become null."""
    sys.stdout.write(json.dumps(_jsonable(value), indent=2, ensure_ascii=False) + "\n")


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, bool | str | int) or value is None:
        return value
    if hasattr(value, "item"):
        return _jsonable(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows for JSON."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


@contextmanager
def notes() -> Iterator[None]:
    """Show each kind of `DataWarning` as one line on standard error instead of Python's two."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        default = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if issubclass(category, DataWarning):
                err.print(f"note: {message}", style="yellow", soft_wrap=True)
            else:
                default(message, category, *where)

        warnings.showwarning = show  # type: ignore[assignment]  # typeshed has the parameters one by one
        yield


def print_comparison(comparison: Comparison) -> None:
    """Print the outcome of every arm, the tests, and how the guidance was used."""
    from llmguide.experiments.rows import arms_table
    from llmguide.report.placebo import placebo_sentence
    from llmguide.report.verdict import idle_runs

    print_table(*arms_table(comparison.table, comparison.settings["periods"]))
    for line in idle_runs(comparison.runs):
        out.print(line, highlight=False)
    tests = comparison.tests
    if len(tests):
        names = {"sr": "Sharpe", "mdd": "MDD"}
        _print_tests(tests, [names[measure] for measure in tests["measure"]])
    usage = comparison.usage
    if len(usage):
        lines = [[str(arm), *(percent(value) for value in row)] for arm, row in usage.iterrows()]
        print_table(
            "Use of the guidance: decisions that agree with it, and that change when it is changed",
            ["arm", "agree: train", "agree: test", "if inverted", "if permuted"],
            lines,
        )
    if len(comparison.placebo):
        out.print(placebo_sentence(comparison.placebo), highlight=False)
    if comparison.guidance is not None and comparison.guidance.uses_future:
        out.print(FUTURE, style="bold red")


def print_replication(replication: Replication) -> None:
    """Print what came out beside what was published, the tests, and how well the two agree."""
    from llmguide.experiments.rows import arms_beside_published, instruments_beside_published

    table = replication.appendix_e
    if len(table):
        print_table(*instruments_beside_published(table))
    table = replication.experiment_2
    if len(table):
        print_table(*arms_beside_published(table))
    tests = replication.tests
    if len(tests):
        names = {"sr": "Sharpe", "mdd": "MDD"}
        _print_tests(tests, [f"{row.symbol} {names[row.measure]}" for row in _rows(tests)])
    if replication.fit:
        out.print(f"\n{replication.fit}")
    if replication.uses_future:
        out.print(FUTURE, style="bold red")


def print_prompts(study: PromptStudy) -> None:
    """Print the measures of every prompt, its Sharpe ratio on each instrument, and the tests over instruments."""
    from llmguide.experiments.rows import prompts_table

    print_table(*prompts_table(study.means))
    print_without_entropy(study.without_entropy, study.answers, "answers")
    if len(study.symbols) > 1:
        wide = study.table.pivot(index="symbol", columns="prompt", values="sr").reindex(study.symbols)
        lines = [[str(symbol), *(number(value) for value in row)] for symbol, row in wide.iterrows()]
        print_table("Sharpe ratio by instrument and prompt", ["symbol", *study.prompts], lines)
    scores = study.scores
    if len(scores):
        rows = [
            [f"{s.prompt}, {s.probability}", str(s.months), *(number(x, 3) for x in (s.brier, s.brier_base, s.ece))]
            for s in _rows(scores)
        ]
        columns = ["p(LONG)", "months", "Brier", "base rate's", "calibration error"]
        print_table("Probabilities of the test months", columns, rows)
    tests = study.tests[study.tests["over"] == "instruments"]
    if len(tests):
        rows = [
            [
                f"{t.measure}: {t.prompt_a} - {t.prompt_b}",
                f"{t.mean_difference:+.3f}",
                number(t.t),
                *(number(p, 3) for p in (t.p, t.p_holm, t.p_wilcoxon)),
                str(t.n),
            ]
            for t in _rows(tests)
        ]
        columns = ["difference", "mean", "t", "p", "p Holm", "Wilcoxon", "n"]
        print_table("Two-sided paired t tests over instruments, corrected by Holm, and Wilcoxon's", columns, rows)


def print_without_entropy(count: int, of: int, what: str) -> None:
    """Say how many answers have no entropy, and what follows; nothing where all have one."""
    if count:
        out.print(f"{count} of {of} {what} have no entropy: certainty 1 there", style="yellow")


def print_tokens_misfit(count: int) -> None:
    """Say in how many answers the tokens could not be laid onto the text; nothing where there are none."""
    if count:
        out.print(f"{count} of them because the tokens that came do not fit the text", style="yellow")


def _print_tests(tests: pd.DataFrame, labels: list[str]) -> None:
    """Print paired t tests, each under what was compared."""
    rows = [
        [
            f"{label}: {t.arm_a} - {t.arm_b}",
            f"{t.mean_difference:+.2f}",
            number(t.t),
            *(number(p, 3) for p in (t.p, t.p_holm, t.p_wilcoxon)),
            str(t.n),
        ]
        for label, t in zip(labels, _rows(tests), strict=True)
    ]
    columns = ["difference", "mean", "t", "p", "p Holm", "Wilcoxon", "n"]
    print_table("Two-sided paired t tests over seeds, corrected by Holm, and Wilcoxon's", columns, rows)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
