"""A whole page inside a notebook's output."""

from __future__ import annotations

from html import escape

__all__ = ["inline_page"]


def inline_page(page: str, *, label: str, height: int) -> str:
    """A frame of so many pixels that shows a page: its styles and scripts neither reach the notebook nor come from it.

    The page is within the frame's attribute, so that JupyterLab, VS Code and an exported notebook show it alike,
    without a file or a server.
    """
    return (
        f'<iframe title="{escape(label)}" sandbox="allow-scripts" srcdoc="{escape(page)}" '
        f'style="width: 100%; height: {height}px; border: 1px solid #d0d7de; border-radius: 6px"></iframe>'
    )
