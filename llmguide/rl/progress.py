"""The progress bar of a training: agents done, speed and time left; lines from time to time where no bar can move."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn

from llmguide.counting import counted
from llmguide.progress import make_progress
from llmguide.rl.runs import EpisodeEnd, Event, Resumed, Tick
from llmguide.time_left import Outlook, open_console

__all__ = ["TrainingBar"]

WIDE = 110
"""Columns from which on speed and episodes have room."""


class TrainingBar:
    """Shows a training's events: a bar on a terminal or in a notebook, else a line from time to time on standard error.

    One bar can show several trainings one after the other: `begin` each of them. `part` is what a training is told in,
    `unit` what its speed is told in.
    """

    def __init__(self, console: Console | None = None, *, part: str = "episode", unit: str = "updates") -> None:
        self._console = console or open_console()
        self._part = part
        wide = self._console.width >= WIDE
        self._progress = make_progress(
            *([TextColumn("{task.description}", markup=False)] if wide else []),
            *([BarColumn(bar_width=24 if wide else 10)] if self._console.width >= 60 else []),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            *(
                [
                    TextColumn(part + " {task.fields[episodes]}/{task.fields[planned]}"),
                    TextColumn("{task.fields[rate]:.0f} " + unit + "/s"),
                ]
                if wide
                else []
            ),
            TextColumn("{task.fields[left]}"),
            console=self._console,
        )

    def __enter__(self) -> TrainingBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, title: str, *, steps: int, episodes: int, agents: int) -> None:
        """Start a line for a training of so many agents, with so many steps and episodes, all of them together."""
        self._task = self._progress.add_task(
            title, total=steps, episodes=0, planned=episodes, rate=0.0, left="", state=""
        )
        self._steps, self._episodes = 0, 0
        self._agents, self._finished = agents, 0
        work = f"{counted(agents, 'agent')} of {counted(episodes // agents, self._part)}"
        self._outlook = Outlook(self._console, work, steps)
        self._began = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event (see `llmguide.rl.runs`)."""
        match event:
            case EpisodeEnd(weights=weights):
                self.end_part()
                if weights is not None:
                    self.end_agent()
            case Resumed(job=job, episodes=episodes, steps=steps):
                self.resume(min(episodes, job.episodes - 1), steps)  # the end of the last one is always told
            case Tick(steps=steps):
                self.advance(steps)

    def end_part(self) -> None:
        """Count an episode, or whatever the parts are."""
        self._episodes += 1
        self._progress.update(self._task, episodes=self._episodes)

    def end_agent(self) -> None:
        """Count an agent that is trained."""
        self._finished += 1
        self._progress.update(self._task, state=self._state)

    def resume(self, parts: int, steps: int) -> None:
        """Count what was done earlier: it does not count as speed."""
        self._episodes += parts
        self._outlook.skip(steps)
        self._progress.update(self._task, advance=steps, episodes=self._episodes)

    def advance(self, steps: int) -> None:
        """Count steps, and tell speed and time left."""
        self._steps += steps
        self._outlook.advance(steps, self._state)
        rate = self._steps / max(time.monotonic() - self._began, 1e-9)
        left = self._outlook.left_in_words()
        self._progress.update(self._task, advance=steps, rate=rate, left=left, state=self._state)

    @property
    def _state(self) -> str:
        return f"{self._finished} of {counted(self._agents, 'agent')}"
