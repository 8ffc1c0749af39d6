"""The pages of the documentation, taken apart: links, headings and blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "api").glob("*.md"))]
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->")
"""Stands in the line above a block of Python that is not run by the tests, and says why."""


class Block(NamedTuple):
    """A block of code; `line` is that of its first fence, `not_run` the reason why it is not run."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def tokens_of(page: Path) -> list[Token]:
    """Parse a page as Markdown."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks_of(page: Path, language: str) -> Iterator[Block]:
    """Yield the blocks of a language."""
    before = ""
    for token in tokens_of(page):
        if token.type == "fence" and token.info.strip() == language:
            reason = NOT_RUN.fullmatch(before.strip())
            line = (token.map or [0])[0] + 1
            yield Block(page, line, language, token.content, reason["reason"] if reason else "")
        before = token.content if token.type == "html_block" else ""


def links_of(page: Path) -> Iterator[str]:
    """Yield where the links and pictures of a page go to."""
    for token in tokens_of(page):
        for inner in token.children or ():
            target = inner.attrGet("href") or inner.attrGet("src")
            if target is not None:
                yield str(target)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    tokens = tokens_of(page)
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).replace(" ", "-") for title in titles}
