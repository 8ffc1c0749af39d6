"""The page of a study of prompts: which prompt guides best, how sure that is, and every month's advice side by side.

Whatever a model wrote is shown as text, never as markup. A message that was sent more than once is stored once.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.counting import counted
from llmguide.errors import DataError
from llmguide.files import write_text
from llmguide.guidance.advice import Advice, FeatureUse
from llmguide.llm.protocol import Message
from llmguide.report.html import document, figure, fold, items, number, paragraph, percent, section, table
from llmguide.report.prompt_tables import (
    agreement_table,
    costs_table,
    entropy_table,
    hits_table,
    perplexity_table,
    scores_table,
    shares_table,
    sharpe_table,
    tests_table,
)
from llmguide.report.review_tables import ReviewData, review_tables
from llmguide.report.tables import TextTable, p_value
from llmguide.report.verdict import few

__all__ = ["PromptsData", "render_prompts_page", "summary", "write_prompts_page"]

_LEVEL = 0.05
_FEW = 10  # instruments, below which only a large difference can show
_TITLE = "Prompts compared"
_MOST = 8_000_000  # characters of messages that a page holds: a browser opens it at once
_MINUS = re.compile(r"(?<![\w.])-(?=\d)|(?<= )-(?= )")
_STYLE = """
:root { --good: #0b6e4f; --bad: #a63a00; }
@media (prefers-color-scheme: dark) { :root { --good: #5fd3a5; --bad: #ffa873; } }
body { max-width: 78rem; } figure { max-width: 60rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
h4 { font-size: 1rem; margin: 0; }
summary { cursor: pointer; padding: .3rem 0; }
summary:focus-visible { outline: 2px solid var(--warn-line); }
.month { border-bottom: 1px solid var(--line); }
.month > summary { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline; }
.month > summary::before { content: "▸"; color: var(--soft); } .month[open] > summary::before { content: "▾"; }
.month > summary b { min-width: 6.5rem; } .month > summary .gain { min-width: 6rem; }
.chip { white-space: nowrap; font-size: .85rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(13rem, 100%), 1fr)); gap: .8rem;
  margin: .4rem 0 1.2rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .8rem;
  font-size: .88rem; min-width: 0; overflow-wrap: anywhere; }
.card:has(.messages[open]) { grid-column: 1 / -1; }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .7rem; margin: .5rem 0; max-width: 16rem; }
.card dt { color: var(--soft); } .card dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.card ul { margin: .3rem 0; padding-left: 1.1rem; } .card p { margin: .4rem 0; }
.said { white-space: pre-line; unicode-bidi: isolate; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .78rem; line-height: 1.45; background: var(--page);
  border: 1px solid var(--line); border-radius: .3rem; padding: .5rem; margin: .2rem 0 .6rem; max-height: 24rem;
  overflow-y: auto; unicode-bidi: isolate; }
a { color: inherit; }
:target { outline: 2px solid var(--warn-line); }
@media print {
  :root { --good: #000; --bad: #000; }
  .month::details-content { content-visibility: visible; block-size: auto; } .card { break-inside: avoid; }
  .messages { display: none; }
}
"""


@dataclass(frozen=True, eq=False)
class PromptsData:
    """Everything that the page shows: frames of `llmguide.experiments.prompts.result`, under the same names.

    `months` are those of the test; `all_advice` may hold more of them. Raises DataError for a month without its advice.
    """

    means: pd.DataFrame
    table: pd.DataFrame
    tests: pd.DataFrame
    costs: pd.DataFrame
    calibration: pd.DataFrame
    shares: pd.DataFrame
    agreement: pd.DataFrame
    reliability: pd.DataFrame
    scores: pd.DataFrame
    months: pd.DataFrame
    all_advice: Sequence[Advice]
    reviews: ReviewData | None = None

    def __post_init__(self) -> None:
        there = {(advice.symbol, advice.prompt, advice.issued_at) for advice in self.all_advice}
        for month in _rows(self.months):
            if (month.symbol, month.prompt, month.issued_at.to_pydatetime()) not in there:
                raise DataError(
                    f"expected the advice of every month, got none of {month.symbol} by {month.prompt} of "
                    f"{month.issued_at:%Y-%m-%d}; pass the advice that the months were made from"
                )


def write_prompts_page(data: PromptsData, drawings: Mapping[str, str], path: Path | str) -> Path:
    """Write the page to `path` as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_prompts_page(data, drawings))


def render_prompts_page(data: PromptsData, drawings: Mapping[str, str]) -> str:
    """The page as HTML; `drawings` are `<svg>` texts by the names of `llmguide.report.prompt_figures.FIGURES`."""
    return document(_TITLE, "\n".join(_parts(data, drawings)), style=_STYLE)


def _parts(data: PromptsData, drawings: Mapping[str, str]) -> Iterator[str]:
    texts = _Texts(data)
    symbols = list(dict.fromkeys(data.months["symbol"]))
    yield paragraph(summary(data), "lead")
    yield items([*_remarks(data), *texts.remarks()])
    links = ", ".join(f'<a href="#i{at}">{escape(symbol)}</a>' for at, symbol in enumerate(symbols))
    yield f"<p>Month by month: {links}.</p>"
    yield section("Prompts")
    yield _means(data.means)
    yield paragraph(
        "Means over instruments. Each prompt's guidance is traded alone on the test bars. Hit rate: share of "
        "months with an answer whose direction was that of the price until the next guidance; months up: the "
        "hit rate of always long. Entropies are of the tokens of the whole reply, of its direction and of its "
        "confidence, from 0 (certain) to 1.",
        "soft",
    )
    yield section("Sharpe ratio")
    yield from _text_table(sharpe_table(data.table))
    yield from _drawing(drawings, "sharpe", "Sharpe ratio of each prompt on each instrument")
    yield from _directions(data)
    yield from _reviews(data.reviews, drawings)
    yield from _uncertainty(data, drawings)
    yield from _calibration(data, drawings)
    yield from _probabilities(data, drawings)
    yield from _tests(data.tests)
    yield section("Costs")
    yield from _text_table(costs_table(data.costs))
    for at, symbol in enumerate(symbols):
        months = data.months[data.months["symbol"] == symbol]
        yield f'<h2 id="i{at}">{escape(symbol)}</h2>'
        yield paragraph(
            "One line per month: when the guidance was issued, what the price did until the next one, and the "
            "direction of each prompt. Open a line to read the reasons side by side.",
            "soft",
        )
        for _, month in months.groupby("issued_at"):
            yield _month(list(_rows(month)), data, texts)
    yield from texts.appendix()
    yield f"<footer>llmguide {__version__}</footer>"


def summary(data: PromptsData) -> str:
    """Which prompt has the highest mean Sharpe ratio, by how much, and what the paired test says of it."""
    means = data.means.set_index("prompt")
    ranked = means["sr"].dropna().sort_values(ascending=False, kind="stable")
    if ranked.empty:
        return "No prompt has a Sharpe ratio: none of them traded."
    over = counted(int(means["instruments"].max()), "instrument")
    text = f"Highest mean Sharpe ratio over {over}: {ranked.index[0]} with {number(ranked.iloc[0])}"
    if len(ranked) > 1:
        text += f", then {ranked.index[1]} with {number(ranked.iloc[1])}"
    return f"{text}. {_verdict(data)}".strip()


def _verdict(data: PromptsData) -> str:
    """One sentence on the first test of Sharpe ratios; nothing for a single prompt."""
    tests = data.tests[(data.tests["over"] == "instruments") & (data.tests["measure"] == "sr")]
    if tests.empty:
        alone = "One instrument cannot show which prompt is better: no test is possible."
        return alone if len(data.means) > 1 else ""
    row = tests.iloc[0]
    gain, n, p = float(row["mean_difference"]), int(row["n"]), float(row["p"])
    text = f"Against {row['prompt_b']}, {row['prompt_a']} {'gains' if gain >= 0 else 'loses'} {number(abs(gain))}"
    if math.isnan(p):
        return f"{text}; the differences do not vary, so no test is possible."
    verdict = "significant" if p < _LEVEL else "not significant"
    shown = p_value(p) if p < 0.001 else f"= {p_value(p)}"
    text += f" (two-sided paired t test over {counted(n, 'instrument')}, p {shown}): {verdict} at the 5 % level."
    if n < _FEW:
        text += f" {n} instruments are few: {few(p < _LEVEL)}."
    return text


def _remarks(data: PromptsData) -> Iterator[str]:
    months = data.months
    first, last = (f"{stamp:%Y-%m-%d}" for stamp in (months["issued_at"].min(), months["issued_at"].max()))
    models = ", ".join(sorted({model for model in months["model"] if model})) or "an unnamed model"
    yield f"Guidance of {first} to {last} by {models}."
    silent = int(months["direction"].isna().sum())
    if silent:
        yield f"{silent} of {len(months)} questions have no usable answer: abstentions, which keep the position."
    bare = int((months["direction"].notna() & months["entropy"].isna()).sum())
    if bare:
        yield f"{counted(bare, 'answer')} came without token probabilities: their strength is their confidence alone."
    beyond = int(months["realised"].isna().sum())
    if beyond:
        yield f"For {counted(beyond, 'advice')} there is no later bar: their outcome is unknown."


def _means(means: pd.DataFrame) -> str:
    rows = [
        [
            row.prompt,
            number(row.sr),
            number(row.sr_published),
            percent(row.mdd),
            percent(row.hit_rate, 0),
            percent(row.up_rate, 0),
            number(row.perplexity, 3),
            number(row.entropy, 3),
            number(row.direction_entropy, 3),
            number(row.confidence_entropy, 3),
            f"{row.abstentions} of {row.months}",
        ]
        for row in _rows(means)
    ]
    head = [
        *("Prompt", "Sharpe ratio", "Published", "Maximum drawdown", "Hit rate", "Months up", "Perplexity", "Entropy"),
        *("of direction", "of confidence", "Abstained"),
    ]
    return table(head, rows)


def _directions(data: PromptsData) -> Iterator[str]:
    yield section("Were the directions right?")
    yield from _text_table(shares_table(data.shares))
    if data.table["symbol"].nunique() > 1:
        text = hits_table(data.table)
        yield f"<h3>{escape(text.title)}</h3>"
        yield from _text_table(text)
    if len(data.agreement):
        text = agreement_table(data.agreement)
        yield f"<h3>{escape(text.title)}</h3>"
        yield from _text_table(text)


def _reviews(reviews: ReviewData | None, drawings: Mapping[str, str]) -> Iterator[str]:
    if reviews is None or reviews.scores.empty:
        return
    yield section("Expert scores of the reasons")
    scores, *others = review_tables(reviews)
    yield from _text_table(scores)
    yield from _drawing(drawings, "reviews", "Mean scores of people by prompt and criterion, with 95 % intervals")
    for text in others:
        yield f"<h3>{escape(text.title)}</h3>"
        yield from _text_table(text)


def _uncertainty(data: PromptsData, drawings: Mapping[str, str]) -> Iterator[str]:
    if data.table["entropy"].isna().all() and data.table["perplexity"].isna().all():
        return
    yield section("Uncertainty of the replies")
    for text in (perplexity_table(data.table), entropy_table(data.table)):
        yield f"<h3>{escape(text.title)}</h3>"
        yield from _text_table(text)
    yield from _drawing(
        drawings,
        "uncertainty",
        "Mean perplexity and entropy by prompt: pale lines: instruments; blue line: mean",
    )


def _calibration(data: PromptsData, drawings: Mapping[str, str]) -> Iterator[str]:
    if data.calibration.empty:
        return
    yield section("Is confidence justified?")
    yield from _drawing(
        drawings,
        "calibration",
        "Share of right directions by stated confidence",
        "Share of months whose direction was right, with its 95 % interval (Wilson) and the number of months "
        "below. Confidence is justified if the marks rise to the right.",
    )


def _probabilities(data: PromptsData, drawings: Mapping[str, str]) -> Iterator[str]:
    if data.scores.empty:
        return
    yield section("Did it rise as often as the model said?")
    yield items(_against_base_rate(data.scores))
    yield from _text_table(scores_table(data.scores))
    yield from _drawing(
        drawings,
        "reliability",
        "Stated probability of a rise and share of months that rose",
        "p(LONG) at the direction's token, in ten bins of equal width, and the share of their months in which "
        "the price rose until the next guidance, with its 95 % interval (Wilson) and the number of months: "
        "below, of calibrated probabilities above. On the dashed line, it rose as often as stated; the dotted "
        "line is the share of all months that rose.",
    )


def _against_base_rate(scores: pd.DataFrame) -> Iterator[str]:
    """Say which probabilities are worth something: those that beat always saying the base rate."""
    for kind, of in (("said", "The model's own probability"), ("calibrated", "The calibrated probability")):
        rows = scores[scores["probability"] == kind]
        better = rows["brier"] < rows["brier_base"]
        for which, verdict in ((~better, "no better than"), (better, "better than")):
            if which.any():
                prompts = ", ".join(rows.loc[which, "prompt"])
                yield f"{of} with {prompts} is {verdict} always saying the base rate, by the Brier score."


def _tests(tests: pd.DataFrame) -> Iterator[str]:
    if tests.empty:
        return
    yield section("Are the differences significant?")
    over = tests[tests["over"] == "instruments"]
    if len(over):
        yield from _test_table(over)
    for symbol, rows in tests[tests["over"] != "instruments"].groupby("over", sort=False):
        inner = "".join(_test_table(rows))
        yield fold(f"Over the months of {escape(str(symbol))}", inner)


def _test_table(tests: pd.DataFrame) -> Iterator[str]:
    """Tests over the same pairs, each under what was compared."""
    text = tests_table(tests)
    rows = [[f"{measure}, {prompts}", *rest] for _, measure, prompts, *rest in text.rows]
    yield from _text_table(TextTable(text.title, ["difference", *text.columns[3:]], rows, text.notes))


def _text_table(text: TextTable) -> Iterator[str]:
    """A `TextTable` as HTML, without its title."""
    yield table(text.columns, [[_MINUS.sub("−", cell) for cell in row] for row in text.rows])
    yield from (paragraph(note, "soft") for note in text.notes)


def _drawing(drawings: Mapping[str, str], name: str, label: str, caption: str = "") -> Iterator[str]:
    if name in drawings:
        yield figure(drawings[name], label, caption or f"{label}.")


def _month(rows: Sequence[Any], data: PromptsData, texts: _Texts) -> str:
    """One month of one instrument: a line that says who was right, and a card per prompt."""
    first = rows[0]
    gain = "no later bar" if math.isnan(first.realised) else _signed_percent(first.realised)
    until = "" if pd.isna(first.until) else f' title="{first.first:%Y-%m-%d} to {first.until:%Y-%m-%d}"'
    chips = "".join(f'<span class="chip {_verdict_of(row)[0]}">{_chip(row)}</span>' for row in rows)
    line = f'<b>{first.issued_at:%Y-%m-%d}</b><span class="gain"{until}>{gain}</span>{chips}'
    cards = "\n".join(_card(row, texts.advice(row), texts) for row in rows)
    return fold(line, f'<div class="cards">\n{cards}\n</div>', "month")


def _verdict_of(row: Any) -> tuple[str, str]:
    """CSS class and words for how a direction came out."""
    if pd.isna(row.direction):
        return "open", "abstained"
    if pd.isna(row.right):
        return "open", "outcome not known"
    return ("good", "right") if row.right else ("bad", "wrong")


def _chip(row: Any) -> str:
    if pd.isna(row.direction):
        return f"{_safe(row.prompt)} abstained"
    mark = {"good": "✓", "bad": "✗", "open": ""}[_verdict_of(row)[0]]
    return f"{_safe(row.prompt)} {'long' if row.direction else 'short'} {row.confidence} {mark}".rstrip()


def _card(row: Any, advice: Advice, texts: _Texts) -> str:
    kind, words = _verdict_of(row)
    reply = advice.reply
    if reply is None:
        parts = [f'<p class="said">Abstained: {_safe(advice.failure or "no reason was kept")}</p>']
    else:
        said = f"{'LONG' if row.direction else 'SHORT'}, confidence {row.confidence}"
        parts = [
            f'<p><b>{said}</b> <span class="{kind}">{words}</span></p>',
            _revision(advice),
            _numbers(row),
            f'<p class="said">{_safe(reply.explanation)}</p>',
            _features(reply.features),
        ]
    parts += [_news(advice), texts.fold(advice.messages)]
    return f'<section class="card"><h4>{_safe(row.prompt)}</h4>{"".join(parts)}</section>'


def _revision(advice: Advice) -> str:
    """What the model itself said, where another direction took its place."""
    if advice.revision is None or advice.reply is None:
        return ""
    said = f"The model's own: {advice.reply.direction}, confidence {advice.reply.confidence}."
    return f'<p class="soft">{said} {escape(advice.revision.note)}</p>'


def _numbers(row: Any) -> str:
    pairs = [
        ("price until next", "n/a" if math.isnan(row.realised) else _signed_percent(row.realised)),
        ("strength", number(row.strength)),
        ("tau", number(row.tau)),
        ("entropy", number(row.entropy, 3)),
        ("of direction", number(row.direction_entropy, 3)),
        ("of confidence", number(row.confidence_entropy, 3)),
        ("perplexity", number(row.perplexity, 3)),
    ]
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs) + "</dl>"


def _features(features: Iterable[FeatureUse]) -> str:
    points = "".join(
        f"<li>{_safe(feature.name)}: {feature.direction.lower()}, weight {feature.weight}</li>" for feature in features
    )
    return f"<b>Data used</b><ul>{points}</ul>" if points else ""


def _news(advice: Advice) -> str:
    mood = {1: "good", 0: "neutral", -1: "bad"}
    points = "".join(
        f"<li>{_safe(factor.text)} <i>({mood[factor.sentiment]}, impact {factor.impact})</i></li>"
        for factor in advice.factors
    )
    if not (points or advice.news_note):
        return ""
    return f'<b>News</b><ul>{points}</ul><p class="soft">{_safe(advice.news_note)}</p>'


class _Texts:
    """The messages behind the all_advice, each stored once: those sent more than once stand at the end of the page."""

    def __init__(self, data: PromptsData) -> None:
        keys = {(row.symbol, row.prompt, row.issued_at.to_pydatetime()) for row in _rows(data.months)}
        self._advice = {
            key: advice
            for advice in data.all_advice
            if (key := (advice.symbol, advice.prompt, advice.issued_at)) in keys
        }
        sent = Counter(message for advice in self._advice.values() for message in advice.messages)
        self._repeated = {message: f"m{at}" for at, message in enumerate((m for m in sent if sent[m] > 1), start=1)}
        self._sent = sent
        self._all = sum(len(message.content) for message in sent) <= _MOST

    def advice(self, row: Any) -> Advice:
        return self._advice[row.symbol, row.prompt, row.issued_at.to_pydatetime()]

    def fold(self, messages: Sequence[Message]) -> str:
        """What was sent, word by word, closed; a message that stands at the end of the page as a link to it."""
        if not messages or not self._all:
            return ""
        parts = []
        for message in messages:
            if message in self._repeated:
                times = self._sent[message]
                parts.append(
                    f'<p>{message.role}: <a href="#{self._repeated[message]}">as in {times} questions</a>, '
                    f"{len(message.content):,} characters</p>"
                )
            else:
                parts.append(f"<p>{message.role}</p><pre>{_safe(message.content)}</pre>")
        return fold(f"What was sent ({counted(len(messages), 'message')})", "".join(parts), "messages")

    def remarks(self) -> Iterator[str]:
        """Say so where the messages are too long for a page."""
        if not self._all:
            yield (
                "The messages are too long for this page and were left out; a page of fewer instruments includes them."
            )

    def appendix(self) -> Iterator[str]:
        if not self._repeated or not self._all:
            return
        yield section("Messages sent more than once")
        for message, name in self._repeated.items():
            head = f"{message.role}, {self._sent[message]} times: {_safe(message.content[:70])}…"
            yield fold(head, f'<pre id="{name}">{_safe(message.content)}</pre>', "messages")


def _safe(text: str) -> str:
    """Escaped text; what UTF-8 cannot hold is a question mark."""
    return escape(text.encode("utf-8", "replace").decode())


def _signed_percent(x: float) -> str:
    text = percent(x)
    return text if text.startswith(("−", "0.0 ")) else f"+{text}"


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
