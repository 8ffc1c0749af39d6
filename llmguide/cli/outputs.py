"""Where a command is to write, looked at before the work begins."""

from __future__ import annotations

import tempfile
from pathlib import Path

from llmguide.errors import LlmguideError

__all__ = ["writable"]


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
        with tempfile.TemporaryDirectory(prefix=".llmguide.", dir=near):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        reason = getattr(error, "strerror", None) or str(error)
        raise LlmguideError(f"cannot write {path}: {reason}; choose another place") from error
    return path
