"""The frame of a self-contained page: one style sheet, escaped text, tables and numbers; nothing is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from llmguide import numbers

__all__ = ["document", "figure", "fold", "items", "number", "paragraph", "percent", "points", "section", "table"]

_WIDE = 4  # columns that fit a phone

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c2128; --soft: #57606a; --line: #d8dee4; --card: #f6f8fa;
  --edge: rgba(28, 33, 40, .28);
  --warn-page: #fff4e5; --warn-ink: #663c00; --warn-line: #e69f00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181d; --ink: #e6e9ec; --soft: #a4adb6; --line: #363d45; --card: #1e242a;
    --edge: rgba(0, 0, 0, .75);
    --warn-page: #3a2a10; --warn-ink: #ffdca8; --warn-line: #e69f00; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p { margin: .6rem 0; max-width: 46rem; }
.lead { font-size: 1.1rem; }
.soft, figcaption, footer { color: var(--soft); font-size: .9rem; }
.warning { background: var(--warn-page); color: var(--warn-ink); border-left: .35rem solid var(--warn-line);
  padding: .7rem 1rem; margin: 1rem 0; }
.scroll, figure > div { overflow-x: auto; }
.scroll { margin: .8rem 0; background:
  linear-gradient(to right, var(--page) 30%, transparent) 0 0 / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--page) 30%, transparent) 100% 0 / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--edge), transparent) 0 0 / .9rem 100% no-repeat scroll,
  linear-gradient(to left, var(--edge), transparent) 100% 0 / .9rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .4rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
thead th { border-bottom-width: 2px; font-weight: 600; vertical-align: bottom; white-space: normal; min-width: 5.5rem; }
tbody th { font-weight: 600; }
.wide th, .wide td { padding: .35rem .45rem; } .wide thead th { min-width: 0; } .wide { font-size: .9rem; }
thead th.over { text-align: center; border-bottom: 1px solid var(--line); }
tr > .first:not(:first-child) { border-left: 1px solid var(--line); }
.text td { white-space: normal; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; padding: .7rem .9rem; font-size: .85rem; line-height: 1.45; }
nav { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .9rem; margin: 1rem 0; }
a { color: inherit; }
figure { margin: 1rem 0; }
figure > div { background: #fff; border: 1px solid var(--line); border-radius: .4rem; padding: .4rem; }
figure > div > svg { display: block; width: 100%; min-width: 34rem; height: auto; }
figure > div > svg text { font-family: "DejaVu Sans", Verdana, sans-serif !important; }
figcaption { margin-top: .4rem; max-width: 46rem; }
figure > button { float: right; margin: 0 0 .35rem; padding: .3rem .7rem; font: inherit; font-size: .85rem;
  color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; cursor: pointer; }
figure > button + div { clear: both; }
@media (min-width: 62rem) { figure { position: relative; }
  figure > button { position: absolute; z-index: 1; right: .6rem; top: .6rem; margin: 0; float: none; } }
details > summary { cursor: pointer; } summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid #0072b2; }
@media screen and (max-width: 40rem) {
  .scroll:has(> .wide)::before, figure:not(.live) > div::before { content: "↔ scroll sideways"; left: 0;
    position: sticky; display: inline-block; font-size: .8rem; color: var(--soft); }
  figure > div::before { color: #57606a; }
}
@media (prefers-color-scheme: dark) { figure > div { filter: invert(.9) hue-rotate(180deg); border-color: #c8c8c8; } }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media print {
  :root { --page: #fff; --ink: #000; --soft: #444; --line: #bbb; --card: #eee; --warn-page: #fff; --warn-ink: #000; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; }
  nav, figure > button { display: none; }
  table, .wide { font-size: 7.5pt; } .wide { break-inside: avoid; } .wide th, .wide td { white-space: normal; }
  th, td, .wide th, .wide td { padding: .25rem .35rem; } thead th { min-width: 0; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .scroll, figure > div { overflow: visible; background: none; } figure > div > svg { min-width: 0; }
  figure > div { filter: none; border-color: var(--line); } td summary { display: none; }
}
"""


def document(title: str, body: str, *, style: str = "", script: str = "", policy: str = "") -> str:
    """A whole page: `title` is plain text (also shown as the heading), `body` is HTML, `style` more CSS.

    `script` is put at its end. The page tells the browser to load nothing, and to run nothing without a script; or what
    `policy`, a Content-Security-Policy, says instead.
    """
    allowed = policy or "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:"
    if script and not policy:
        allowed += "; script-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</main>\n{script}\n</body>\n</html>\n"
    )


def section(title: str, anchor: str = "") -> str:
    """The heading of a section, to which `anchor` leads."""
    return f'<h2 id="{anchor}">{escape(title)}</h2>' if anchor else f"<h2>{escape(title)}</h2>"


def figure(svg: str, label: str, caption: str, plot: str = "") -> str:
    """A drawing on a card, inverted on a dark page with its hues kept; `label` stands for it where it cannot be seen.

    `plot` is the name of its interactive form, if it has one (see `llmguide.report.interactive.embed`).
    """
    described = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
    named = f' data-plot="{plot}"' if plot else ""
    return f'<figure{named}><div tabindex="0">{described}</div><figcaption>{escape(caption)}</figcaption></figure>'


def paragraph(text: str, kind: str = "") -> str:
    """One paragraph of plain text, of CSS class `kind`."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def fold(summary: str, body: str, kind: str = "") -> str:
    """A part of CSS class `kind` that a click on its summary opens; both are HTML."""
    opening = f'<details class="{kind}">' if kind else "<details>"
    return f"{opening}<summary>{summary}</summary>{body}</details>"


def items(texts: Iterable[str]) -> str:
    """A list of plain texts, or nothing for none."""
    points = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{points}</ul>" if points else ""


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    text: bool = False,
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """A table of plain texts that scrolls sideways where the screen is narrow; `text` aligns every column to the left.

    The first cell of each row is its header. `groups` are heads over the heads, each with how many columns it spans.
    """
    firsts = {sum(span for _, span in groups[:at]) for at in range(len(groups))}
    kinds = [' class="first"' if at in firsts else "" for at in range(len(head))]
    over = "".join(
        f'<th class="over first" scope="colgroup" colspan="{span}">{escape(name)}</th>' if name else "<td></td>" * span
        for name, span in groups
    )
    columns = "".join(f'<th scope="col"{kind}>{escape(cell)}</th>' for cell, kind in zip(head, kinds, strict=True))
    lines = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
        + "</tr>"
        for first, *rest in rows
    )
    names = " ".join(["text"] * text + ["wide"] * (len(head) > _WIDE))
    kind = f' class="{names}"' if names else ""
    above = f"<tr>{over}</tr>" if over else ""
    return (
        f'<div class="scroll" tabindex="0"><table{kind}>\n<thead>{above}<tr>{columns}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )


def number(x: Any, digits: int = 2) -> str:
    """`x` with so many decimals; missing and NaN read n/a, and nothing reads -0.00."""
    value = math.nan if x is None else float(x)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return numbers.number(value, digits).replace("-", "−")


def percent(x: Any, digits: int = 1) -> str:
    """The fraction `x` as a percentage; missing and NaN read n/a."""
    text = number(math.nan if x is None else 100 * float(x), digits)
    return text if text == "n/a" else f"{text} %"


def points(x: Any, digits: int = 1) -> str:
    """The difference `x` of two fractions in percentage points; missing and NaN read n/a."""
    text = number(math.nan if x is None else 100 * float(x), digits)
    return text if text == "n/a" else f"{text} pp"
