"""A progress bar where somebody watches: on a terminal, or in the cell of a notebook; nowhere else."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task

from llmguide.time_left import is_live, open_console

__all__ = ["make_progress"]

_EVERY = 0.2
"""Seconds between two pictures of a bar in a notebook: each is a message to the browser."""


def make_progress(*columns: ProgressColumn, shown: bool = True, console: Console | None = None) -> Progress:
    """Return a bar of these columns: on standard error where that is a terminal, below the cell of a notebook, or mute.

    `shown` False makes it mute everywhere, as it is where standard error is a file or a pipe.
    """
    console = console or open_console()
    if shown and console.is_jupyter:
        return _NotebookProgress(*columns, console=console, auto_refresh=False)
    return Progress(*columns, console=console, disable=not (shown and is_live(console)))


class _NotebookProgress(Progress):
    """Rich's columns as HTML that is replaced in place.

    It needs no widgets, so that it works in every front end and stays where it stopped in a notebook that was saved. It
    is drawn by whoever reports progress, since output of another thread may land below another cell.
    """

    _handle: Any = None
    _drawn = 0.0

    def start(self) -> None:
        from IPython.display import display

        self._handle = display(self, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types here

    def stop(self) -> None:
        self.refresh()
        self._handle = None

    def refresh(self) -> None:
        if self._handle is not None:
            self._drawn = time.monotonic()
            self._handle.update(self)

    def update(self, *which: Any, **changes: Any) -> None:
        super().update(*which, **changes)
        if time.monotonic() - self._drawn >= _EVERY:
            self.refresh()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None, **kwargs: Any) -> dict[str, str]:
        html = "".join(f"<div>{''.join(self._html(task))}</div>" for task in self.tasks)
        return {
            "text/plain": "\n".join(" ".join(self._texts(task)) for task in self.tasks) or " ",
            "text/html": f'<div style="font-variant-numeric: tabular-nums">{html}</div>',
        }

    def _texts(self, task: Task) -> list[str]:
        return [_text(column, task) for column in self.columns if not isinstance(column, BarColumn)]

    def _html(self, task: Task) -> list[str]:
        done = f'value="{task.completed:g}" max="{task.total or 1:g}"'
        return [
            f'<progress {done} style="width: 12em; vertical-align: middle; margin-right: .6em"></progress>'
            if isinstance(column, BarColumn)
            else f'<span style="margin-right: .6em">{escape(_text(column, task))}</span>'
            for column in self.columns
        ]


def _text(column: str | ProgressColumn, task: Task) -> str:
    return column if isinstance(column, str) else str(column(task)).strip()
