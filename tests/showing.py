"""What a result shows of itself beside the page that it writes."""

from __future__ import annotations

import re
from html import escape, unescape
from pathlib import Path
from typing import Any

__all__ = ["shows_what_its_page_says"]


def shows_what_its_page_says(result: Any, page: Path) -> None:
    """Fail unless its verdict is the beginning of its page, stands first in both its forms, and names the page."""
    shown = result._shown()
    leads = re.findall(r'<p class="lead">(.*?)</p>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert shown.verdict in unescape(" ".join(leads))
    html, text = result._repr_html_(), repr(result)
    assert text.startswith(f"{shown.warning}\n" * bool(shown.warning) + f"{type(result).__name__}: {shown.verdict}")
    assert text.endswith(f"files: {page}")
    assert escape(shown.verdict.partition(". ")[0]) in html
    assert f"<code>{escape(str(page))}</code>" in html
    assert any(table.rows for table in shown.tables)
    assert all(len(row) == len(table.columns) for table in shown.tables for row in table.rows)
