"""The Analyst: a month's headlines condensed to its top factors, before the Strategist is asked.

A headline is cleaned, withheld if it carries instructions, and anonymised. The rest goes to the model as a numbered
list; a month too long for one question is asked in parts, whose factors are merged by further questions. What comes
back is treated as the headlines were, so that nothing of them reaches the Strategist raw.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from llmguide.errors import GuidanceError
from llmguide.features.levels import Levels
from llmguide.guidance.advice import FACTOR_WORDS, FACTORS, AnalystReply, Factor
from llmguide.guidance.news.anonymise import KINDS, Anonymised, Names
from llmguide.guidance.news.headlines import LONGEST, carries_instructions, clean
from llmguide.guidance.schedule import EVERY
from llmguide.llm.ledger import Spending
from llmguide.llm.protocol import Message
from llmguide.llm.templates import render

if TYPE_CHECKING:
    from llmguide.features.news import Headline
    from llmguide.llm.asking import Asked

__all__ = ["CONTEXT_CHARS", "QUOTED_WORDS", "Ask", "NewsBrief", "condense"]

CONTEXT_CHARS = 24_000
"""Characters of headlines in one question: some 6,000 tokens."""

QUOTED_WORDS = 8
"""A factor with this many words in a row of a headline is a quotation, and not used."""

LEAST_CONTEXT = 8_000
"""Ten factors of the largest size: two full questions leave six, which fit into one, so that merging ends."""

_FACTOR_CHARS = 700
_EXCERPT_CHARS = 80


Hide = Callable[[str], Anonymised]
"""Takes out of a text what the model must not see."""


class Ask(Protocol):
    """Asks the language model one question; `note` goes into the ledger."""

    async def __call__(
        self, messages: Sequence[Message], kind: type[AnalystReply], *, note: str
    ) -> Asked[AnalystReply]: ...


@dataclass(frozen=True)
class NewsBrief:
    """The Analyst's view of a month, and what became of its headlines.

    Attributes:
        factors: the weightiest first, at most three; none without news, and none where the Analyst failed.
        headlines: how many were given.
        duplicates: left out since an earlier one has the same text after cleaning.
        empty: left out since cleaning left no word.
        flagged: withheld since they carry instructions: the kind, and the beginning as a person may read it.
        replaced: names, dates and levels replaced in headlines and factors, by kind; empty where nothing is anonymised.
        unusable: factors dropped since they carry instructions, quote a headline, or have no words.
        failure: why there are no factors although there was news; "" otherwise.
        cost: of all questions.
    """

    factors: tuple[Factor, ...] = ()
    headlines: int = 0
    duplicates: int = 0
    empty: int = 0
    flagged: tuple[str, ...] = ()
    replaced: Mapping[str, int] = field(default_factory=Counter)
    unusable: int = 0
    failure: str = ""
    cost: Spending = field(default_factory=Spending)

    @property
    def note(self) -> str:
        """The counts in a line, such as "41 headlines, 2 flagged, 17 names replaced"; without any text of the news."""
        names = sum(self.replaced.get(kind, 0) for kind in KINDS)
        counts = (names, "name"), *((self.replaced.get(kind, 0), kind) for kind in ("date", "level"))
        *most, last = [_counted(count, what) for count, what in counts if count] or [""]
        replaced = f"{', '.join(most)} and {last}" if most else last
        notes = (
            _counted(self.headlines, "headline"),
            _counted(self.duplicates, "duplicate") if self.duplicates else "",
            f"{self.empty} empty" if self.empty else "",
            f"{len(self.flagged)} flagged" if self.flagged else "",
            f"{replaced} replaced" if replaced else "",
        )
        return ", ".join(note for note in notes if note)

    @property
    def outcome(self) -> str:
        """The note, and what came of the questions; "" where there was no news."""
        unusable = f"{_counted(self.unusable, 'factor')} not used" if self.unusable else ""
        failed = f"no factors: {self.failure}" if self.failure else ""
        return "; ".join(part for part in (self.note, unusable, failed) if part) if self.headlines else ""


async def condense(
    headlines: Iterable[Headline],
    names: Names,
    ask: Ask,
    *,
    at: datetime,
    anonymous: bool = True,
    context_chars: int = CONTEXT_CHARS,
    horizon: int = EVERY,
    levels: Levels = "relative",
) -> NewsBrief:
    """Return the top factors of the headlines that were public at the time `at`.

    Only the headlines given are looked at; their order does not matter. No question is asked where none is left to
    show. A question that is not answered makes the whole brief fail: factors of a part of the month would be taken for
    all of it. What `ask` raises passes through.

    Args:
        headlines: each with `published_at`, a naive exchange time, and `text`.
        names: what must not reach the model, unless `anonymous` is off.
        ask: sends one question.
        at: when the decision is made, from which the age of each headline is counted back.
        context_chars: of headlines in one question.
        horizon: trading days that the headlines are of, and that the decision is for.
        levels: "relative" to keep levels of indices and prices from the model too, unless `anonymous` is off.

    Raises GuidanceError for a headline published after `at`, and for less than `LEAST_CONTEXT` `context_chars`.
    """
    if context_chars < LEAST_CONTEXT:
        raise GuidanceError(f"expected context_chars >= {LEAST_CONTEXT}, got {context_chars}")
    hide = partial(names.anonymise, levels=levels == "relative") if anonymous else None
    # Half a millisecond per headline, in which the event loop would serve no other question.
    brief, shown = await asyncio.to_thread(_edit, list(headlines), hide, at=at)
    quotable = _runs(one.text for one in shown)
    template, lines, note = "analyst", [f"({one.age}) {one.text}" for one in shown], brief.note
    while lines:
        parts = _split(lines, context_chars)
        asked = await _ask_all(template, parts, ask, note=note, anonymous=anonymous, horizon=horizon)
        brief = replace(brief, cost=Spending.total([brief.cost, *(one.cost for one in asked)]))
        failed = [one for one in asked if one.value is None]
        if failed:
            return replace(brief, failure=str(failed[0].failure or "the Analyst gave no answer"))
        given = [factor for one in asked if one.value is not None for factor in one.value.factors]
        factors, replaced = _usable(given, hide, quotable)
        brief = replace(
            brief,
            unusable=brief.unusable + len(given) - len(factors),
            replaced=Counter(brief.replaced) + replaced,
        )
        if given and not factors:
            return replace(brief, failure="none of the Analyst's factors can be used")
        if len(parts) == 1:
            return replace(brief, factors=tuple(factors))
        template, lines = "analyst-merge", [_line(factor) for factor in factors]
        note = f"merging {len(lines)} factors"
    return brief


class _Shown(NamedTuple):
    age: str
    text: str


def _edit(headlines: Iterable[Headline], hide: Hide | None, *, at: datetime) -> tuple[NewsBrief, list[_Shown]]:
    """Return the counts of what was left out, and what is shown to the model, oldest first."""
    ordered = sorted((headline.published_at, headline.text) for headline in headlines)
    seen: set[str] = set()
    shown: list[_Shown] = []
    flagged: list[str] = []
    replaced: Counter[str] = Counter()
    duplicates = empty = 0
    for published_at, raw in ordered:
        if published_at > at:
            raise GuidanceError(
                f"expected headlines published by {at}, got one of {published_at}; a decision may only use older news"
            )
        text = clean(raw, limit=LONGEST)  # cut only when the names are out of it: half a name would not be found
        if text in seen:
            duplicates += 1
            continue
        seen.add(text)
        found = Counter[str]()
        kind = carries_instructions(raw)
        if hide is not None:
            text, found = hide(text)
            kind = kind or carries_instructions(text)
        text = clean(text)
        if kind is not None:
            flagged.append(f"{kind}: {clean(text, limit=_EXCERPT_CHARS)}")
        elif not any(character.isalnum() for character in text):
            empty += 1
        else:
            replaced += found
            shown.append(_Shown(_age((at - published_at).days), text))
    brief = NewsBrief(
        headlines=len(ordered), duplicates=duplicates, empty=empty, flagged=tuple(flagged), replaced=replaced
    )
    return brief, shown


def _age(days: int) -> str:
    return "within the last day" if days == 0 else "1 day before" if days == 1 else f"{days} days before"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _line(factor: Factor) -> str:
    sentiment = f"{factor.sentiment:+d}" if factor.sentiment else "0"
    return f"(sentiment {sentiment}, impact {factor.impact}) {factor.text}"


def _split(lines: Sequence[str], most: int) -> list[list[str]]:
    """Return the lines, numbered through, in parts of at most `most` characters, or of one line that is longer."""
    parts: list[list[str]] = [[]]
    size = 0
    for number, line in enumerate(lines, start=1):
        numbered = f"{number}. {line}"
        if parts[-1] and size + len(numbered) + 1 > most:
            parts.append([])
            size = 0
        parts[-1].append(numbered)
        size += len(numbered) + 1
    return parts


async def _ask_all(
    template: str, parts: Sequence[Sequence[str]], ask: Ask, *, note: str, anonymous: bool, horizon: int
) -> list[Asked[AnalystReply]]:
    values = {"factors": FACTORS, "words": FACTOR_WORDS, "quoted": QUOTED_WORDS, "horizon": horizon}
    questions = [render(template, lines=part, anonymous=anonymous, **values) for part in parts]
    if len(parts) == 1:
        return [await ask(questions[0], AnalystReply, note=note)]
    return await asyncio.gather(
        *(
            ask(question, AnalystReply, note=f"{note}, part {number} of {len(parts)}")
            for number, question in enumerate(questions, start=1)
        )
    )


def _usable(
    given: Iterable[Factor], hide: Hide | None, quotable: frozenset[tuple[str, ...]]
) -> tuple[list[Factor], Counter[str]]:
    """Return the factors that may be passed on, edited as headlines are, and the names replaced in them."""
    factors: list[Factor] = []
    replaced: Counter[str] = Counter()
    for factor in given:
        flagged = carries_instructions(factor.text)
        text, found = clean(factor.text, limit=LONGEST), Counter[str]()
        if hide is not None:
            text, found = hide(text)
        text = clean(" ".join(text.split()[:FACTOR_WORDS]), limit=_FACTOR_CHARS)
        if flagged or carries_instructions(text) or _quotes(text, quotable) or not _words(text):
            continue
        replaced += found
        factors.append(Factor(text=text, sentiment=factor.sentiment, impact=factor.impact))
    return factors, replaced


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _runs(texts: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """Return all runs of `QUOTED_WORDS` words in the texts, whatever stands between the words; shorter texts whole."""
    every = (_words(text) for text in texts)
    return frozenset(
        tuple(words[i : i + QUOTED_WORDS])
        for words in every
        if words
        for i in range(max(1, len(words) - QUOTED_WORDS + 1))
    )


def _quotes(text: str, quotable: frozenset[tuple[str, ...]]) -> bool:
    """Whether a factor repeats a run of a headline, or is nothing but a short headline."""
    return bool(_runs([text]) & quotable)
