"""The page of an expert review: a month's data, the reviewer's own direction, then the model's answer and its scores.

One page for both ways. Served (`llmguide.review_server`), it holds nothing of the months: it asks for each when its
turn has come, and for the model's answer when the reviewer's direction is given. As a file, it holds all of them; the
model's answers are encoded there, which keeps them from a glance at the source and from nothing else.

Everything that a model wrote reaches the page as text, never as markup, and the page runs its one script alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from llmguide.files import write_text
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.rubric import RUBRIC, Criterion
from llmguide.guidance.review.sheet import COMMENT, REASON
from llmguide.guidance.review.shown import answer_of, question_of
from llmguide.report.html import document, fold

__all__ = ["policy", "render_review", "write_review"]

_TITLE = "Expert review of a model's decisions"


def policy() -> str:
    """Return the page's Content-Security-Policy: its own script, and nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )


def write_review(packet: Packet, path: Path | str) -> Path:
    """Write the page of a packet as one file that works without a server, atomically; return the path."""
    return write_text(path, render_review(packet))


def render_review(packet: Packet | None = None) -> str:
    """The page as HTML; with a packet it works as a file."""
    parts = list(_parts(offline=packet is not None))
    if packet is not None:
        parts.append(f'<script type="application/json" id="packet">{_packed(packet)}</script>')
    style, script = _resource("review.css"), f"<script>{_script()}</script>"
    return document(_TITLE, "\n".join(parts), style=style, script=script, policy=policy())


def _packed(packet: Packet) -> str:
    """All months as JSON, the model's answers encoded; "<" is escaped, so that no text can end the element."""
    months = [
        {
            "id": month.id,
            **question_of(month),
            "sealed": base64.b64encode(json.dumps(answer_of(month)).encode()).decode(),
        }
        for month in packet.months
    ]
    return json.dumps({"packet": packet.id, "months": months}).replace("<", "\\u003c")


def _parts(*, offline: bool) -> Iterator[str]:
    yield (
        "<p>Each month shows what was known about one instrument, with its name and dates removed. Choose the "
        "direction you would take yourself; then the model's answer is shown, and you score its reasons. The "
        "outcome of the month is not shown. You can stop at any time and continue later.</p>"
    )
    yield "<noscript><p>This page needs JavaScript.</p></noscript>"
    yield '<p id="status" role="status" aria-live="polite"></p><p id="problem" role="alert"></p>'
    if offline:
        yield _START
    yield '<section id="review" hidden>'
    yield (
        '<div class="bar"><h2 id="place" tabindex="-1">Month</h2>'
        '<progress id="progress" max="1" value="0" aria-label="Months answered"></progress>'
        '<span class="soft">Reviewer: <span id="reviewer"></span></span>'
        '<label class="keys"><input type="checkbox" id="keys" checked>Keys <kbd>1</kbd> <kbd>2</kbd> <kbd>3</kbd> '
        "answer</label></div>"
    )
    yield '<div class="sides"><div><h3 id="what">What was known</h3>'
    yield '<pre id="data" tabindex="0" role="region" aria-labelledby="what"></pre>'
    told = '<pre id="instructions" tabindex="0" role="region" aria-label="Instructions"></pre>'
    yield f'<div id="told">{fold("Instructions given to the model", told)}</div></div><div>'
    yield _own_form()
    yield from _answer()
    yield "</div></div>"
    yield (
        '<button type="button" id="back">Previous month</button><button type="button" id="on">Next month</button>'
        f"{_DOWNLOAD if offline else ''}</section>"
    )
    thanks = "Download your answers and send the file back." if offline else "You can close this page."
    yield (
        '<section id="done" hidden><h2 id="finished" tabindex="-1">All months are answered</h2>'
        f"<p>Thank you. {thanks}</p>{_DOWNLOAD if offline else ''}"
        '<button type="button" id="again">Review your answers</button></section>'
    )


_DOWNLOAD = '<button type="button" class="download" hidden>Download my answers</button>'
_START = (
    '<form id="start" hidden><h2>Before you begin</h2>'
    "<p>This file works offline and sends nothing. Your answers stay in this browser until you download "
    "them. The model's answers are inside the file, merely encoded: please do not look for them.</p>"
    '<label class="text" for="name">Your name, as it should appear on your answers</label>'
    '<input type="text" id="name" required maxlength="40" pattern="[\\p{L}\\p{N}_][\\p{L}\\p{N}_.\\-]*" '
    'autocomplete="off" aria-describedby="form-of-name">'
    '<p class="soft" id="form-of-name">Letters, digits, _, - and . without spaces.</p>'
    '<button type="submit">Begin or continue</button>'
    '<label class="text" for="file">Or continue from answers that you downloaded</label>'
    '<input type="file" id="file" accept=".json,application/json"></form>'
)


def _own_form() -> str:
    choices = "".join(
        f'<label class="choice"><input type="radio" name="own" value="{value}" required><span><b>{value}</b> '
        f"<kbd>{key}</kbd> the price will {what}</span></label>"
        for key, (value, what) in enumerate((("LONG", "rise"), ("SHORT", "fall")), start=1)
    )
    return (
        '<form id="own" hidden><h3>Your own direction</h3>'
        '<p id="locks">It is locked when the model\'s answer is shown.</p>'
        '<fieldset aria-describedby="locks"><legend>For the next <span class="horizon"></span> trading days</legend>'
        f"{choices}</fieldset>"
        '<label class="text" for="reason">Why? One or two sentences (optional)</label>'
        f'<textarea id="reason" name="reason" rows="3" maxlength="{REASON}"></textarea>'
        '<button type="submit">Lock in and show the model\'s answer</button></form>'
    )


def _answer() -> Iterator[str]:
    yield '<section id="answer" hidden><p id="mine" class="said soft"></p>'
    yield '<h3 id="theirs" tabindex="-1">The model\'s answer</h3>'
    yield '<p id="said" class="verdict"></p><p id="explanation" class="said"></p>'
    yield '<div id="used"><b>Data it used</b><ul id="features"></ul></div>'
    yield '<form id="scores"><h3>Your scores</h3>'
    yield from map(_criterion, RUBRIC)
    yield (
        '<label class="text" for="comment">What should the answer have said? (optional)</label>'
        f'<textarea id="comment" name="comment" rows="4" maxlength="{COMMENT}"></textarea>'
        '<button type="submit">Save and continue</button>'
        '<p class="soft"><kbd>Ctrl</kbd> <kbd>Enter</kbd> in a text field does the same.</p></form></section>'
    )


def _criterion(criterion: Criterion) -> str:
    choices = "".join(
        f'<label class="choice"><input type="radio" name="{criterion.name}" value="{score}" required>'
        f"<span><kbd>{score}</kbd> <b>{escape(word)}</b>: {escape(meant)}</span></label>"
        for score, (word, meant) in enumerate(zip(criterion.words, criterion.meant, strict=True), start=1)
    )
    legend = f"{criterion.name.capitalize()}: {escape(criterion.question)}"
    return f'<fieldset data-name="{criterion.name}"><legend>{legend}</legend>{choices}</fieldset>'


def _script() -> str:
    return _resource("review.js")


@cache
def _resource(name: str) -> str:
    return (files("llmguide.report") / name).read_text(encoding="utf-8")
