"""What a trader has seen, meant and heard, on disk before anything follows from it.

A run is a sequence of steps: a step is one pass of a Cerebro in which at least one feed has a new bar. What strategies
know in a step (bars, cash, the broker's reports) is written when it begins and does not change afterwards: a strategy
that is shown the steps again decides again what it decided. Orders are written before they are sent.

Every method that writes is one transaction, and has reached the disk when it returns (SQLite's WAL, synchronous=FULL).
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from llmguide.errors import JournalError
from llmguide.live.orders import Intent, Report, Wanted
from llmguide.live.tape import Bar

__all__ = ["Cancel", "Journal", "Note", "Position", "Step"]

SCHEMA = 1
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE steps (step INTEGER PRIMARY KEY, day TEXT NOT NULL, cash REAL NOT NULL, value REAL NOT NULL,
                    done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE bars (step INTEGER NOT NULL, feed TEXT NOT NULL, call INTEGER NOT NULL, status INTEGER NOT NULL,
                   line_values TEXT NOT NULL);
CREATE TABLE intents (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, step INTEGER NOT NULL,
                      strategy TEXT NOT NULL, feed TEXT NOT NULL, size REAL NOT NULL, kind TEXT NOT NULL,
                      price REAL, valid REAL, stamp REAL NOT NULL, day TEXT NOT NULL, refused TEXT NOT NULL);
CREATE TABLE reports (number INTEGER PRIMARY KEY, step INTEGER NOT NULL, id TEXT NOT NULL, status TEXT NOT NULL,
                      filled REAL NOT NULL, price REAL NOT NULL, fee REAL NOT NULL, note TEXT NOT NULL);
CREATE TABLE cancels (step INTEGER NOT NULL, id TEXT NOT NULL, answer TEXT, PRIMARY KEY (step, id));
CREATE TABLE notes (number INTEGER PRIMARY KEY, at TEXT NOT NULL, step INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE switch (number INTEGER PRIMARY KEY, at TEXT NOT NULL, tripped INTEGER NOT NULL, why TEXT NOT NULL);
CREATE TABLE answers (question TEXT PRIMARY KEY, reply TEXT NOT NULL);
CREATE INDEX intents_by_step ON intents (step);
CREATE INDEX intents_by_day ON intents (day);
CREATE INDEX reports_by_step ON reports (step);
"""


class Position(NamedTuple):
    """Shares held, negative when short, and their mean price."""

    size: float
    price: float


class Cancel(NamedTuple):
    """A strategy's wish to cancel an order, and what the broker answered at once, if it did."""

    id: str
    answer: Report | None


class Note(NamedTuple):
    """Something that a person should know."""

    at: str
    step: int
    text: str


class Step(NamedTuple):
    """One step as it was lived; reports came before the strategies' turn, cancels during it."""

    step: int
    cash: float
    done: bool
    reports: list[Report]
    intents: list[Intent]
    cancels: list[Cancel]


class Journal:
    """The journal of a live run: an SQLite file with everything that was seen, ordered and reported.

    Every method that writes is one transaction, which has reached the disk when it returns.

    Args:
        path: the file, created if missing.
        must_exist: refuse a file that does not exist instead of creating it.

    Raises JournalError where the file is not a journal, or one of another version of llmguide.
    """

    def __init__(self, path: Path | str, *, must_exist: bool = False) -> None:
        self.path = Path(path)
        if must_exist and not self.path.is_file():
            raise JournalError(f"there is no journal {self.path}")
        if must_exist and not self.path.stat().st_size:
            raise JournalError(f"{self.path} is not a journal of llmguide (it is empty); give another path")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One thread uses it, but any may collect it, and then closes it.
        self._db = sqlite3.connect(self.path, isolation_level=None, timeout=30.0, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise JournalError(f"{self.path} is not a journal of llmguide ({error}); give another path") from None
        except JournalError:
            self._db.close()
            raise

    def __del__(self) -> None:
        """Close the file of a run that raised, which Cerebro does not stop, as Python 3.13 wants it said."""
        if hasattr(self, "_db"):
            self._db.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # What a run is of

    def meta(self, key: str) -> Any:
        """Return the value kept under `key`, None where there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep(self, **values: Any) -> None:
        """Keep `values` by name."""
        with self._transaction():
            self._keep(values)

    # Steps

    @property
    def last_step(self) -> int:
        """The number of the last step, 0 where there is none; the first is 1."""
        return int(self._db.execute("SELECT COALESCE(MAX(step), 0) FROM steps").fetchone()[0])

    def step(self, number: int) -> Step:
        """Return the step of a `number`; KeyError where there is none."""
        row = self._db.execute("SELECT cash, done FROM steps WHERE step = ?", (number,)).fetchone()
        if row is None:
            raise KeyError(number)
        cancels = self._db.execute("SELECT id, answer FROM cancels WHERE step = ? ORDER BY rowid", (number,))
        return Step(
            number,
            row[0],
            bool(row[1]),
            self.reports(number),
            self.intents("step = ?", number),
            [Cancel(id, None if answer is None else Report(*json.loads(answer))) for id, answer in cancels],
        )

    def bars(self, feed: str) -> Iterator[tuple[int, Bar]]:
        """Yield the bars of the feed named `feed` with their steps, oldest first."""
        rows = self._db.execute(
            "SELECT step, call, status, line_values FROM bars WHERE feed = ? ORDER BY rowid", (feed,)
        )
        for step, call, status, values in rows:
            yield step, Bar(call, status, json.loads(values))

    def begin(
        self,
        step: int,
        *,
        day: str,
        bars: Sequence[tuple[str, Bar]],
        reports: Sequence[Report],
        cash: float,
        value: float,
        keep: Mapping[str, Any],
    ) -> None:
        """Record what is known in a step before strategies see it; the step before it is then over.

        Args:
            step: number of the step, one more than the last.
            day: the clock's date, such as "2024-01-05".
            bars: new bars by feed.
            reports: the broker's reports, after those already recorded for this step.
            cash: the account's cash.
            value: the account's value.
            keep: values to keep in the same transaction, as `Journal.keep` does.
        """
        with self._transaction():
            self._db.execute("UPDATE steps SET done = 1 WHERE step = ?", (step - 1,))
            self._db.execute("INSERT INTO steps (step, day, cash, value) VALUES (?, ?, ?, ?)", (step, day, cash, value))
            self._db.executemany(
                "INSERT INTO bars VALUES (?, ?, ?, ?, ?)",
                [(step, feed, bar.call, bar.status, json.dumps(bar.values)) for feed, bar in bars],
            )
            self._report(step, reports)
            self._keep(keep)

    def finish(self, step: int) -> None:
        """Record that the strategies have had their turn in `step`."""
        with self._transaction():
            self._db.execute("UPDATE steps SET done = 1 WHERE step = ?", (step,))

    def value_before(self, day: str) -> float | None:
        """Return the account's value at the last step before `day`; where there is none, at the first step."""
        row = self._db.execute(
            "SELECT value FROM steps ORDER BY day < ? DESC, CASE WHEN day < ? THEN -step ELSE step END LIMIT 1",
            (day, day),
        ).fetchone()
        return None if row is None else float(row[0])

    def last_account(self) -> tuple[str, float, float] | None:
        """Return day, cash and value of the last step; None before the first."""
        row = self._db.execute("SELECT day, cash, value FROM steps ORDER BY step DESC LIMIT 1").fetchone()
        return None if row is None else (row[0], row[1], row[2])

    # Orders

    def intend(self, intent: Intent) -> None:
        """Record the order `intent` before it is sent; JournalError where one of its name exists already."""
        row = (intent.id, intent.step, *intent.wanted, intent.stamp, intent.day, intent.refused)
        try:
            with self._transaction():
                self._db.execute(
                    "INSERT INTO intents (id, step, strategy, feed, size, kind, price, valid, stamp, day, refused) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
        except sqlite3.IntegrityError:
            raise JournalError(f"{self.path} already has an order {intent.id}; it is not sent again") from None

    def intents(self, where: str = "1", *values: Any) -> list[Intent]:
        """Return orders as recorded, oldest first; `where` is a condition in SQL, `values` those of its
        placeholders.
        """
        rows = self._db.execute(
            "SELECT id, step, strategy, feed, size, kind, price, valid, stamp, day, refused FROM intents "
            f"WHERE {where} ORDER BY number",
            values,
        )
        return [Intent(row[0], row[1], Wanted(*row[2:8]), *row[8:]) for row in rows]

    def sent_on(self, day: str) -> int:
        """Return how many orders of `day` were not refused."""
        counted = self._db.execute("SELECT COUNT(*) FROM intents WHERE day = ? AND refused = ''", (day,))
        return int(counted.fetchone()[0])

    def hear(self, step: int, reports: Sequence[Report]) -> None:
        """Record `reports` that strategies will see in `step`."""
        if reports:
            with self._transaction():
                self._report(step, reports)

    def reports(self, step: int) -> list[Report]:
        """Return the reports that strategies see, or will see, in `step`."""
        rows = self._db.execute(
            "SELECT id, status, filled, price, fee, note FROM reports WHERE step = ? ORDER BY number", (step,)
        )
        return [Report(*row) for row in rows]

    def last_reports(self) -> dict[str, Report]:
        """Return the newest report of every order that has one, by the order's name."""
        rows = list(self._db.execute("SELECT id, status, filled, price, fee, note FROM reports ORDER BY number"))
        answers = self._db.execute("SELECT answer FROM cancels WHERE answer IS NOT NULL ORDER BY rowid")
        newest: dict[str, Report] = {}
        for report in (Report(*row) for row in (*rows, *(json.loads(answer) for (answer,) in answers))):
            if report.follows(newest.get(report.id)):
                newest[report.id] = report
        return newest

    def cancel(self, step: int, id: str, answer: Report | None) -> None:
        """Record that a strategy cancelled the order `id` in `step`, and the broker's `answer`, if any."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO cancels VALUES (?, ?, ?)", (step, id, None if answer is None else json.dumps(answer))
            )

    # The kill switch

    def tripped(self) -> str:
        """Return why the kill switch is on, "" where it is off."""
        row = self._db.execute("SELECT tripped, why FROM switch ORDER BY number DESC LIMIT 1").fetchone()
        return str(row[1]) if row is not None and row[0] else ""

    def trip(self, why: str) -> None:
        """Turn the kill switch on; `why` is kept."""
        self._turn(True, why)

    def reset(self, why: str) -> None:
        """Turn the kill switch off; `why` is kept."""
        self._turn(False, why)

    def _turn(self, on: bool, why: str) -> None:
        with self._transaction():
            self._db.execute("INSERT INTO switch (at, tripped, why) VALUES (?, ?, ?)", (_now(), on, why))

    # Notes, and answers that cost money

    def note(self, step: int, text: str) -> None:
        """Record a note for a person: a `text`, and the `step` it belongs to."""
        with self._transaction():
            self._db.execute("INSERT INTO notes (at, step, text) VALUES (?, ?, ?)", (_now(), step, text))

    def notes(self) -> list[Note]:
        """Return all notes, oldest first."""
        return [Note(*row) for row in self._db.execute("SELECT at, step, text FROM notes ORDER BY number")]

    def answer(self, question: str) -> Any:
        """Return the recorded answer to `question`, None where it was not asked yet."""
        row = self._db.execute("SELECT reply FROM answers WHERE question = ?", (question,)).fetchone()
        return None if row is None else json.loads(row[0])

    def remember(self, question: str, reply: Any) -> None:
        """Record the `reply` to `question`."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (question, json.dumps(reply)))

    # How it is written

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._keep({"schema": SCHEMA})
        schema = self.meta("schema")
        if schema != SCHEMA:
            raise JournalError(
                f"{self.path} is a journal of another version of llmguide ({schema}, this one writes "
                f"{SCHEMA}); continue with that version, or start a new journal"
            )

    def _keep(self, values: Mapping[str, Any]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in values.items()]
        )

    def _report(self, step: int, reports: Sequence[Report]) -> None:
        for report in reports:
            if not all(map(math.isfinite, (report.filled, report.price, report.fee))):
                raise JournalError(f"the broker reports {report}, in which a number is not finite")
        self._db.executemany(
            "INSERT INTO reports (step, id, status, filled, price, fee, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(step, *report) for report in reports],
        )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
