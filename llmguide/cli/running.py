"""A command from its words to its exit code, with one line on what went wrong."""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import suppress
from typing import Any

from llmguide.cli.commands import app
from llmguide.cli.help import help_width
from llmguide.cli.stopping import Interrupted
from llmguide.errors import AuditError, LlmguideError, did_you_mean

__all__ = ["CLOSED_PIPE", "run"]

CLOSED_PIPE = 128 + 13
"""Exit code where nobody reads on, as behind ``| head``: that of a program which SIGPIPE (13) ends."""

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def run() -> int:
    """Run the command that the words of the command line call, and return its exit code."""
    streams = sys.stdout, sys.stderr
    try:
        code = _run()
        if sys.stdout is not None:  # as it is where nothing is connected to it
            sys.stdout.flush()
        return code
    except (OSError, SystemExit) as end:
        sys.stdout, sys.stderr = streams  # Typer puts others in their place where a pipe is closed
        if isinstance(end, BrokenPipeError) or isinstance(end.__context__, BrokenPipeError):
            _leave_quietly()
            return CLOSED_PIPE
        if isinstance(end, OSError) and end.errno in _FULL:
            _leave_quietly()
            _say(f"error: an output could not be written: {end.strerror}", "red")
            return 1
        raise


def _run() -> int:
    from llmguide.console import notes

    try:
        with notes(_worded):
            code = app(standalone_mode=False, terminal_width=help_width())
        return code if isinstance(code, int) else 0
    except LlmguideError as error:
        _say(f"error: {_worded(str(error))}", "red")
        return 2 if isinstance(error, AuditError) else 1
    except Interrupted as stopped:
        _say(str(stopped), "yellow")
        return stopped.code
    except OSError as error:
        name = error.filename if error.filename2 is None else error.filename2  # of two, the one to become
        if name is None or error.strerror is None:
            raise
        _say(f"error: {name}: {error.strerror}", "red")
        return 1
    except Exception as error:
        if not hasattr(error, "format_message"):  # what all of Typer's errors have, and Click's before them
            raise
        return _usage(error)


def _usage(error: Any) -> int:
    """Say what is wrong with how a command was called, what may have been meant, and where its help is."""
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", None)
    text = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        _say(text)
        return int(error.exit_code)
    if option is not None and hasattr(error, "possibilities") and context is not None:
        options = [name for one in context.command.get_params(context) for name in (*one.opts, *one.secondary_opts)]
        text = f"no such option {option}" + re.sub("'(--.*?)'", r"\1", did_you_mean(option, options))
    text = re.sub(r": Input should be (.*?)(, unable to parse .*)?$", r": expected \1", text)  # pydantic's words
    text = " ".join(text.split()).rstrip(".").replace(". Did you mean", "; did you mean")
    where = "" if context is None else f" (see {context.command_path} --help)"
    _say(f"error: {text[:1].lower()}{text[1:]}{where}", "red")
    return int(error.exit_code)


def _say(line: str, style: str | None = None) -> None:
    from llmguide.console import err

    err.print(line, style=style, soft_wrap=True)


def _leave_quietly() -> None:
    """Let nothing more be said of an output that takes nothing: Python flushes it once more at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with suppress(OSError, ValueError, AttributeError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def _worded(message: str) -> str:
    import typer.main

    from llmguide.cli.wording import command_options, in_options

    return in_options(message, command_options(typer.main.get_command(app), sys.argv[1:]))
