"""The command line: ``llmguide COMMAND --help``.

| module | what it holds |
|---|---|
| app | the Typer application; its commands are registered by importing the modules below |
| options | options that several commands share |
| groups | those that go together, as one value |
| reading | what they name, read: bars, tables of guidance, lists |
| parameters | values and conditions of a sweep |
| experts | experts of a mixture |
| wording | errors of the library, in the words of the command line |
| outputs | where they are to write, looked at before the work |
| stopping | Ctrl-C and SIGTERM |
| configured | what every command has: --config, its options in its run folder, completed values |
| config_file, config_text | a file for --config, read and written |
| settings | --set: settings of training by name |
| completing | values that the shell offers |
| config | the command that prints a file for --config |
| data, guidance, review, tune, memory, bias | commands of bars and guidance |
| agents, walk_forward, flag, backtest, live, audit | of trading |
| levers, mixture, sweep, pages | of studies, and of what came of them |

Libraries are loaded by the command that needs them, so that ``--help`` is instant.
"""

from __future__ import annotations

import sys

from llmguide.cli import (  # noqa: F401  # registers the commands
    agents,
    audit,
    backtest,
    bias,
    config,
    data,
    flag,
    guidance,
    levers,
    live,
    memory,
    mixture,
    pages,
    review,
    sweep,
    tune,
    walk_forward,
)
from llmguide.cli.app import app
from llmguide.errors import AuditError, LlmguideError

__all__ = ["main"]


def main() -> None:
    """Run the command line.

    Exit 0; 1 after an error of llmguide or of a file (one line), and where `audit` found something; 2 after wrong
    usage, and where code could not be audited; 130 after Ctrl-C and 143 after SIGTERM.
    """
    from llmguide.cli.stopping import Interrupted, stopped_by_signals
    from llmguide.console import err, notes

    try:
        with stopped_by_signals(), notes():
            app()
    except LlmguideError as error:
        err.print(f"error: {_worded(error)}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, AuditError) else 1)
    except OSError as error:
        name = error.filename if error.filename2 is None else error.filename2  # of two, the one to become
        if name is None or error.strerror is None:
            raise
        err.print(f"error: {name}: {error.strerror}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except Interrupted as stopped:
        err.print(str(stopped), style="yellow", markup=False, highlight=False, soft_wrap=True)
        sys.exit(stopped.code)


def _worded(error: LlmguideError) -> str:
    import typer.main

    from llmguide.cli.wording import command_options, in_options

    return in_options(str(error), command_options(typer.main.get_command(app), sys.argv[1:]))
