"""Where the notebook's outputs are kept: in a folder of their own for each state of what they come from."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SHAPING = ("llmguide/**/*.py", "strategies/*.py", "indicators/*.py", "llmguide/**/*.md", "constraints.txt")


def cache_folder(root: Path) -> Path:
    """Return ROOT/build/notebooks/HASH; the cache itself only sees the notebook's cells, not the library."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _SHAPING for path in root.glob(pattern)}):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return root / "build" / "notebooks" / digest.hexdigest()[:16]
