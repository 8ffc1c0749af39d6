"""One process at a time at something that two would write over each other's."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from llmguide.errors import LlmguideError

__all__ = ["FileLock"]


class FileLock:
    """Held from its making until it is garbage, or its process ends, however it ends.

    The operating system keeps the lock (flock) on the file `path`, so a killed process leaves none behind; the file,
    which stays, says who holds it. The same process may lock it again. Where there are no such locks (Windows, some
    network drives) nothing is locked.

    Args:
        path: a file for the lock alone; its folder is made.
        busy: what another process is doing, "another process works in runs/x".
        advice: what to do about it.

    Raises LlmguideError, naming the other process, where one holds it.
    """

    def __init__(self, path: Path, *, busy: str, advice: str) -> None:
        self._file: TextIOWrapper | None = None
        try:
            import fcntl
        except ImportError:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid, words = _holder(file.read())
            file.close()
            if pid != os.getpid():
                raise LlmguideError(f"{busy}: {words}; {advice}") from None
        except OSError:  # a drive without locks
            file.close()
        else:
            file.seek(0)
            file.truncate()
            since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since}, file)
            file.flush()
            self._file = file

    def __del__(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


def _holder(text: str) -> tuple[int | None, str]:
    """Return the number of the process that holds a lock, and who that is in words."""
    try:
        who = json.loads(text)
        return int(who["pid"]), f"number {who['pid']} on {who['host']}, since {who['since']}"
    except (ValueError, KeyError, TypeError):  # it has not said so yet
        return None, "which one is not known"
