"""Results that show themselves: the verdict, a small table, and where the files are; in a notebook and on a terminal.

A class derives from `Inline` and says in `_shown` what there is to show; nothing of it may raise, or take long.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

__all__ = ["CONTROLS", "FUTURE", "Inline", "Shown", "Table", "note_files"]

FUTURE = "This guidance was made with knowledge of later bars: a control, not a result."
CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")  # a terminal would obey them

# No background and no colour of text: those of the notebook's theme stay, light or dark.
_STYLE = (
    ".llmguide p{margin:.3em 0;max-width:60em}"
    ".llmguide .warning{border-left:.3em solid #e69f00;padding-left:.6em}"
    ".llmguide .scroll{overflow-x:auto;margin:.6em 0}"
    ".llmguide table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0}"
    ".llmguide caption{caption-side:top;text-align:left;opacity:.75;padding:0 0 .3em;white-space:nowrap}"
    ".llmguide th,.llmguide td{padding:.2em .7em;text-align:right;white-space:nowrap;"
    "border-bottom:1px solid rgba(128,128,128,.35)}"
    ".llmguide th:first-child,.llmguide .scroll table .text{text-align:left}"
    ".llmguide td.text{white-space:normal;min-width:16em}"
    ".llmguide svg{display:block;margin:.6em 0;max-width:100%;height:auto}"
    ".llmguide .soft{opacity:.75;font-size:.9em}"
)


class Table(NamedTuple):
    """Plain texts: a first column of names, then numbers; columns named "why" are text that may wrap."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Shown(NamedTuple):
    """What a result shows of itself.

    Attributes:
        verdict: what came out, in a sentence or a few; the first one is emphasised.
        tables: small ones; those without rows are left out.
        warning: stands above everything.
        notes: sentences below the tables.
        picture: an SVG, for notebooks.
    """

    verdict: str
    tables: Sequence[Table] = ()
    warning: str = ""
    notes: Sequence[str] = ()
    picture: str = ""


class Inline(ABC):
    """An object whose last line in a cell, and whose `print`, begin with its verdict."""

    @abstractmethod
    def _shown(self) -> Shown:
        """Return what is shown."""

    def __repr__(self) -> str:
        return "\n".join(_text(type(self).__name__, self._shown(), self._files)).translate(CONTROLS)

    def _repr_html_(self) -> str:
        return f'<div class="llmguide"><style>{_STYLE}</style>{"".join(_html(self._shown(), self._files))}</div>'

    @property
    def _files(self) -> Path | None:
        """The page or folder that it was written to last."""
        found: Path | None = self.__dict__.get("_written")
        return found


def note_files(result: Inline, path: Path) -> Path:
    """Remember where a result was written, and return the path; no part of its value, so that it may be frozen."""
    result.__dict__["_written"] = path
    return path


def _text(name: str, shown: Shown, files: Path | None) -> Iterable[str]:
    if shown.warning:
        yield shown.warning
    yield f"{name}: {shown.verdict}"
    for table in shown.tables:
        if table.rows:
            yield from ("", *([table.title] if table.title else ()), *_aligned(table))
    if shown.notes or files:
        yield ""
    yield from shown.notes
    if files:
        yield f"files: {files}"


def _aligned(table: Table) -> Iterable[str]:
    texts = [name == "why" for name in table.columns]
    lines = [
        [_line(cell, text=text) for cell, text in zip(line, texts, strict=True)]
        for line in (table.columns, *table.rows)
    ]
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.columns))]
    for line in lines:
        cells = zip(line, widths, [True, *texts[1:]], strict=True)
        yield "  ".join(cell.ljust(width) if to_left else cell.rjust(width) for cell, width, to_left in cells).rstrip()


def _line(cell: str, *, text: bool, most: int = 60) -> str:
    """Return a cell on one line; of a text, its beginning."""
    joined = " ".join(cell.split())
    return f"{joined[: most - 3]}..." if text and len(joined) > most else joined


def _html(shown: Shown, files: Path | None) -> Iterable[str]:
    if shown.warning:
        yield f'<p class="warning"><strong>{escape(shown.warning)}</strong></p>'
    first, stop, rest = shown.verdict.partition(". ")
    yield f"<p><strong>{escape(first + stop.rstrip())}</strong>{' ' * bool(stop)}{escape(rest)}</p>"
    yield shown.picture
    for table in shown.tables:
        if table.rows:
            yield _table(table)
    for note in shown.notes:
        yield f'<p class="soft">{escape(note)}</p>'
    if files:
        yield f"<p>Files: <code>{escape(str(files))}</code></p>"


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    kinds = [' class="text"' if name == "why" else "" for name in table.columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, table.columns, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds[1:], rest, strict=True))
        + "</tr>"
        for first, *rest in table.rows
    )
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
