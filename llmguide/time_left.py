"""How long work will take, measured on its first units, and how far it is: on standard error, one line each.

Nothing is run for it, so that no random stream is touched: what is known is the pace of the work so far. Work of less
than `WORTH_SAYING` seconds says nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from rich.console import Console

__all__ = ["Outlook", "in_words", "is_live", "open_console"]

MEASURED = 5.0
"""Seconds of work after which its pace is believed."""

WORTH_SAYING = 45.0
"""Work that takes fewer seconds in all is not spoken of."""

EVERY = 60.0
"""Seconds between two lines on how far it is, where there is no bar; a tenth of the whole where that is more."""


def open_console(*, stderr: bool = True, kind: type[Console] = Console) -> Console:
    """Return a console on a standard stream: without any codes where NO_COLOR is set or the terminal is dumb."""
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    system = None if plain else "auto"
    return kind(stderr=stderr, markup=False, emoji=False, highlight=False, color_system=system)  # type: ignore[arg-type]  # a literal


def is_live(console: Console) -> bool:
    """Whether a bar can move there: on a terminal that can go back."""
    return console.is_terminal and not console.is_dumb_terminal


def in_words(seconds: float) -> str:
    """Return a time as one says it: "about 12 minutes"."""
    minutes = seconds / 60
    if minutes < 0.75:
        return "less than a minute"
    if minutes < 1.5:
        return "about a minute"
    if minutes < 57.5:
        return f"about {round(minutes) if minutes < 20 else 5 * round(minutes / 5)} minutes"
    hours = minutes / 60
    if hours < 1.25:
        return "about an hour"
    if hours < 36:
        return f"about {round(2 * hours) / 2:g} hours" if hours < 10 else f"about {round(hours)} hours"
    return f"about {round(hours / 24)} days"


class Outlook:
    """Says once how long all of some work will take, and where no bar moves, from time to time what is left.

    Args:
        console: where to.
        work: what it is: "6 agents of 50 episodes".
        total: how much that is, in any unit.
        clock: seconds; another one in tests.
    """

    def __init__(
        self, console: Console, work: str, total: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._work, self._total, self._clock = console, work, total, clock
        self._begun = clock()
        self._done = 0.0  # of the total
        self._mark: tuple[float, float] | None = None  # when the first unit was done, and what was done then
        self._resumed = self._told = False
        self._next_line = 0.0

    def skip(self, amount: float) -> None:
        """Count what was done earlier, or cost no time: it says nothing of the pace."""
        self._done += amount
        self._resumed = True
        if self._mark is not None:
            self._mark = self._mark[0], self._mark[1] + amount

    def advance(self, amount: float, state: str = "") -> None:
        """Count what was done; `state` says how far that is: "3 of 6 agents"."""
        self._done += amount
        now = self._clock()
        if self._mark is None:  # before that, libraries were loaded and functions compiled
            self._mark = now, self._done
            return
        if now - self._mark[0] < MEASURED:
            return
        left = self.seconds_left
        if left is None:
            return
        if not self._told:
            self._told = True
            self._next_line = now + max(EVERY, 0.1 * left)
            whole = left + now - self._begun
            if whole >= WORTH_SAYING:
                what = f"what is left of {self._work}" if self._resumed else self._work
                self._say(f"{in_words(whole)} for {what} on this machine")
        elif now >= self._next_line and not is_live(self._console) and self._done < self._total:
            self._next_line = now + max(EVERY, 0.1 * (left + now - self._begun))
            self._say(", ".join(filter(None, (state, f"{in_words(left)} left"))))

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest takes at the pace so far; None as long as that is not known."""
        if self._mark is None:
            return None
        seconds, done = self._clock() - self._mark[0], self._done - self._mark[1]
        return None if done <= 0 or seconds <= 0 else (self._total - self._done) * seconds / done

    def left_in_words(self) -> str:
        """Return the time left for a bar: "about 5 minutes left"; empty as long as it is not known."""
        if self._mark is None or self._clock() - self._mark[0] < MEASURED:
            return ""
        left = self.seconds_left
        return "" if left is None else f"{in_words(left)} left"

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=not self._console.is_terminal)
