"""The header of a GGUF file: what a local server has to know of a model before it is loaded.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from llmguide.errors import LanguageModelError

__all__ = ["ModelFile", "read_model_file"]

_SCALARS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_ENTRIES = 100_000  # of metadata, or tensors; real files have some hundreds
_MOST_TEXT = 64 * 2**20  # bytes
# Elements and bytes of a block, by tensor type; of other types only the place where the data begins is checked.
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    30: (1, 2),
}


class ModelFile(NamedTuple):
    """What the header says; 0 where it does not say a number."""

    architecture: str
    size: int  # bytes of the file
    context: int  # tokens that the model was trained with at once
    has_template: bool  # how a chat is written as one text
    cache_bytes: int  # of keys and values, per token of context, at 16 bits; an upper bound for sliding windows


def read_model_file(path: Path | str) -> ModelFile:
    """Return what the header of a GGUF file says.

    Raises LanguageModelError, naming the file, where it is missing, is no GGUF, is cut short, is one part of a split
    model, or holds no language model.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _read(path, file, size)
    except FileNotFoundError:
        raise LanguageModelError(f"there is no model file {path}; give the path of a GGUF file") from None
    except OSError as error:
        raise LanguageModelError(f"{path} cannot be read as a model file: {error.strerror}") from None
    except _CutShort:
        raise _cut_short(path, size) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise LanguageModelError(f"{path} has a damaged GGUF header ({error}); download it again") from None


class _CutShort(Exception):
    """The file ends before the header does."""


def _cut_short(path: Path, size: int) -> LanguageModelError:
    return LanguageModelError(f"{path} is cut short at {size:,} bytes; download it again")


def _read(path: Path, file: BinaryIO, size: int) -> ModelFile:
    magic = file.read(4)
    if magic != b"GGUF":
        raise LanguageModelError(f"expected a GGUF file, got {path}, which begins with {magic!r}")
    version = _number(file, "I")
    if version not in (2, 3):
        raise LanguageModelError(f"expected a GGUF file of version 2 or 3, got {path} of version {version}")
    tensors, entries = _number(file, "Q"), _number(file, "Q")
    if max(tensors, entries) > _MOST_ENTRIES:
        raise ValueError(f"{tensors:,} tensors and {entries:,} entries")
    # Until tensors are listed what is read is bounded by the file: no array is kept but short ones.
    known = {_text(file): _value(file, _number(file, "I"), size) for _ in range(entries)}
    if (parts := known.get("split.count", 0)) > 1:
        raise LanguageModelError(
            f"{path} is part {known.get('split.no', 0) + 1} of a model split in {parts}; join the parts into one file "
            "with llama.cpp's llama-gguf-split --merge"
        )
    end = _data_end(file, tensors, known.get("general.alignment", 32))
    if end > size:
        raise _cut_short(path, size)
    kind = known.get("general.architecture", "")
    if not tensors or f"{kind}.block_count" not in known:
        raise LanguageModelError(
            f"{path} does not hold a language model (architecture {kind!r}); give the file of a text model"
        )
    return ModelFile(
        architecture=kind,
        size=size,
        context=int(known.get(f"{kind}.context_length", 0)),
        has_template=bool(known.get("tokenizer.chat_template")),
        cache_bytes=_cache_bytes(kind, known),
    )


def _cache_bytes(kind: str, known: dict[str, Any]) -> int:
    """Return the bytes of keys and values per token; 0 where the header does not tell the sizes."""
    heads = known.get(f"{kind}.attention.head_count", 0)
    keys = known.get(f"{kind}.attention.head_count_kv", heads)
    layers, width = known.get(f"{kind}.block_count", 0), known.get(f"{kind}.embedding_length", 0)
    if not all(isinstance(number, int) and number for number in (heads, keys, layers, width)):
        return 0  # a number for each layer
    key = known.get(f"{kind}.attention.key_length", width // heads)
    value = known.get(f"{kind}.attention.value_length", width // heads)
    return int(2 * layers * keys * (key + value))


def _data_end(file: BinaryIO, tensors: int, alignment: int) -> int:
    """Return the size that the file must have at least, by its list of tensors."""
    end = 0
    for _ in range(tensors):
        _text(file)
        dimensions = _number(file, "I")
        if dimensions > 8:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        elements = math.prod(_number(file, "Q") for _ in range(dimensions))
        per_block, block = _BLOCKS.get(_number(file, "I"), (1, 0))
        end = max(end, _number(file, "Q") + elements // per_block * block)
    return -(-file.tell() // alignment) * alignment + end


def _value(file: BinaryIO, kind: int, size: int) -> Any:
    """Return one value; arrays are skipped, and None."""
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _number(file, _scalar(kind))
    inner, count = _number(file, "I"), _number(file, "Q")
    if count > size:
        raise _CutShort
    if inner in (_STRING, _ARRAY):
        for _ in range(count):
            if inner == _ARRAY:
                raise ValueError("an array of arrays")
            file.seek(_number(file, "Q"), 1)
    else:
        file.seek(count * struct.calcsize(f"<{_scalar(inner)}"), 1)
    if file.tell() > size:
        raise _CutShort
    return None


def _scalar(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"a value of type {kind}")
    return _SCALARS[kind]


def _number(file: BinaryIO, code: str) -> Any:
    raw = file.read(struct.calcsize(f"<{code}"))
    try:
        return struct.unpack(f"<{code}", raw)[0]
    except struct.error:
        raise _CutShort from None


def _text(file: BinaryIO) -> str:
    length = _number(file, "Q")
    if length > _MOST_TEXT:
        raise ValueError(f"a text of {length:,} bytes")
    raw = file.read(length)
    if len(raw) < length:
        raise _CutShort
    return raw.decode("utf-8", "replace")
