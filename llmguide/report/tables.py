"""Tables of text, written as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llmguide.errors import DataError
from llmguide.numbers import number

__all__ = ["TextTable", "p_value"]

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
}
_SIGN = re.compile(r"(?<![\w.])-(?=[\d.])")


@dataclass(frozen=True)
class TextTable:
    """A table as a reader sees it.

    Attributes:
        title: what it shows.
        columns: heads of the columns.
        rows: cells, each row as long as `columns`.
        notes: what must be known to read it, a sentence or more each.
        text: how many columns from the left are text; numbers are aligned to the right.

    Raises DataError for a row of another length.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    text: int = 1

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise DataError(f"expected {len(self.columns)} cells as in {list(self.columns)}, got {list(row)}")

    def markdown(self) -> str:
        """Return it as a section of GitHub's Markdown, its columns padded so that it reads well as text too."""
        cells = [[_markdown(cell) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(3, *(len(row[at]) for row in cells)) for at in range(len(self.columns))]
        lines = [self._line(row, widths) for row in cells]
        rule = ["-" * width if at < self.text else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
        lines.insert(1, self._line(rule, widths))
        parts = [f"### {_markdown(self.title)}", "\n".join(lines), *(_markdown(note) for note in self.notes)]
        return "\n\n".join(parts) + "\n"

    def latex(self) -> str:
        """Return it as a ``tabular`` to ``\\input``, with its title and notes as comments; it needs booktabs."""
        align = "l" * self.text + "r" * (len(self.columns) - self.text)
        head, *body = (" & ".join(_latex(cell) for cell in row) + r" \\" for row in (self.columns, *self.rows))
        comments = [f"% {line}" for line in (self.title, *self.notes, r"Needs \usepackage{booktabs}.")]
        lines = [*comments, rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
        return "\n".join([*lines, r"\end{tabular}"]) + "\n"

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = [
            cell.ljust(width) if at < self.text else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"


def p_value(p: float) -> str:
    """Return a p to three digits; "<0.001" below them."""
    return "<0.001" if p < 0.001 else number(p, 3)


def _markdown(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return _SIGN.sub("$-$", escaped)
