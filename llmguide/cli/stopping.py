"""Ctrl-C and SIGTERM stop a command in the same way: as an exception, so that unfinished work is kept."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from llmguide.counting import counted
from llmguide.files import whole_files

__all__ = ["Interrupted", "Stopped", "Terminated", "exit_code", "resumable", "stopped_by_signals"]

AGAIN = 0.05
"""Seconds until a signal that came at a bad moment is sent again."""

PATIENCE = 5.0
"""Seconds for which a signal is put off at most."""


_COMPILERS = ("numba", "llvmlite")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops the same way as Ctrl-C."""


class Stopped(SystemExit):
    """The end of a command that Ctrl-C or SIGTERM stopped; its code is the exit code."""

    code: int


class Interrupted(Exception):
    """Ctrl-C or SIGTERM during something that can be resumed; carries what to tell the user, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was stopped: 130 by Ctrl-C, 143 by SIGTERM."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


@contextmanager
def stopped_by_signals(nothing_begun: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise an exception and end the command with its exit code; neither is lost.

    An exception out of a signal's handler does not arrive everywhere. While a module is imported, libraries catch it as
    one more missing module, or stay half imported; numba's compiler crashes; in a ``__del__`` or a C callback Python
    prints and ignores it: there the signal is sent again until its exception can arrive. A compiled function that is
    left by one ends with a SystemError whose cause it is.

    `nothing_begun` returns a line as long as there is nothing to keep or clean up: where a signal comes then while
    libraries are loaded, which can take seconds, the process says it and ends at once.
    """
    signals = _Signals(nothing_begun)
    ignored = signal.getsignal(signal.SIGINT) is not signal.default_int_handler  # as by nohup, or another handler's
    handled = [signal.SIGTERM] if ignored else [signal.SIGTERM, signal.SIGINT]
    before = {number: signal.signal(number, signals.stop) for number in handled}
    hook, sys.unraisablehook = sys.unraisablehook, signals.unraisable
    try:
        yield
    except (KeyboardInterrupt, SystemError) as error:
        code = exit_code(_stop_behind(error))
        # Typer makes a Ctrl-C of every KeyboardInterrupt.
        raise Stopped(exit_code(Terminated()) if signals.terminated else code) from None
    finally:
        signals.forget()
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a message that says what is kept and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, SystemError) as error:
        code = exit_code(_stop_behind(error))
        files = whole_files(folder)
        done, begun = (
            {path.with_suffix("") for path in files if path.suffix == f".{kind}"}
            for kind in ("safetensors", "training")
        )
        raise Interrupted(
            f"interrupted; {folder} keeps {counted(len(done), 'trained agent')} and "
            f"{len(begun - done)} in training; run the same command again to resume",
            code,
        ) from None


class _Signals:
    """The handler, and the signals that it has put off."""

    def __init__(self, nothing_begun: Callable[[], str | None]) -> None:
        self.terminated = False
        self._nothing_begun = nothing_begun
        self._hook = sys.unraisablehook
        self._timers: dict[int, threading.Timer] = {}
        self._put_off_since: float | None = None

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Raise the signal's exception, or put it off at a moment that is bad for one."""
        now = time.monotonic()
        if self._put_off_since is None:
            self._put_off_since = now
        if now - self._put_off_since < PATIENCE and _importing_or_compiling(frame):
            if (line := self._nothing_begun()) is not None:
                with suppress(OSError):
                    os.write(2, f"{line}\n".encode())
                os._exit(128 + number)
            self._send_again(number)
            return
        self._put_off_since = None
        self.forget()
        if number == signal.SIGTERM:
            self.terminated = True
            raise Terminated
        raise KeyboardInterrupt

    def forget(self) -> None:
        """Send nothing again."""
        while self._timers:
            self._timers.popitem()[1].cancel()

    def unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        """Send a signal again whose exception was ignored; print any other exception, as before."""
        if issubclass(lost.exc_type, KeyboardInterrupt):
            self._send_again(signal.SIGTERM if issubclass(lost.exc_type, Terminated) else signal.SIGINT)
        else:
            self._hook(lost)

    def _send_again(self, number: int) -> None:
        if number not in self._timers:
            timer = threading.Timer(AGAIN, self._send, (number,))
            timer.daemon = True
            self._timers[number] = timer
            timer.start()

    def _send(self, number: int) -> None:
        self._timers.pop(number, None)
        main = threading.main_thread().ident
        if main is not None and hasattr(signal, "pthread_kill"):
            signal.pthread_kill(main, number)  # wakes it where it waits
        else:  # Windows
            _thread.interrupt_main(signal.Signals(number))


def _importing_or_compiling(frame: FrameType | None) -> bool:
    while frame is not None:
        package = (frame.f_globals.get("__name__") or "").partition(".")[0]
        if package in _COMPILERS or frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _stop_behind(error: KeyboardInterrupt | SystemError) -> KeyboardInterrupt:
    """Return the Ctrl-C or SIGTERM that an exception is or comes from; raise it where it is an error of its own."""
    stop = error.__cause__ if isinstance(error, SystemError) else error
    if not isinstance(stop, KeyboardInterrupt):
        raise error
    return stop
