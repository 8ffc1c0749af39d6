"""The story as a notebook with its outputs, executed once for each state of its code and of the library."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "notebooks"
STORY = "story"
_SHAPING = ("llmguide/**/*.py", "strategies/*.py", "indicators/*.py", "llmguide/**/*.md", "constraints.txt")
_LINK = f'</h1>\n<p><a href="{STORY}.ipynb" download>Download this notebook with its outputs</a></p>'


def read(text: str) -> nbformat.NotebookNode:
    """Return the notebook of a file in jupytext's percent format with its outputs: those kept, or made now.

    A cell that fails raises nbclient's CellExecutionError, and the site is not built.
    """
    notebook = jupytext.reads(text, fmt="py:percent")
    kept = KEPT / f"{_state(notebook)}.ipynb"
    if kept.is_file():
        executed = nbformat.read(kept, as_version=4)
        for cell, done in zip(_code(notebook), _code(executed), strict=True):
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
        return notebook
    with TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}})
        client.execute(env=_surroundings())
    for cell in _code(notebook):
        cell.metadata.pop("execution", None)  # when it was run
    KEPT.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return notebook


def _surroundings() -> dict[str, str]:
    """Return the kernel's environment: no network, no key, one thread, and warnings are errors."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    offline = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    # The kernel warns of itself when it is shut down.
    warnings = {"PYTHONWARNINGS": "error,ignore::PendingDeprecationWarning:ipykernel.kernelbase"}
    return given | threads | offline | warnings


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _state(notebook: nbformat.NotebookNode) -> str:
    """Hash a notebook's code and all that its outputs come from."""
    digest = hashlib.sha256("\0".join(cell.source for cell in _code(notebook)).encode())
    for path in sorted({path for pattern in _SHAPING for path in ROOT.glob(pattern)}):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


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
    """Hear what is to be read, when a page is written, and when all are."""
    site.connect("env-get-outdated", lambda *_: [STORY])  # the library may have changed where the notebook has not
    site.connect("html-page-context", offer)
    site.connect("build-finished", deliver)
    return {"parallel_read_safe": True}
