"""The progress bar of a training: episodes or rollouts, speed and time left."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from llmguide.progress import make_progress
from llmguide.rl.runs import EpisodeEnd, Event, Resumed, Tick

__all__ = ["TrainingBar"]


class TrainingBar:
    """Shows a training's events on a terminal or in a notebook, and nothing elsewhere (see `llmguide.progress`).

    One bar can show several trainings one after the other: `begin` each of them. `part` is what a training is told in,
    `unit` what its speed is told in.
    """

    def __init__(self, console: Console | None = None, *, part: str = "episode", unit: str = "updates") -> None:
        self._progress = make_progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn(part + " {task.fields[episodes]}/{task.fields[planned]}"),
            TextColumn("{task.fields[rate]:.0f} " + unit + "/s"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            console=console,
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
        self._task = self._progress.add_task(title, total=steps, episodes=0, planned=episodes, rate=0.0, left="-:--:--")
        self._left, self._steps, self._episodes = steps, 0, 0
        self._began = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event (see `llmguide.rl.runs`)."""
        match event:
            case EpisodeEnd():
                self.end_part()
            case Resumed(job=job, episodes=episodes, steps=steps):
                self.resume(min(episodes, job.episodes - 1), steps)  # the end of the last one is always told
            case Tick(steps=steps):
                self.advance(steps)

    def end_part(self) -> None:
        """Count an episode, or whatever the parts are."""
        self._episodes += 1
        self._progress.update(self._task, episodes=self._episodes)

    def resume(self, parts: int, steps: int) -> None:
        """Count what was done earlier: it does not count as speed."""
        self._episodes += parts
        self._left -= steps
        self._progress.update(self._task, advance=steps, episodes=self._episodes)

    def advance(self, steps: int) -> None:
        """Count steps, and tell speed and time left."""
        self._steps += steps
        self._left -= steps
        rate = max(self._steps, 1) / max(time.monotonic() - self._began, 1e-9)
        left = str(timedelta(seconds=round(self._left / rate)))
        self._progress.update(self._task, advance=steps, rate=rate, left=left)
