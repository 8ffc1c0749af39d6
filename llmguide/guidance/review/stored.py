"""The files of a review: JSON that is checked when it is read, and complete or not there at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from llmguide.errors import GuidanceError
from llmguide.files import write_json

__all__ = ["Stored", "read_json", "read_stored", "validated", "write_stored"]

S = TypeVar("S", bound=BaseModel)

_MOST = 200_000_000  # bytes: of more, it is another file


class Stored(BaseModel):
    """A part of a file: unknown fields are refused, values are what they say, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def write_stored(path: Path | str, value: BaseModel) -> Path:
    """Write a value as JSON, atomically; return the path."""
    return write_json(path, value.model_dump(mode="json"))


def read_stored(path: Path, kind: type[S], *, made_by: str) -> S:
    """Return what `write_stored` wrote; GuidanceError, naming the place in the file, for anything else."""
    return validated(read_json(path, made_by=made_by), kind, where=str(path), made_by=made_by)


def read_json(path: Path, *, made_by: str) -> Any:
    """Return the JSON of a file; GuidanceError for one that is not there, too large or no JSON."""
    if not path.is_file():
        raise GuidanceError(f"there is no file {path}; {made_by} writes it")
    if path.stat().st_size > _MOST:
        raise GuidanceError(f"{path} has {path.stat().st_size:,} bytes: it is not a file written by {made_by}")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise GuidanceError(f"{path} is not readable as JSON: {error}; {made_by} writes it") from None


def validated(value: Any, kind: type[S], *, where: str, made_by: str) -> S:
    """Return JSON as a value of `kind`; GuidanceError, naming the field, where it is none."""
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise GuidanceError(f"{where}: {field}: {first['msg']}; {made_by} writes such a file") from None
