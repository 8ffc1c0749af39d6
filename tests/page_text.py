"""The text of a page that llmguide wrote, after a look at its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "link", "img", "path", "use", "rect", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of_page(path: Path) -> str:
    """Return the text of a page; every element is closed in its place, and nothing is loaded from elsewhere."""
    page = path.read_text(encoding="utf-8")
    parsed = _Page()
    parsed.feed(page)
    assert not parsed.open
    assert not re.search(r"""(src|href)=["']http|url\(http""", page.replace("http://www.w3.org", ""))
    return " ".join(parsed.text)
