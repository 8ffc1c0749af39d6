"""What the header of a GGUF file says of a model: enough to see that it is one, and how it is to be asked.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Weights are not looked at; llama.cpp does that.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from llmguide.errors import LanguageModelError

__all__ = ["ModelFile", "read_model_file"]

_MAGIC = b"GGUF"
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 2**27  # bytes of a text: a longer one is no text but a damaged length
_END = 2**20  # bytes at either end that tell files apart


class ModelFile(NamedTuple):
    """A model in a file."""

    path: Path
    name: str  # the file's, without suffix
    digest: str  # the first 12 digits of a SHA-256 of its size and of the first and last MiB
    has_chat_template: bool
    context: int | None  # tokens that it was trained with

    @property
    def endpoint(self) -> str:
        """What answers of this model are kept under, on whatever port it is served."""
        return f"local:{self.name}@{self.digest}"


def read_model_file(path: Path | str) -> ModelFile:
    """Return what a GGUF file says of itself; LanguageModelError where it is missing or none."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            fields = _read_header(file)
            size = file.seek(0, 2)
            file.seek(0)
            digest = hashlib.sha256(str(size).encode() + file.read(_END))
            file.seek(max(0, size - _END))
            digest.update(file.read(_END))
    except FileNotFoundError:
        raise LanguageModelError(f"there is no model file {path}; download one in GGUF format") from None
    except OSError as error:
        raise LanguageModelError(f"the model file {path} cannot be read: {error}") from None
    except (struct.error, ValueError, UnicodeDecodeError, MemoryError) as error:
        raise LanguageModelError(
            f"expected a model in GGUF format, got {path} ({error}); was it downloaded as a whole?"
        ) from None
    context = fields.get(f"{fields.get('general.architecture')}.context_length")
    return ModelFile(
        path=path,
        name=path.stem,
        digest=digest.hexdigest()[:12],
        has_chat_template=bool(fields.get("tokenizer.chat_template")),
        context=context if isinstance(context, int) and context > 0 else None,
    )


def _read_header(file: BinaryIO) -> dict[str, Any]:
    """Return the header's values but its arrays."""
    magic = file.read(4)
    if magic != _MAGIC:
        raise ValueError(f"it begins with {magic!r} instead of {_MAGIC!r}")
    (version,) = _unpack(file, "I")
    if version not in (2, 3):
        raise ValueError(f"version {version} of the format; 2 and 3 are read")
    _, count = _unpack(file, "QQ")
    fields = {}
    for _ in range(count):
        key = _read_text(file)
        fields[key] = _read_value(file, *_unpack(file, "I"))
    return fields


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _read_text(file)
    if kind == _ARRAY:
        inner, count = _unpack(file, "IQ")
        if inner in _FORMATS:
            file.seek(count * struct.calcsize(f"<{_FORMATS[inner]}"), 1)
        else:
            for _ in range(count):
                _read_value(file, inner)
        return None
    if kind not in _FORMATS:
        raise ValueError(f"a value of the unknown type {kind}")
    return _unpack(file, _FORMATS[kind])[0]


def _read_text(file: BinaryIO) -> str:
    (length,) = _unpack(file, "Q")
    if length > _LONGEST:
        raise ValueError(f"a text of {length} bytes")
    text = file.read(length)
    if len(text) < length:
        raise ValueError("it ends within its header")
    return text.decode(errors="replace")


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    size = struct.calcsize(f"<{form}")
    data = file.read(size)
    if len(data) < size:
        raise ValueError("it ends within its header")
    return struct.unpack(f"<{form}", data)
