"""``python -m llmguide`` is the command line, as the installed ``llmguide`` is."""

from __future__ import annotations

import signal
import sys

__all__ = ["run"]


def run() -> None:
    """Run the command line as the process that it has for itself.

    Ctrl-C before the command line looks after it, or after, ends the process without a traceback.
    """
    try:
        from llmguide.cli import main
    except KeyboardInterrupt:
        print("interrupted before anything was begun", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    try:
        main()
    except KeyboardInterrupt:  # a second one, while the first is told
        sys.exit(128 + signal.SIGINT)
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # only Python's own ending is left to do


if __name__ == "__main__":
    run()
