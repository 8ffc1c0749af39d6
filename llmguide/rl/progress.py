"""The progress bar of a training: episodes, updates per second and time left."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from llmguide.rl.runs import EpisodeEnd, Tick

__all__ = ["TrainingBar"]


class TrainingBar:
    """Shows a training's events on standard error; silent where that is no terminal.

    One bar can show several trainings one after the other: `begin` each of them.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("episode {task.fields[episodes]}/{task.fields[planned]}"),
            TextColumn("{task.fields[rate]:.0f} updates/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> TrainingBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, title: str, *, steps: int, episodes: int) -> None:
        """Start a line for a training of so many steps and episodes, all seeds together."""
        self._task = self._progress.add_task(title, total=steps, episodes=0, planned=episodes, rate=0.0)
        self._steps = self._episodes = 0
        self._began = time.monotonic()

    def __call__(self, event: Tick | EpisodeEnd) -> None:
        """Show one event of `llmguide.rl.runs.train_runs`."""
        if isinstance(event, EpisodeEnd):
            self._episodes += 1
            self._progress.update(self._task, episodes=self._episodes)
        else:
            self._steps += event.steps
            rate = self._steps / max(time.monotonic() - self._began, 1e-9)
            self._progress.update(self._task, advance=event.steps, rate=rate)
