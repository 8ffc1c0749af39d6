"""The kill switch from outside, and what a journal says."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from llmguide.errors import JournalError, did_you_mean
from llmguide.files import write_text
from llmguide.live.journal import Journal, Note
from llmguide.live.orders import Intent, Report
from llmguide.live.sending import journal_lock, kill_file

__all__ = ["Status", "kill", "reset", "settle", "status"]


@dataclass(frozen=True)
class Status:
    """The state of a live run, as recorded in its journal.

    Attributes:
        dry_run: whether orders are only filled on paper.
        steps: number of steps so far.
        day: date of the last step, "" before the first.
        cash: cash when the last step began, in money.
        value: the account's value then.
        positions: shares by feed, flat ones left out.
        killed: why the kill switch is on, "" where it is off.
        sent: number of orders that were not refused.
        refused: number of orders that a limit refused.
        open: orders that are neither filled nor otherwise over.
        unknown: orders that were sent and of which nothing was heard yet.
        notes: the newest notes, oldest first.
    """

    dry_run: bool
    steps: int
    day: str
    cash: float
    value: float
    positions: dict[str, float]
    killed: str
    sent: int
    refused: int
    open: list[Intent]
    unknown: list[Intent]
    notes: list[Note]


def kill(journal: Path | str, why: str = "by hand") -> Path:
    """Turn on the kill switch of a journal, also while a trader runs on it; return the file that does so.

    Args:
        journal: the journal's file.
        why: reason, which is kept.

    Raises JournalError where there is no such journal.
    """
    Journal(journal, must_exist=True).close()
    return write_text(kill_file(Path(journal)), why + "\n")


def reset(journal: Path | str, why: str) -> None:
    """Turn the kill switch off.

    Args:
        journal: the journal's file.
        why: a person's reason, which is kept.

    Raises JournalError without a reason, where the switch is off, and where there is no such journal.
    """
    path = Path(journal)
    if not why.strip():
        raise JournalError("say why the kill switch is turned off")
    book = Journal(path, must_exist=True)
    try:
        file = kill_file(path)
        if not book.tripped() and not file.exists():
            raise JournalError(f"the kill switch of {path} is off")
        file.unlink(missing_ok=True)
        book.reset(why)
        book.note(book.last_step, f"the kill switch is off: {why}")
    finally:
        book.close()


def settle(journal: Path | str, order: str, *, filled: float = 0.0, price: float = 0.0, fee: float = 0.0) -> None:
    """Record what became of an order that its broker cannot be asked for; the trader must not be running.

    Args:
        journal: the journal's file.
        order: the order's name.
        filled: shares bought or sold, without a sign; 0 for an order that never arrived or was cancelled before it was
            filled. What was not filled must be cancelled at the broker.
        price: mean price of what was filled.
        fee: total fees of what was filled.

    Raises JournalError where there is no such order, its end is known, or `filled` and `price` are impossible;
    LlmguideError while the trader runs.
    """
    path = Path(journal)
    with closing(Journal(path, must_exist=True)) as book:
        lock = journal_lock(path)
        try:
            known = {intent.id: intent for intent in book.intents("refused = ''")}
            if order not in known:
                raise JournalError(f"{path} sent no order {order!r}{did_you_mean(order, known)}")
            report, size = book.last_reports().get(order), known[order].wanted.size
            if report is not None and report.over:
                raise JournalError(f"{order} is already settled: {report.status}, {report.filled:g} filled")
            if not 0.0 <= filled <= abs(size):
                raise JournalError(f"{order} is of {abs(size):g} shares, so filled is from 0 to that, got {filled:g}")
            if filled and not price > 0.0:
                raise JournalError(f"give the price at which {filled:g} shares were filled")
            end = "filled" if filled == abs(size) else "canceled"
            told = Report(order, end, math.copysign(filled, size) if filled else 0.0, price, fee, "told by a person")
            book.hear(book.last_step + 1, [told])
        finally:
            del lock


def status(journal: Path | str, *, notes: int = 10) -> Status:
    """Return the state of a live run, also while a trader is running.

    Args:
        journal: the journal's file.
        notes: how many of the newest notes to return.

    Raises JournalError where there is no such journal.
    """
    path = Path(journal)
    book = Journal(path, must_exist=True)
    try:
        intents, heard = book.intents(), book.last_reports()
        sent = [intent for intent in intents if not intent.refused]
        day, cash, value = book.last_account() or ("", book.meta("cash") or 0.0, book.meta("cash") or 0.0)
        file = kill_file(path)
        return Status(
            bool(book.meta("dry_run")),
            book.last_step,
            day,
            cash,
            value,
            _positions(book, sent, heard),
            book.tripped() or (file.read_text(encoding="utf-8").strip() or "by hand" if file.exists() else ""),
            len(sent),
            len(intents) - len(sent),
            [intent for intent in sent if intent.id in heard and not heard[intent.id].over],
            [intent for intent in sent if intent.id not in heard],
            book.notes()[-notes:],
        )
    finally:
        book.close()


def _positions(book: Journal, sent: list[Intent], heard: dict[str, Report]) -> dict[str, float]:
    held = {feed: float(size) for feed, (size, _) in (book.meta("base") or {}).items()}
    for intent in sent:
        if intent.id in heard:
            held[intent.wanted.feed] = held.get(intent.wanted.feed, 0.0) + heard[intent.id].filled
    return {feed: size for feed, size in held.items() if size}
