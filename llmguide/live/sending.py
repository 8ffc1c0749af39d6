"""Orders on their way: written, sent, asked for, cancelled; and what the kill switch does to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from llmguide.file_lock import FileLock
from llmguide.live.book import Book, position_key
from llmguide.live.journal import Journal
from llmguide.live.limits import Exposure, Limits, not_live
from llmguide.live.orders import Intent, Report, Wanted
from llmguide.live.tape import Steps
from llmguide.live.venues import Account, Venue

T = TypeVar("T")

__all__ = ["KILL_SWITCH", "Sender", "by_name", "journal_lock", "kill_file"]

KILL_SWITCH = "kill switch"
"""Who sends the orders that close positions when the kill switch is turned on."""

TRIES, PAUSE = 5, 0.05
"""How often an order is tried at once where the connection breaks, and seconds before the second time."""


def kill_file(journal: Path) -> Path:
    """Return the file whose being there turns a journal's kill switch on."""
    return journal.with_name(journal.name + ".kill")


def journal_lock(journal: Path) -> FileLock:
    """Return the lock of the one process that may trade with a journal."""
    return FileLock(
        journal.with_name(journal.name + ".lock"),
        busy=f"another process trades with the journal {journal}",
        advice="stop it first, or use another journal",
    )


class Sender:
    """Sends what the limits let pass, each order once, and hears what becomes of it.

    What is heard is written for the next step, in which strategies see it.

    Attributes:
        heard: the last report of each order, also those that no strategy has seen yet.
        unknown: orders that may or may not have reached the venue.
        unreachable: why the venue could not be asked when the step began, "" where it could.
        differs: how the venue's positions differ from those that follow from its reports, "" where they agree.
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        book: Book,
        steps: Steps,
        limits: Limits,
        *,
        datas: Mapping[str, Any],
        clock: Callable[[], datetime],
        note: Callable[[str], None],
    ) -> None:
        self._venue, self._journal, self._book, self._steps, self._limits = venue, journal, book, steps, limits
        self._datas, self._clock, self._note = datas, clock, note
        self._kill_file = kill_file(journal.path)
        self.heard = journal.last_reports()
        self.unknown: dict[str, Intent] = {}
        self.unreachable = self.differs = ""
        for intent in journal.intents("refused = ''"):
            report = self.heard.get(intent.id)
            if report is None:
                self.unknown[intent.id] = intent
            elif not report.over and venue.knows_ids:
                venue.adopt(intent, report, datas[intent.wanted.feed])
            elif not report.over:
                self.unknown[intent.id] = intent
        if self.unknown and not venue.knows_ids:
            note(
                f"this broker cannot be asked what became of {', '.join(self.unknown)}; look them up there and say so: "
                "llmguide live settle. No orders until then"
            )

    @property
    def today(self) -> str:
        """The clock's date."""
        return self._clock().strftime("%Y-%m-%d")

    def refusal(self, wanted: Wanted, value: float) -> str:
        """Return why an order must not be sent, "" where it may; `value` is the account's."""
        data = self._datas[wanted.feed]
        tripped = self._journal.tripped()
        if tripped:
            return f"the kill switch is on: {tripped}"
        waiting = ", ".join(self.unknown)
        return (
            (f"the broker cannot be reached: {self.unreachable}" if self.unreachable else "")
            or (f"it is not known whether {waiting} reached the broker" if waiting else "")
            or (f"positions differ from the broker's: {self.differs}" if self.differs else "")
            or not_live(data)
            or self._limits.too_old(data, self._clock())
            or self._limits.refuses(self._exposure(wanted, value), sent_today=self._journal.sent_on(self.today))
        )

    def send(self, intent: Intent, owner: Any) -> None:
        """Send an order that the journal holds; where the connection breaks, ask for it before it is sent again."""
        data = self._datas[intent.wanted.feed]
        try:
            try:
                report = self._venue.send(intent, owner, data)
            except ConnectionError:
                if not self._venue.knows_ids:
                    raise
                report = self._persist(lambda: self._found(intent) or self._venue.send(intent, owner, data))
        except ConnectionError as error:
            self._note(f"it is not known whether {intent.id} ({intent.wanted}) reached the broker: {error}")
            self.unknown[intent.id] = intent
        else:
            if report is not None:
                self._hear([report])

    def settle(self, owner: Any, *, send: bool = True) -> None:
        """Learn of orders of which it is not known whether they arrived.

        What did not arrive is sent, if it is of the current step and `send` is True, and given up otherwise.
        """
        for id, intent in list(self.unknown.items()):
            if not self._venue.knows_ids:
                continue
            try:
                found = self._persist(partial(self._found, intent))
                if found is None and send and intent.step == self._steps.now and self._still_wanted(intent):
                    del self.unknown[id]
                    self.send(intent, owner)
                    continue
                if found is None:  # after this it is not taken any more, should it still be on its way
                    found = self._persist(partial(self._venue.cancel, id)) or Report(id, "rejected")
                    self._note(f"{id} ({intent.wanted}) never reached the broker and is given up: its bar is over")
            except ConnectionError:
                return
            del self.unknown[id]
            self._hear([found])

    def _found(self, intent: Intent) -> Report | None:
        """Ask the venue for an order, and go on with it where it is there."""
        found = self._venue.find(intent.id)
        if found is not None and not found.over:
            self._venue.adopt(intent, found, self._datas[intent.wanted.feed])
        return found

    def _persist(self, call: Callable[[], T]) -> T:
        """Return what a call returns; where the connection breaks, call a few times more."""
        for tried in range(1, TRIES):
            try:
                return call()
            except ConnectionError:
                time.sleep(PAUSE * tried)
        return call()

    def poll(self) -> list[Report]:
        """Return what is new of the orders, and keep it in mind; ConnectionError where the venue cannot be asked."""
        return [report for report in self._persist(self._venue.poll) if self._is_news(report)]

    def listen(self) -> None:
        """Write down what is new of the orders, between two steps."""
        try:
            self._hear(self.poll(), known=True)
        except ConnectionError:
            return

    def account(self, datas: Sequence[Any]) -> Account:
        """Return what the venue says of the account."""
        return self._venue.account(datas)

    def cancel(self, id: str) -> Report | None:
        """Cancel an order; return the venue's answer where it is final."""
        try:
            answer = self._persist(partial(self._venue.cancel, id))
        except ConnectionError as error:
            self._note(f"{id} could not be cancelled: {error}")
            return None
        if answer is None or not answer.over:
            return None
        self.heard[id] = answer
        self.unknown.pop(id, None)
        return answer

    def watch_kill_switch(self, lost: str = "") -> str:
        """Turn the kill switch on where its file is there or too much was lost; return why it is on, or ""."""
        on = self._journal.tripped()
        if on:
            return on
        if self._kill_file.exists():
            said = self._kill_file.read_text(encoding="utf-8", errors="replace").strip()
            lost = said or f"{self._kill_file} is there"
        if lost:
            self._journal.trip(lost)
            self._note(f"the kill switch is on: {lost}")
            for id in self._book.open():
                answer = self.cancel(id)
                if answer is not None:
                    self._journal.hear(self._steps.now + 1, [answer])
        return lost

    def flatten(self, owner: Any, name: Callable[[Wanted, Any], str]) -> None:
        """Close, at the market, every position that no open order closes already."""
        for feed, data in self._datas.items():
            size = self._book.position(data).size
            if not size or not len(data) or self._waits_for(feed):
                continue
            wanted = Wanted(KILL_SWITCH, feed, -size, "market", None, None)
            intent = Intent(name(wanted, data), self._steps.now, wanted, float(data.datetime[0]), self.today)
            self._journal.intend(intent)
            self.send(intent, owner)

    def _waits_for(self, feed: str) -> bool:
        if any(intent.wanted.feed == feed for intent in self.unknown.values()):
            return True
        mine = self._journal.intents("strategy = ? AND feed = ? AND refused = ''", KILL_SWITCH, feed)
        return any(intent.id not in self.heard or not self._seen_to_the_end(intent.id) for intent in mine)

    def _seen_to_the_end(self, id: str) -> bool:
        """Whether an order is over, and the book knows it."""
        known = self._book.reports.get(id)
        return known is not None and known.over

    def _still_wanted(self, intent: Intent) -> bool:
        data = self._datas[intent.wanted.feed]
        killed = self._journal.tripped() and intent.wanted.strategy != KILL_SWITCH
        return not killed and not self._limits.too_old(data, self._clock())

    def _exposure(self, wanted: Wanted, value: float) -> Exposure:
        """Return what an order does to positions, with all that is open already."""
        worth = dict.fromkeys(self._datas, 0.0)
        for feed, data in self._datas.items():
            if len(data):
                price = float(data.close[0])
                waiting = sum(self._book.orders[id].executed.remsize for id in self._book.open(feed))
                worth[feed] = (self._book.position(data).size + waiting) * price
        before = worth.pop(wanted.feed)
        after = before + wanted.size * float(self._datas[wanted.feed].close[0])
        return Exposure(before, after, sum(map(abs, worth.values())), value)

    def _is_news(self, report: Report) -> bool:
        if not report.follows(self.heard.get(report.id)):
            return False
        self.heard[report.id] = report
        self.unknown.pop(report.id, None)
        return True

    def _hear(self, reports: Sequence[Report], *, known: bool = False) -> None:
        news = [report for report in reports if known or self._is_news(report)]
        self._journal.hear(self._steps.now + 1, news)


def by_name(datas: Sequence[Any]) -> dict[str, Any]:
    """Return feeds by the name under which their orders are kept."""
    return {position_key(data): data for data in datas}
