"""The kill switch from outside, and what a journal says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmguide.errors import JournalError
from llmguide.files import write_text
from llmguide.live.journal import Journal, Note
from llmguide.live.orders import Intent, Report
from llmguide.live.sending import kill_file

__all__ = ["Status", "kill", "reset", "status"]


@dataclass(frozen=True)
class Status:
    """What a journal says of its run."""

    dry_run: bool
    steps: int
    day: str  # of the last step, "" before the first
    cash: float
    value: float
    positions: dict[str, float]  # shares by feed, without the flat ones
    killed: str  # why the kill switch is on, "" where it is off
    sent: int  # orders that were not refused
    refused: int
    open: list[Intent]
    unknown: list[Intent]  # sent, and nothing was heard of them yet
    notes: list[Note]


def kill(journal: Path | str, why: str = "by hand") -> Path:
    """Turn the kill switch of a journal on, also of a trader that runs now; return the file that does it."""
    Journal(journal, must_exist=True).close()
    return write_text(kill_file(Path(journal)), why + "\n")


def reset(journal: Path | str, why: str) -> None:
    """Turn the kill switch off; `why` is a person's reason, and is kept. Raises JournalError where it is off."""
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


def status(journal: Path | str, *, notes: int = 10) -> Status:
    """Return what a journal says, with its newest notes; a trader may be running on it."""
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
