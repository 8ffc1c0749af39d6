"""GGUF files made by hand, small or wrong."""

from __future__ import annotations

import struct
from pathlib import Path


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str, value: object) -> bytes:
    """One entry of metadata: a text, a whole number, or a list of texts."""
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    assert isinstance(value, list)
    return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))


METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["a", "bc", ""],
    "tokenizer.chat_template": "{{ messages }}",
}


def write_gguf(path: Path, *, version: int = 3, without: tuple[str, ...] = (), cut: int = 0, **more: object) -> Path:
    """Write a file with one tensor of 64 numbers of 16 bits; `cut` bytes are missing at its end."""
    known = {key: value for key, value in METADATA.items() if key not in without} | {
        key.replace("__", "."): value for key, value in more.items()
    }
    body = b"GGUF" + struct.pack("<IQQ", version, 1, len(known))
    body += b"".join(entry(key, value) for key, value in known.items())
    body += text("w") + struct.pack("<IQIQ", 1, 64, 1, 0)
    body += bytes(-len(body) % 32) + bytes(128)
    path.write_bytes(body[: len(body) - cut])
    return path
