"""The command that prints a file for ``--config``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.config_file import CONFIG
from llmguide.cli.config_text import options_text
from llmguide.cli.configured import name_of, options_given, sources_of
from llmguide.errors import LlmguideError, did_you_mean


@app.command(configured=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def config(
    words: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND", help="A command of llmguide, followed by any of its arguments and options."),
    ],
) -> None:
    """Print a file for --config: the options of a command, each with its help text.

    Options given on the command line are set in the file; the others are comments with their defaults. Nothing is run.
    Example:

    llmguide config compare --train train.csv --test test.csv --seeds 5 > run.toml
    """
    context = _context(typer.main.get_command(app), words)
    given = options_given(context, context.params)
    typer.echo(options_text(context.command, name_of(context), given, sources_of(context)), nl=False)


def _context(root: Any, words: list[str]) -> Any:
    """Return the context of a command as these words call it; what it requires may be missing."""
    context, command, rest = root.context_class(root, info_name="llmguide"), root, list(words)
    while commands := getattr(command, "commands", None):
        known = ", ".join(sorted(commands))
        if not rest:
            raise LlmguideError(f"{context.info_name} has several commands; name one: {known}")
        word = rest.pop(0)
        if word not in commands:
            hint = did_you_mean(word, commands) or f"; there are {known}"
            raise LlmguideError(f"{context.info_name} has no command {word!r}{hint}")
        command = commands[word]
        if getattr(command, "commands", None):
            context = command.context_class(command, info_name=word, parent=context)
    if all(parameter.name != CONFIG for parameter in command.params):
        raise LlmguideError(
            f"`llmguide {' '.join(words[: len(words) - len(rest)])}` takes no file, and has no --config"
        )
    required = [parameter for parameter in command.params if parameter.required]
    try:
        for parameter in required:
            parameter.required = False
        return command.make_context(word, rest, parent=context)
    finally:
        for parameter in required:
            parameter.required = True
