"""Files that appear complete or not at all.

A run that is interrupted while it writes must leave the previous file, never half of the new one: everything is written
beside its destination and moved there in one step.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["atomic_path", "write_csv", "write_json", "write_parquet", "write_text"]


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends without an error.

    The parent folder is made. The temporary file lies in a temporary folder beside `path` (a move between file systems
    is not atomic) under the same name, since many writers choose their format by it. If the block raises, Ctrl-C
    included, it is removed and an existing `path` stays as it was. A link is written through: the file it points to is
    replaced, not the link. Raises FileNotFoundError when the block wrote nothing.

    >>> with atomic_path("runs/values.parquet") as temporary:  # doctest: +SKIP
    ...     frame.to_parquet(temporary)
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", dir=target.parent))
    temporary = folder / target.name
    try:
        yield temporary
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path | str, text: str) -> Path:
    """Write `text` as UTF-8 with line feeds, atomically; return the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_json(path: Path | str, obj: Any) -> Path:
    """Write `obj` as indented UTF-8 JSON with a final line feed, atomically; return the path.

    Raises ValueError for NaN and infinite numbers, which JSON does not have, and TypeError for objects that it cannot
    hold; nothing is written then.
    """
    return write_text(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(frame: pd.DataFrame, path: Path | str) -> Path:
    """Write a frame's columns as UTF-8 CSV with line feeds, atomically; return the path. The index is not written."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    return Path(path)


def write_parquet(frame: pd.DataFrame, path: Path | str) -> Path:
    """Write a frame's columns as Parquet, atomically; return the path. The index is not written."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
    return Path(path)
