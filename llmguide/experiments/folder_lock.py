"""One process at a time in a run folder: two would store agents and settings over each other's."""

from __future__ import annotations

from pathlib import Path

from llmguide.file_lock import FileLock

__all__ = ["LOCK", "FolderLock"]

LOCK = ".lock"


class FolderLock(FileLock):
    """The `FileLock` of a folder, in its file `LOCK`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / LOCK,
            busy=f"another process works in {folder}",
            advice="wait until it has finished, or choose another folder",
        )
