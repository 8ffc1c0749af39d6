"""The progress bar of a study: advice given, money spent, tokens a second, time left."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from llmguide.llm.ledger import Spending
from llmguide.progress import make_progress

__all__ = ["StudyBar"]


class StudyBar:
    """Shows a study on a terminal or in a notebook, and nothing elsewhere, or where it is not wanted.

    `unit` is what is counted.
    """

    def __init__(self, total: int, spending: Callable[[], Spending], *, shown: bool, unit: str = "months") -> None:
        self._spending = spending
        self._progress = make_progress(
            TextColumn(unit),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[spent]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            shown=shown,
        )
        self._task = self._progress.add_task("", total=total, spent="")

    def __enter__(self) -> StudyBar:
        self._before = self._spending()  # of earlier runs of the study
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """Count one more piece of advice, and say what all of them have cost, and will at this rate."""
        if self._progress.disable:
            return
        spent = self._spending()
        task = self._progress.tasks[0]
        done = task.completed + 1
        written = (spent.completion_tokens or 0) - (self._before.completion_tokens or 0)
        pace = written / max(task.elapsed or 0.0, 1e-9)
        if spent.dollars is None:
            money = f"{spent.calls} calls, $ unknown"
        else:
            money = f"{spent.dollars:.4f} $ of about {spent.dollars / done * (task.total or done):.4f}"
        self._progress.update(self._task, advance=1, spent=f"{money}, {pace:.0f} tokens/s")

    def stopping(self) -> None:
        """Say that an interruption takes effect once the answers under way are stored."""
        self._progress.update(
            self._task, refresh=True, spent="stopping: waiting for the answers under way; interrupt again to drop them"
        )
