"""The story as an executed notebook: where its outputs are kept, and the file to download."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

STORY = "story"
_SHAPING = ("llmguide/**/*.py", "strategies/*.py", "indicators/*.py", "llmguide/**/*.md", "constraints.txt")
_LINK = f'</h1>\n<p><a href="{STORY}.ipynb" download>Download this notebook with its outputs</a></p>'


def cache_folder(root: Path) -> Path:
    """Return ROOT/build/notebooks/HASH, a folder for each state of the library.

    The cache itself compares the notebook's cells only, and would keep outputs of another state.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _SHAPING for path in root.glob(pattern)}):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return root / "build" / "notebooks" / digest.hexdigest()[:16]


def offer(site: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the link under the title of the story's page; in the notebook itself it would lead nowhere."""
    if page == STORY:
        context["body"] = context["body"].replace("</h1>", _LINK, 1)


def deliver(site: Any, exception: Exception | None) -> None:
    """Copy the executed notebook beside the pages."""
    if exception is None:
        executed = Path(site.env.mystnb_config.output_folder) / f"{STORY}.ipynb"
        shutil.copy(executed, Path(site.outdir) / executed.name)


def setup(site: Any) -> dict[str, bool]:
    """Hear when a page is written, and when all are."""
    site.connect("html-page-context", offer)
    site.connect("build-finished", deliver)
    return {"parallel_read_safe": True}
