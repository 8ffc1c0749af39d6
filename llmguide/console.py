"""What the command line prints: tables for people, JSON for machines, notes and errors on standard error."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table

from llmguide.counting import counted
from llmguide.errors import DataWarning, RunWarning
from llmguide.inline import CONTROLS, FUTURE
from llmguide.numbers import number, percent, share_interval, spread
from llmguide.time_left import open_console

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


class _Screen(Console):
    """A stream on which lines are broken for people only: a file, or the next program, gets them whole."""

    def print(self, *objects: Any, **options: Any) -> None:
        if not self.is_terminal:
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Let the command line end the command, rather than rich."""
        raise


# What is printed is data: names of files and instruments, and what a language model wrote. None of it is markup.
out = open_console(kind=_Screen, stderr=False)
err = open_console(kind=_Screen)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: a first column of text, then numbers; a last column named "why" is text that may wrap.

    Where the terminal is too narrow for it, each row becomes lines of name and value; nothing is cut.
    """
    out.print(f"\n{title}", style="bold")
    rows = [[cell.translate(CONTROLS) for cell in row] for row in rows]
    table = Table()
    for position, name in enumerate(columns):
        lines = [line for cell in (name, *(row[position] for row in rows)) for line in cell.splitlines()]
        table.add_column(
            name,
            justify="left" if position == 0 or name == "why" else "right",
            no_wrap=name != "why",
            min_width=None if name == "why" else max(map(cell_len, lines), default=0),
        )
    for row in rows:
        table.add_row(*row)
    needed = Measurement.get(out, out.options.update(width=_ENDLESS), table).minimum
    if needed <= out.width or not (out.is_terminal or os.environ.get("COLUMNS")):
        out.print(table, width=max(needed, out.width), crop=False, soft_wrap=False)
    else:
        _print_stacked(columns, rows)


_ENDLESS = 100_000


def _print_stacked(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows one below the other; those of two columns need no more than these two."""
    pairs = len(columns) == 2
    grid = _grid()
    for row in rows:
        if pairs:
            grid.add_row(*row)
            continue
        out.print(f"{columns[0]}: {row[0]}", style="bold", soft_wrap=False)
        grid = _grid()
        for name, value in zip(columns[1:], row[1:], strict=True):
            grid.add_row(name, value)
        out.print(Padding(grid, (0, 0, 0, 2), expand=False), soft_wrap=False)
    if pairs:
        out.print(grid, soft_wrap=False)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    return grid


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
def notes(worded: Callable[[str], str] = str) -> Iterator[None]:
    """Show each `DataWarning` once, as one line on standard error instead of Python's two.

    Those of many runs that differ in their numbers are one line, and at the end their count. `worded` says them in the
    words of the reader.
    """
    said: Counter[str] = Counter()
    runs = set[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        default = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if not issubclass(category, DataWarning):
                default(message, category, *where)
                return
            note = worded(str(message))
            key = note
            if issubclass(category, RunWarning):
                key = re.sub(r"\d+", "#", note)
                runs.add(key)
            said[key] += 1
            if said[key] == 1:
                err.print(f"note: {note}", style="yellow", soft_wrap=True)

        warnings.showwarning = show  # type: ignore[assignment]  # typeshed has the parameters one by one
        try:
            yield
        finally:
            if more := sum(said[key] - 1 for key in runs):
                err.print(f"note: the same in {counted(more, 'more run')}", style="yellow")


def print_comparison(comparison: Comparison) -> None:
    """Print the outcome of every arm, the tests, how the guidance was used, and the verdict."""
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
            "Use of the guidance: share of decisions that agree with it, and that change when it is changed",
            ["arm", "agree: train", "agree: test", "if inverted", "if permuted"],
            lines,
        )
    if len(comparison.placebo):
        out.print(placebo_sentence(comparison.placebo), highlight=False)
    out.print(f"\n{comparison.verdict}", style="bold")
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
        columns = ["p(LONG)", "months", "Brier", "base rate", "calibration error"]
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
        print_table("Two-sided paired t tests over instruments, Holm-corrected, and Wilcoxon tests", columns, rows)


def print_without_entropy(count: int, of: int, what: str) -> None:
    """Say how many answers have no entropy, and what follows; nothing where all have one."""
    if count:
        out.print(f"{count} of {of} {what} have no entropy; their certainty counts as 1", style="yellow")


def print_tokens_misfit(count: int) -> None:
    """Say in how many answers the tokens could not be laid onto the text; nothing where there are none."""
    if count:
        out.print(f"{count} of them because the returned tokens do not match the text", style="yellow")


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
    print_table("Two-sided paired t tests over seeds, Holm-corrected, and Wilcoxon tests", columns, rows)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
