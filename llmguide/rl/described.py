"""Named arrays on disk: one safetensors file whose header carries the rest as JSON. Nothing is ever unpickled."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from llmguide._version import __version__
from llmguide.errors import ModelError
from llmguide.files import atomic_path

__all__ = ["Kind"]

_LONGEST_HEADER = 100_000_000  # bytes


@dataclass(frozen=True)
class Kind:
    """What a file holds, and what to do about one that does not.

    Attributes:
        format: its name in the header.
        version: the one that is written and read.
        what: how messages call it.
        remedy: what makes such a file.
    """

    format: str
    version: int
    what: str
    remedy: str

    def write(self, path: Path | str, arrays: Mapping[str, NDArray[Any]], description: Mapping[str, Any]) -> Path:
        """Write arrays with a description, whole or not at all. Raises ModelError for a name without .safetensors."""
        target = Path(path)
        if target.suffix != ".safetensors":
            raise ModelError(f"expected a checkpoint name ending in .safetensors, got {target.name!r}")
        whole = {"format": self.format, "format_version": self.version, "llmguide": __version__, **description}
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        with atomic_path(target) as temporary:
            temporary.write_bytes(save(contiguous, metadata={"llmguide": json.dumps(whole, sort_keys=True)}))
        return target

    def describe(self, path: Path | str) -> dict[str, Any]:
        """Return the description in a file's header.

        Raises ModelError where there is no such file, it is none of llmguide's, or its version is not known.
        """
        source = Path(path)
        if not source.is_file():
            raise ModelError(f"there is no {self.what} {source}; {self.remedy}")
        try:
            description = _described(source)
            found = description["format"]
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{source} is not a {self.what} of llmguide; {self.remedy}") from error
        if found != self.format:
            raise ModelError(f"{source} is not a {self.what} of llmguide, but of format {found!r}; {self.remedy}")
        if description.get("format_version") != self.version:
            raise ModelError(
                f"{source} has checkpoint version {description.get('format_version')!r}, but llmguide {__version__} "
                f"reads version {self.version}; install the llmguide that wrote it "
                f"({description.get('llmguide', 'unknown')}) or train again"
            )
        return dict(description)

    def holds(self, path: Path | str) -> bool:
        """Whether a file says that it is of this kind, of whatever version; False for anything else, and for none."""
        try:
            return bool(_described(Path(path))["format"] == self.format)
        except (OSError, struct.error, ValueError, KeyError, TypeError):
            return False


def _described(source: Path) -> dict[str, Any]:
    """Return what stands in a file's header; struct.error, ValueError, KeyError or TypeError where nothing does."""
    with source.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LONGEST_HEADER:
            raise ValueError("the header is too long")
        description = json.loads(json.loads(file.read(length))["__metadata__"]["llmguide"])
    if not isinstance(description, dict):
        raise TypeError(f"expected a description, got {description!r}")
    return description
