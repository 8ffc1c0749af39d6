"""What every command has: ``--config``, its options in its run folder, to be given back, and completed values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from llmguide.cli.completing import Complete, completion_of
from llmguide.cli.config_file import CONFIG, CONFIG_FILE, read_options
from llmguide.cli.config_text import options_text
from llmguide.cli.options import Out
from llmguide.cli.settings import SET, merge
from llmguide.cli.stopping import Interrupted

__all__ = ["Commands", "name_of", "options_given", "sources_of", "with_config"]

_CONTEXT = "context"
_Command = TypeVar("_Command", bound=Callable[..., Any])


class Commands(typer.Typer):
    """A Typer application whose commands take --config, and whose options are completed by the shell."""

    def command(
        self, name: str | None = None, *, configured: bool = True, **options: Any
    ) -> Callable[[_Command], _Command]:
        """Register a command, as Typer does; with --config unless it is not to be `configured`."""
        register = super().command(name, **options)

        def take(command: _Command) -> _Command:
            register(with_config(command) if configured else command)
            return command

        return take


def with_config(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --config, and leave its options in the run folder that it writes.

    What the file says stands where defaults stand: the command line goes before it. Settings of --set are joined, name
    by name. The folder gets them when the command ends well, or is interrupted in what can be resumed.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters = {
        name: parameter.replace(
            annotation=_completed(hints[name], completion_of(command.__name__, name)),
            kind=inspect.Parameter.KEYWORD_ONLY,
        )
        for name, parameter in inspect.signature(command).parameters.items()
    }
    takes_context = _CONTEXT in parameters
    run_folder = hints.get("out") == Out

    @wraps(command)
    def configured(**given: Any) -> None:
        context = given[_CONTEXT]
        given = options_given(context, {name: value for name, value in given.items() if name in parameters})
        try:
            command(**given)
        except Interrupted:
            if run_folder:
                _keep(context, given)
            raise
        if run_folder:
            _keep(context, given)

    added = {
        CONFIG: inspect.Parameter(CONFIG, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_ConfigFile),
        _CONTEXT: inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
    }
    options = parameters | (added if not takes_context else {CONFIG: added[CONFIG]})
    del configured.__wrapped__  # the options are read from the signature below
    configured.__signature__ = inspect.Signature([*options.values()])  # type: ignore[attr-defined]  # as inspect has it
    configured.__annotations__ = {option.name: option.annotation for option in options.values()}
    return configured


def _completed(hint: Any, complete: Complete | None) -> Any:
    """Return the annotation of an option whose values the shell completes."""
    if complete is None or get_origin(hint) is not Annotated:
        return hint
    value, *notes = get_args(hint)
    completed = [copy(note) for note in notes]
    for note in completed:
        if hasattr(note, "autocompletion"):
            note.autocompletion = complete
    return Annotated[(value, *completed)]


def name_of(context: typer.Context) -> list[str]:
    """Return the words by which a command is called, without the program's."""
    words: list[str] = []
    inner: Any = context
    while inner.parent is not None:
        words.insert(0, str(inner.info_name))
        inner = inner.parent
    return words


def sources_of(context: typer.Context) -> dict[str, str]:
    """Return where the values of a command's parameters come from: COMMANDLINE, DEFAULT_MAP (the file), DEFAULT."""
    sources = {
        str(parameter.name): context.get_parameter_source(str(parameter.name)) for parameter in context.command.params
    }
    return {name: source.name for name, source in sources.items() if source is not None}


def _read(context: typer.Context, path: Path | None) -> Path | None:
    """Put what the file says where defaults stand."""
    if path is not None and not context.resilient_parsing:
        root = context.find_root().command
        context.default_map = read_options(path, context.command, name_of(context), root)
    return path


_ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=_read,
        help="Read options from a file or a run folder; options given here take precedence. `llmguide config` "
        "prints such a file.",
    ),
]


def options_given(context: typer.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a command's parameters, with the settings of file and command line joined."""
    return {**values, SET: _joined(context, values[SET])} if SET in values else dict(values)


def _joined(context: typer.Context, words: list[str] | None) -> list[str] | None:
    sources = sources_of(context)
    file = (context.default_map or {}).get(SET, [])
    line = list(words or []) if sources.get(SET) == "COMMANDLINE" else []
    return merge(file, line, sources) or None


def _keep(context: typer.Context, given: dict[str, Any]) -> None:
    """Write the options that a run was given into its folder."""
    from llmguide.files import atomic_path

    folder = given["out"]
    if given.get("plan") or not folder.is_dir():
        return
    text = options_text(context.command, name_of(context), given, sources_of(context), kept_in=folder)
    with atomic_path(folder / CONFIG_FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
