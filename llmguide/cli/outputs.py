"""Where a command is to write, looked at before the work begins, and after it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from llmguide.errors import LlmguideError
from llmguide.files import temporary_folder, whole_files

__all__ = ["Outputs", "watched_outputs", "writable"]


class Outputs:
    """The places that a command is to write to, in order, and since when they are watched."""

    def __init__(self) -> None:
        self.places: list[Path] = []
        self._begun = time.time() - 0.1  # clocks of file systems lag behind

    def after_interruption(self) -> str:
        """Return what to say after Ctrl-C or SIGTERM, where the command itself says nothing."""
        written = [place for place in self.places if any(self._is_new(path) for path in whole_files(place))]
        if written:
            return f"interrupted; {_listed(written)} may be incomplete: run the same command again"
        if not self.places:
            return "interrupted before any output was written"
        return f"interrupted; nothing was written to {_listed(self.places)}"

    def _is_new(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime >= self._begun
        except OSError:  # a temporary file that is gone again
            return False


_watched: ContextVar[Outputs | None] = ContextVar("watched outputs", default=None)


@contextmanager
def watched_outputs() -> Iterator[Outputs]:
    """Let `writable` note its places, for what is said if the command is interrupted."""
    outputs = Outputs()
    token = _watched.set(outputs)
    try:
        yield outputs
    finally:
        _watched.reset(token)


def _listed(places: list[Path]) -> str:
    return ", ".join(map(str, places))


def writable(path: Path, *, folder: bool = False) -> Path:
    """Return the path if a file, or a folder with files in it, can be written there.

    Nothing is made or changed: a temporary folder in the nearest folder that exists is made and removed again, since
    permissions alone do not tell (a read-only file system, /proc, an administrator's account).

    Raises LlmguideError, with the reason, where it cannot.
    """
    try:
        target = path.resolve()
        if target.exists():
            if folder and not target.is_dir():
                raise LlmguideError(f"cannot write to {path}: it is a file, and a folder is needed; choose another")
            if not folder and not target.is_file():
                kind = "a folder" if target.is_dir() else "no ordinary file"
                raise LlmguideError(f"cannot write {path}: it is {kind}; name a file")
        near = target if folder else target.parent
        while not near.exists():
            near = near.parent
        if not near.is_dir():
            raise LlmguideError(f"cannot write {path}: {near} is a file, not a folder; choose another place")
        with temporary_folder(near, "llmguide"):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        reason = getattr(error, "strerror", None) or str(error)
        raise LlmguideError(f"cannot write {path}: {reason}; choose another place") from error
    if (outputs := _watched.get()) is not None:
        outputs.places.append(path)
    return path
