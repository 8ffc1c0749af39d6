"""The Typer application."""

from __future__ import annotations

from typing import Annotated

import typer

from llmguide._version import __version__
from llmguide.cli.configured import Commands
from llmguide.cli.help import FittingGroup

__all__ = ["app"]

app = Commands(
    cls=FittingGroup,
    help="Language-model guided deep Q-learning for Backtrader.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
