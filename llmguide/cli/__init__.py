"""The command line: ``llmguide COMMAND --help``.

| module | what it holds |
|---|---|
| running | a command from its words to its exit code |
| stopping | Ctrl-C and SIGTERM |
| commands | the application with all its commands, which importing the modules below registers |
| app, help | the Typer application, and how its help is laid out |
| options | options that several commands share |
| groups | those that go together, as one value |
| reading | what they name, read: bars, tables of guidance, lists |
| parameters | values and conditions of a sweep |
| experts | experts of a mixture |
| wording | errors of the library, in the words of the command line |
| outputs | where they are to write, looked at before the work, and after an interruption |
| configured | what every command has: --config, its options in its run folder, completed values |
| config_file, config_text | a file for --config, read and written |
| settings | --set: settings of training by name |
| completing | values that the shell offers |
| config | the command that prints a file for --config |
| data, guidance, review, tune, memory, bias | commands of bars and guidance |
| agents, walk_forward, flag, backtest, live, audit | of trading |
| levers, mixture, sweep, pages | of studies, and of what came of them |

Libraries are loaded by the command that needs them, so that ``--help`` is instant; and nothing at all before Ctrl-C is
looked after.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmguide.cli.outputs import Outputs

__all__ = ["main"]


def main() -> None:
    """Run the command line.

    Exit 0; 1 after an error of llmguide or of a file (one line), and where `audit` found something; 2 after wrong
    usage, and where code could not be audited; 130 after Ctrl-C and 143 after SIGTERM; 141 where nobody reads on, as
    behind ``| head``.
    """
    from llmguide.cli.stopping import Stopped, stopped_by_signals

    outputs: Outputs | None = None

    def nothing_begun() -> str | None:
        if outputs is None:
            return "interrupted before any work started; nothing was written"
        return None if outputs.places else outputs.after_interruption()

    try:
        with stopped_by_signals(nothing_begun):
            from llmguide.cli.outputs import watched_outputs
            from llmguide.cli.running import run

            with watched_outputs() as outputs:
                code = run()
            if code == 130:  # Typer's, for every KeyboardInterrupt
                raise KeyboardInterrupt
    except Stopped as stopped:
        print(nothing_begun() if outputs is None else outputs.after_interruption(), file=sys.stderr)
        code = stopped.code
    if code:
        sys.exit(code)
