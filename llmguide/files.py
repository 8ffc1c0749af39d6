"""Files that appear complete or not at all, and rows in a file of either kind.

A run that is interrupted while it writes must leave the previous file, never half of the new one: everything is written
beside its destination and moved there in one step.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmguide.errors import LlmguideError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "atomic_path",
    "no_file",
    "read_rows",
    "temporary_folder",
    "whole_files",
    "write_csv",
    "write_json",
    "write_parquet",
    "write_rows",
    "write_text",
]

_ROWS = (".parquet", ".csv")


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
    with temporary_folder(target.parent, target.name[:40]) as folder:
        temporary = folder / target.name
        yield temporary
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)


@contextmanager
def temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a new hidden folder for files in `parent`, removed however the block is left; `name` tells whose it is.

    Ctrl-C can arrive at any call in here, the removal included. So the folder has its name before it is made, and what
    an interrupted removal has left is removed again.
    """
    folder = parent / f".{name}.{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        try:
            _remove(folder)
        except KeyboardInterrupt:
            _remove(folder)
            raise


def _remove(folder: Path) -> None:
    """Remove a folder of files, if it can be. (Interrupted, `shutil.rmtree` may close a file that it has closed.)"""
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()


def whole_files(place: Path) -> list[Path]:
    """Return the files in a folder and below it, without those that are being written; of a file, the file itself."""
    if not place.is_dir():
        return [place]
    files: list[Path] = []
    for parent, folders, names in os.walk(place):  # of a folder that is gone when its turn comes, it gives nothing
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names]
    return files


def no_file(path: Path) -> str:
    """Return why there is nothing to read at a path, for an error."""
    return f"{path} is a folder; name a file in it" if path.is_dir() else f"there is no file {path}"


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


def _rows_suffix(path: Path, error: type[LlmguideError]) -> str:
    """Return .parquet or .csv; raises `error` for a name that ends in neither."""
    suffix = path.suffix.lower()
    if suffix not in _ROWS:
        raise error(f"expected a file ending in {' or '.join(_ROWS)}, got {path.name!r}; rename it")
    return suffix


def read_rows(path: Path, error: type[LlmguideError], *, missing: str) -> pd.DataFrame:
    """Read the rows that `write_rows` wrote, or a person: Parquet as it is, the fields of a CSV file as texts.

    Raises `error` for a file that cannot be read; `missing` is what it says of one that is not there.
    """
    import pandas as pd

    suffix = _rows_suffix(path, error)
    if not path.is_file():
        raise error(missing)
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as fault:  # the errors of pandas, pyarrow and the codec are all ValueErrors
        raise error(f"{path} is not a readable {suffix[1:]} file: {fault}") from fault
    if not isinstance(frame.index, pd.RangeIndex):  # pandas made an index of the surplus
        raise error(f"{path}: the rows have more fields than the header; quote texts with commas")
    return frame


def write_rows(frame: pd.DataFrame, path: Path, error: type[LlmguideError]) -> Path:
    """Write a frame's columns as .parquet or .csv, atomically; return the path. Raises `error` for another ending."""
    if _rows_suffix(path, error) == ".parquet":
        return write_parquet(frame, path)
    with atomic_path(path) as temporary:
        # Texts are quoted: the csv module leaves a lone carriage return bare, which would read as a line's end.
        frame.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC, encoding="utf-8", lineterminator="\n")
    return path
