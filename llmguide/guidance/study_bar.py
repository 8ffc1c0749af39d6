"""The progress bar of a study: advice given, money spent, tokens a second, time left."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from llmguide.llm.ledger import Spending
from llmguide.progress import make_progress
from llmguide.time_left import Outlook, open_console

__all__ = ["StudyBar"]

WIDE = 100
"""Columns from which on all of it has room."""


class StudyBar:
    """Shows a study: a bar on a terminal or in a notebook, else a line from time to time; silent unless `shown`.

    `unit` is what is counted, in the plural. Answers that the cache has are told at once, and say nothing of the time
    that the others will take.
    """

    def __init__(self, total: int, spending: Callable[[], Spending], *, shown: bool, unit: str = "months") -> None:
        console = open_console()
        self._spending, self._shown, self._unit = spending, shown, unit
        self._done, self._total = 0, total
        self._outlook = Outlook(console, f"{total:,} {unit}", total)
        wide = console.width >= WIDE
        self._progress = make_progress(
            TextColumn(unit),
            *([BarColumn(bar_width=24 if wide else 10)] if console.width >= 60 else []),
            MofNCompleteColumn(),
            *([TextColumn("{task.fields[spent]}"), TimeElapsedColumn()] if wide else []),
            TextColumn("{task.fields[left]}"),
            console=console,
            shown=shown,
        )
        self._task = self._progress.add_task("", total=total, spent="", left="")

    def __enter__(self) -> StudyBar:
        self._before = self._spending()  # of earlier runs of the study
        self._calls = self._before.calls
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """Count one more piece of advice, and say what all of them have cost, and will at this rate."""
        if not self._shown:
            return
        spent = self._spending()
        self._done += 1
        if spent.calls > self._calls:
            self._outlook.advance(1, f"{self._done:,} of {self._total:,} {self._unit}")
        else:
            self._outlook.skip(1)
        self._calls = spent.calls
        if self._progress.disable:
            return
        task = self._progress.tasks[0]
        written = (spent.completion_tokens or 0) - (self._before.completion_tokens or 0)
        pace = written / max(task.elapsed or 0.0, 1e-9)
        if spent.dollars is None:
            money = f"{spent.calls} calls, $ unknown"
        else:
            money = f"{spent.dollars:.4f} $ of about {spent.dollars / self._done * self._total:.4f}"
        self._progress.update(
            self._task, advance=1, spent=f"{money}, {pace:.0f} tokens/s", left=self._outlook.left_in_words()
        )

    def stopping(self) -> None:
        """Say that an interruption takes effect once the answers under way are stored."""
        self._progress.update(
            self._task, refresh=True, spent="stopping: waiting for the answers in flight; interrupt again to drop them"
        )
