"""Help that fits the terminal: first sentences of commands whole, and options above their text where it is narrow."""

from __future__ import annotations

import shutil
from typing import Any

from typer.core import TyperGroup

__all__ = ["FittingGroup", "help_width"]

NARROW = 60
"""Below so many columns, names of options stand above their text rather than beside it."""


def help_width() -> int:
    """Return how wide help may be: the terminal, 80 columns at most."""
    return max(min(shutil.get_terminal_size().columns, 80) - 2, 20)


_Context: Any = TyperGroup.context_class


class _Formatter(_Context.formatter_class):  # type: ignore[misc]  # Typer's own, by way of its context
    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, col_max if self.width >= NARROW else 4, col_spacing)


class _FittingContext(_Context):  # type: ignore[misc]  # as above
    formatter_class = _Formatter


class FittingGroup(TyperGroup):
    """The commands of an application, and of the groups within it."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        _fit(self)


def _fit(command: Any) -> None:
    command.context_class = _FittingContext
    if command.help and not command.short_help:  # what is given is shown whole; what Typer makes of the help is cut
        first = " ".join(command.help.strip().partition("\n\n")[0].split())
        command.short_help = first.partition(". ")[0].rstrip(".") + "."
    for inner in getattr(command, "commands", {}).values():
        _fit(inner)
