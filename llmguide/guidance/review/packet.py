"""The months that are to be reviewed, in the order in which every reviewer sees them.

A month of an instrument is there once, with the answer of one prompt: a reviewer who has seen one answer can no longer
say for another what he would have said himself. The months of an instrument come in the order of their dates, since a
later one's data show what became of an earlier one; instruments take turns at random. So nothing that a reviewer has
seen tells what is asked next. All reviewers see the same months in the same order: their scores can be compared month
by month.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from llmguide.errors import GuidanceError
from llmguide.guidance.news.anonymise import Names
from llmguide.guidance.review.kept import KeptMonth
from llmguide.guidance.review.stored import Stored, read_stored, write_stored

__all__ = ["MONTHS", "PACKET_FILE", "Packet", "choose"]

MONTHS = 10
"""Months that a reviewer sees unless told otherwise, as in the paper authors' survey."""

PACKET_FILE = "packet.json"
"""Name of the file in a review's folder."""


class Packet(Stored):
    """What is reviewed; the same for every reviewer."""

    format: Literal["llmguide packet 1"] = "llmguide packet 1"
    seed: int
    months: tuple[KeptMonth, ...]

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the months and their order."""
        return hashlib.sha256(" ".join(month.id for month in self.months).encode()).hexdigest()[:16]

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each month, from 0, by its id."""
        return {month.id: place for place, month in enumerate(self.months)}

    @property
    def named(self) -> tuple[KeptMonth, ...]:
        """The months whose data or reasons name their instrument, by its symbol: reviewers would recognise it."""
        return tuple(
            month
            for month in self.months
            for shown in ["\n".join([*(one.content for one in month.question), month.reply.explanation])]
            if Names.of(month.symbol).anonymise(shown).replaced["ticker"]
        )

    def write(self, folder: Path) -> Path:
        """Write it into a review's folder; return the path."""
        return write_stored(folder / PACKET_FILE, self)

    @classmethod
    def read(cls, folder: Path) -> Packet:
        """Read it from a review's folder; GuidanceError where there is none."""
        return read_stored(folder / PACKET_FILE, cls, made_by="`llmguide review open` or `page`")


def choose(
    kept: Sequence[KeptMonth], *, months: int = MONTHS, prompts: Sequence[str] | None = None, seed: int = 0
) -> Packet:
    """Draw months to review: as evenly over instruments and prompts as they allow.

    Args:
        kept: the months of a run.
        months: how many are drawn; all months of all instruments, where there are fewer.
        prompts: whose answers are reviewed; None for all.
        seed: of the draw; the same seed gives the same packet.

    Raises GuidanceError for no month, an unknown prompt, and two answers to one question of a prompt.
    """
    known = sorted({month.prompt for month in kept})
    for prompt in prompts or ():
        if prompt not in known:
            raise GuidanceError(f"there are no answers of the prompt {prompt!r}; known: {', '.join(known) or 'none'}")
    if months < 1:
        raise GuidanceError(f"expected at least one month to review, got {months}")
    random = np.random.default_rng(seed)
    kept = sorted(kept, key=lambda month: (month.symbol, month.issued_at, month.prompt))
    open_months: dict[str, list[dict[str, KeptMonth]]] = {}  # by symbol: for each date the answers by prompt
    for symbol in sorted({month.symbol for month in kept}):
        dates: dict[object, dict[str, KeptMonth]] = {}
        for month in kept:
            if month.symbol == symbol and (prompts is None or month.prompt in prompts):
                answers = dates.setdefault(month.issued_at, {})
                if month.prompt in answers:
                    raise GuidanceError(
                        f"expected one answer of {month.prompt} for {symbol} on {month.issued_at:%Y-%m-%d}, got two"
                    )
                answers[month.prompt] = month
        drawn = list(dates.values())
        open_months[symbol] = [drawn[at] for at in random.permutation(len(drawn))]
    picked = _pick(open_months, months, random)
    if not picked:
        raise GuidanceError("expected months with an answer to review, got none; ask for guidance first")
    return Packet(seed=seed, months=_in_turns(picked, random))


def _pick(
    open_months: dict[str, list[dict[str, KeptMonth]]], count: int, random: np.random.Generator
) -> list[KeptMonth]:
    """Take a month of each instrument in turn, and of it the prompt that was taken least."""
    taken: dict[str, int] = {}
    picked: list[KeptMonth] = []
    while len(picked) < count and any(open_months.values()):
        symbols = [symbol for symbol in open_months if open_months[symbol]]
        for at in random.permutation(len(symbols))[: count - len(picked)]:
            answers = open_months[symbols[at]].pop()
            tied = random.permutation(len(answers))
            names = sorted(answers)
            chosen = min((taken.get(names[i], 0), int(tied[i]), names[i]) for i in range(len(names)))[-1]
            taken[chosen] = taken.get(chosen, 0) + 1
            picked.append(answers[chosen])
    return picked


def _in_turns(picked: Sequence[KeptMonth], random: np.random.Generator) -> tuple[KeptMonth, ...]:
    """Instruments in a random order of turns, each instrument's months by date."""
    turns = [picked[at].symbol for at in random.permutation(len(picked))]
    waiting = {
        symbol: iter(sorted((one for one in picked if one.symbol == symbol), key=lambda one: one.issued_at))
        for symbol in set(turns)
    }
    return tuple(next(waiting[symbol]) for symbol in turns)
