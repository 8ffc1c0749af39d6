"""Every request and its raw reply, in one SQLite file: what is in it is never paid for again.

The file may be used by several processes and threads at once, on one machine; `llmguide.llm.leases` says which
questions are under way, so that two that want the same answer pay for it once. It runs in WAL mode with
`synchronous = FULL`: a commit is on the disk when it returns, so that neither a killed process nor a power cut loses a
reply. That costs milliseconds for each, which is nothing beside the second that the reply took. Bodies are compressed
(zlib): with log-probabilities they are large, and a tenth of it is left.

The file holds requests, replies, endpoints and the ledger's rows; never a header or a key.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, get_args

from llmguide.errors import LanguageModelError, did_you_mean
from llmguide.files import atomic_path
from llmguide.llm.probe import Capabilities
from llmguide.llm.protocol import RawReply, ReplyFormat, Request
from llmguide.llm.refusals import BOUNDS, DISPENSABLE, LIMIT

__all__ = ["Cache", "Imported"]

_APPLICATION = 0x6C6C6D67  # "llmg", in SQLite's header
_VERSION = 3
_TABLES = """
CREATE TABLE replies (
    request_key TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL,
    body BLOB NOT NULL, seconds REAL NOT NULL, stored_at TEXT NOT NULL,
    PRIMARY KEY (request_key, endpoint)
);
CREATE INDEX replies_by_model ON replies (model);
CREATE TABLE capabilities (
    endpoint TEXT NOT NULL, model TEXT NOT NULL, logprobs_wanted INTEGER NOT NULL,
    reply_format TEXT NOT NULL, logprobs INTEGER NOT NULL, note TEXT NOT NULL,
    refused TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (endpoint, model, logprobs_wanted)
);
CREATE TABLE uses (
    study TEXT NOT NULL, request_key TEXT NOT NULL, endpoint TEXT NOT NULL,
    PRIMARY KEY (study, request_key, endpoint)
) WITHOUT ROWID;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL,
    study TEXT NOT NULL, role TEXT NOT NULL, instrument TEXT NOT NULL, prompt TEXT NOT NULL, issued_at TEXT NOT NULL,
    request_key TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, answered INTEGER NOT NULL,
    prompt_tokens INTEGER, cached_tokens INTEGER, completion_tokens INTEGER, reasoning_tokens INTEGER,
    most_prompt_tokens INTEGER NOT NULL, most_completion_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL, outcome TEXT NOT NULL, note TEXT NOT NULL, batched INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX calls_by_study ON calls (study);
"""
_SINCE_3 = """
CREATE TABLE under_way (
    request_key TEXT NOT NULL, endpoint TEXT NOT NULL, study TEXT NOT NULL, model TEXT NOT NULL,
    owner TEXT NOT NULL, renewed_at REAL NOT NULL,
    most_prompt_tokens INTEGER NOT NULL, most_completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (request_key, endpoint)
) WITHOUT ROWID;
CREATE TABLE batches (
    endpoint TEXT NOT NULL, id TEXT NOT NULL, study TEXT NOT NULL, created_at TEXT NOT NULL,
    PRIMARY KEY (endpoint, id)
) WITHOUT ROWID;
CREATE TABLE batch_requests (
    endpoint TEXT NOT NULL, batch TEXT NOT NULL, request_key TEXT NOT NULL, request BLOB NOT NULL, model TEXT NOT NULL,
    study TEXT NOT NULL, role TEXT NOT NULL, instrument TEXT NOT NULL, prompt TEXT NOT NULL, issued_at TEXT NOT NULL,
    note TEXT NOT NULL, most_prompt_tokens INTEGER NOT NULL, most_completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (endpoint, batch, request_key)
);
"""


class Imported(NamedTuple):
    """What an import found: replies that are new here, and replies that were here already."""

    added: int
    present: int


class Cache:
    """The replies that are kept in the SQLite file at `path`, which is made if it is missing and `create` allows it.

    A reply belongs to a request and an endpoint: a model of the same name elsewhere is another model. Raises
    LanguageModelError for a file that is no such cache, is from a newer llmguide, or cannot be written.
    """

    def __init__(self, path: Path | str, *, create: bool = True, patience: float = 30.0) -> None:
        self.path = Path(path)
        if not create and not self.path.exists():
            raise LanguageModelError(f"no cache of replies at {path}; give the cache file that the study was run with")
        self._patience = patience  # seconds to wait for another process that is writing
        self._lock, self._process = threading.RLock(), os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection | None] = []
        with self._held():
            pass

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r})"

    def __reduce__(self) -> tuple[type[Cache], tuple[Path]]:
        return Cache, (self.path,)

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        """Close the file of a cache that was used again after it was closed, as Python 3.13 wants it said."""
        connection = getattr(self, "_connection", None)  # none where the file was refused
        if connection is not None and self._process == os.getpid():
            connection.close()

    def close(self) -> None:
        """Close the file; it is opened again when it is used again."""
        with self._held() as connection:
            connection.close()
            self._connection = None

    def get(self, request: Request, *, endpoint: str | None) -> RawReply | None:
        """Return the reply to `request` that `endpoint` gave, or None where there is none.

        Without an endpoint, any endpoint's reply will do. Raises LanguageModelError where several have given different
        ones.
        """
        found = self.rows(
            "SELECT body, seconds, endpoint FROM replies WHERE request_key = ? AND (? IS NULL OR endpoint = ?) "
            "ORDER BY stored_at, endpoint",
            (request.key, endpoint, endpoint),
        )
        bodies = {_unpacked(body) for body, _, _ in found}
        if len(bodies) > 1:
            endpoints = ", ".join(sorted(str(found_at) for _, _, found_at in found))
            raise LanguageModelError(
                f"{self.path} holds different replies of {request.model} to one request, from {endpoints}; "
                "specify the endpoint"
            )
        return RawReply(bodies.pop(), float(found[0][1])) if found else None

    def put(self, request: Request, reply: RawReply, endpoint: str) -> RawReply:
        """Keep `reply` unless there is one already; return the reply that is kept, on the disk."""
        self._insert(request, reply, endpoint, _now())
        kept = self.get(request, endpoint=endpoint)
        assert kept is not None
        return kept

    def used(self, study: str, request: Request, endpoint: str) -> None:
        """Note that `study` rests on the reply to `request`, so that it can be exported with it."""
        values = (study, request.key, endpoint)
        if not self.rows("SELECT 1 FROM uses WHERE study = ? AND request_key = ? AND endpoint = ?", values):
            self.execute("INSERT OR IGNORE INTO uses VALUES (?, ?, ?)", values)

    def capabilities(self, endpoint: str | None, model: str, *, logprobs: bool = True) -> Capabilities | None:
        """Return what `model` at `endpoint` was found to do; None where it was not probed.

        `logprobs` says whether log-probabilities are wanted, which is what was probed. Without an endpoint, any
        endpoint's will do; LanguageModelError where they differ.
        """
        found = self.rows(
            "SELECT reply_format, logprobs, refused, note, endpoint FROM capabilities "
            "WHERE model = ? AND logprobs_wanted = ? AND (? IS NULL OR endpoint = ?) ORDER BY endpoint",
            (model, logprobs, endpoint, endpoint),
        )
        if len({row[:3] for row in found}) > 1:
            endpoints = ", ".join(str(row[4]) for row in found)
            raise LanguageModelError(
                f"{self.path} holds replies of {model} from endpoints with different capabilities "
                f"({endpoints}); specify the endpoint"
            )
        if not found:
            return None
        reply_format, told, refused, note, _ = found[0]
        return Capabilities(reply_format, bool(told), note, tuple(refused.split()))

    def set_capabilities(self, endpoint: str, model: str, found: Capabilities, *, logprobs: bool = True) -> None:
        """Keep what `model` at `endpoint` was found to do, in place of what was found before."""
        self.execute(
            "INSERT OR REPLACE INTO capabilities VALUES (?, ?, ?, ?, ?, ?, ?)",
            (endpoint, model, logprobs, *found[:3], " ".join(found.refused)),
        )

    def models(self) -> dict[str, int]:
        """Return how many replies of each model are kept."""
        return dict(self.rows("SELECT model, COUNT(*) FROM replies GROUP BY model ORDER BY model"))

    def export_jsonl(self, path: Path | str, study: str | None = None) -> int:
        """Write what is kept, or what `study` rests on, as JSON lines; return the number of replies.

        A line is a reply, or what an endpoint can do (a replay needs it to make the same requests). The ledger stays
        here: it is a record of this machine's spending. Other writers wait meanwhile.
        """
        chosen = "" if study is None else "JOIN uses USING (request_key, endpoint) WHERE study = :study "
        replies = (
            f"SELECT request, endpoint, body, seconds, stored_at FROM replies {chosen}"
            f"ORDER BY stored_at, request_key, endpoint"
        )
        if study is not None and not self.rows("SELECT 1 FROM uses WHERE study = ? LIMIT 1", (study,)):
            studies = [name for (name,) in self.rows("SELECT DISTINCT study FROM uses ORDER BY study")]
            known = ", ".join(repr(name) for name in studies) or "none"
            raise LanguageModelError(
                f"{self.path} holds no answers of the study {study!r}{did_you_mean(study, studies)}; it has {known}"
            )
        exported, endpoints = 0, set()
        with (
            self.transaction() as connection,
            atomic_path(path) as temporary,
            temporary.open("w", newline="\n") as file,
        ):
            for request, endpoint, body, seconds, stored_at in connection.execute(replies, {"study": study}):
                sent = json.loads(request)
                fields = {"endpoint": endpoint, "seconds": seconds, "stored_at": stored_at, "body": _unpacked(body)}
                _write_line(file, {"kind": "reply", "request": sent, **fields})
                endpoints.add((endpoint, sent["model"]))
                exported += 1
            for row in connection.execute("SELECT * FROM capabilities ORDER BY 1, 2, 3"):
                if row[:2] in endpoints:
                    _write_line(file, {"kind": "capabilities", **dict(zip(_CAPABILITIES, row, strict=True))})
        return exported

    def import_jsonl(self, path: Path | str) -> Imported:
        """Add the replies that `export_jsonl` wrote; return how many were new. All are added, or none.

        Raises LanguageModelError naming the line that is not one of them, or that holds another reply than the one kept
        here for the same request and endpoint.
        """
        added = present = 0
        try:
            lines = Path(path).read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise LanguageModelError(f"{path} cannot be read as exported replies: {error}") from None
        with self.transaction():
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    entry = _read_line(line)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise LanguageModelError(
                        f"{path}, line {number}: expected a reply as `export_jsonl` writes it ({_reason(error)}); "
                        f"nothing was imported"
                    ) from None
                if isinstance(entry, _Probed):
                    values = (
                        entry.endpoint,
                        entry.model,
                        entry.wanted,
                        *entry.found[:3],
                        " ".join(entry.found.refused),
                    )
                    self.execute("INSERT OR IGNORE INTO capabilities VALUES (?, ?, ?, ?, ?, ?, ?)", values)
                    continue
                kept = self.get(entry.request, endpoint=entry.endpoint)
                if kept is None:
                    self._insert(entry.request, entry.reply, entry.endpoint, entry.stored_at)
                    added += 1
                elif kept.body == entry.reply.body:
                    present += 1
                else:
                    raise LanguageModelError(
                        f"{path}, line {number}: {self.path} already has another reply of "
                        f"{entry.request.model} at {entry.endpoint} to the same request; import into a new "
                        "cache; nothing was imported"
                    )
        return Imported(added, present)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Make what is written inside one step: all of it is on the disk at the end, or none of it.

        What is not `durable` is seen by all processes at once, and may be lost in a power cut: that is much faster.
        """
        with self._held() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has rolled back by itself where the disk is full
                    connection.execute("ROLLBACK")
                raise

    def execute(self, statement: str, values: Iterable[Any] = ()) -> None:
        """Run a statement that writes, as part of the transaction or as its own."""
        with self.transaction() as connection:
            connection.execute(statement, tuple(values))

    def rows(self, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._held() as connection:
            return connection.execute(query, tuple(values)).fetchall()

    def _insert(self, request: Request, reply: RawReply, endpoint: str, stored_at: str) -> None:
        self.execute(
            "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)",
            (request.key, endpoint, request.model, request.to_json(), _packed(reply.body), reply.seconds, stored_at),
        )

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        """Give this process's connection to one thread at a time."""
        if self._process != os.getpid():  # after a fork: the parent's connection must not be used, nor even closed
            self._inherited.append(self._connection)
            self._lock, self._process, self._connection = threading.RLock(), os.getpid(), None
        with self._lock, self._told():
            if self._connection is None:
                self._connection = self._open()
            yield self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LanguageModelError(f"no folder for the cache at {self.path}: {error}") from None
        connection = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        self._check(connection)
        _switch_to_wal(connection, self._patience)
        if _pragma(connection, "user_version") < _VERSION:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._make_tables(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        if _pragma(connection, "user_version") == 0:  # no other process was quicker
            for statement in (_TABLES + _SINCE_3).split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            return
        if _pragma(connection, "user_version") == 1:
            connection.execute("ALTER TABLE capabilities ADD COLUMN refused TEXT NOT NULL DEFAULT ''")
        if _pragma(connection, "user_version") <= 2:
            connection.execute("ALTER TABLE calls ADD COLUMN batched INTEGER NOT NULL DEFAULT 0")
            # Whether lengths in a schema hold was not asked before.
            connection.execute("DELETE FROM capabilities WHERE reply_format = 'json_schema'")
            for statement in _SINCE_3.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _check(self, connection: sqlite3.Connection) -> None:
        version, tables = _pragma(connection, "user_version"), _pragma(connection, "schema_version")
        if (version or tables) and _pragma(connection, "application_id") != _APPLICATION:
            raise LanguageModelError(
                f"expected a cache of replies at {self.path}, got a file of another program; give a new path"
            )
        if version > _VERSION:
            raise LanguageModelError(
                f"the cache {self.path} was written by a newer llmguide (format {version}, this one knows "
                f"{_VERSION}); upgrade llmguide, or give a new file"
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn SQLite's errors into one that names the file and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            told = str(error)
            what = next((text for part, text in _TOLD if part in told), "check the file, or name a new one")
            raise LanguageModelError(f"the cache {self.path} cannot be used: {told}; {what}") from None


_TOLD = (
    ("not a database", "it is another kind of file, name a new one"),
    ("unable to open", "expected the path of a file in a folder that can be written"),
    ("readonly", "expected a file and a folder that can be written; copy it to one"),
    ("full", "free space on the disk and start again, what was stored is kept"),
    ("locked", "another process is writing to it for long; wait for it, then start again"),
    ("malformed", "it is damaged; export what can be read with `sqlite3 FILE .recover`, or name a new one"),
)
_CAPABILITIES = ("endpoint", "model", "logprobs_wanted", "reply_format", "logprobs", "note", "refused")


@dataclass(frozen=True)
class _Kept:
    request: Request
    endpoint: str
    reply: RawReply
    stored_at: str


@dataclass(frozen=True)
class _Probed:
    endpoint: str
    model: str
    wanted: bool
    found: Capabilities


def _read_line(line: str) -> _Kept | _Probed:
    fields: Mapping[str, Any] = json.loads(line)
    if fields["kind"] == "capabilities":
        if fields["reply_format"] not in get_args(ReplyFormat):
            raise ValueError(f"reply_format {fields['reply_format']!r}")
        refused = tuple(_text(fields, "refused").split()) if "refused" in fields else ()  # not in older exports
        if unknown := set(refused) - {*DISPENSABLE, LIMIT, BOUNDS}:
            raise ValueError(f"refused {sorted(unknown)}")
        found = Capabilities(fields["reply_format"], bool(fields["logprobs"]), _text(fields, "note"), refused)
        return _Probed(_text(fields, "endpoint"), _text(fields, "model"), bool(fields["logprobs_wanted"]), found)
    if fields["kind"] != "reply":
        raise ValueError(f"kind {fields['kind']!r}")
    seconds = float(fields["seconds"])
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"seconds {fields['seconds']!r}")
    datetime.fromisoformat(fields["stored_at"])
    request = Request.from_json(json.dumps(fields["request"], allow_nan=False))
    texts = (request.model, request.schema_name, request.schema_json, *chain.from_iterable(request.messages))
    if not all(isinstance(text, str) for text in texts) or request.reply_format not in get_args(ReplyFormat):
        raise ValueError("a request with unexpected content")
    request.to_json().encode()  # half of a surrogate pair has no key
    reply = RawReply(_text(fields, "body"), seconds)
    return _Kept(request, _text(fields, "endpoint"), reply, fields["stored_at"])


def _packed(body: str) -> bytes:
    return zlib.compress(body.encode(errors="surrogatepass"), level=1)


def _unpacked(body: bytes) -> str:
    try:
        return zlib.decompress(body).decode(errors="surrogatepass")
    except (zlib.error, UnicodeDecodeError) as error:
        raise LanguageModelError(
            f"a reply in the cache is damaged ({error}); use a backup of the file, or start a new one with --cache"
        ) from None


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} {value!r}")
    return value


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _write_line(file: Any, fields: Mapping[str, Any]) -> None:
    # ASCII, so that no separator of lines that Unicode knows can cut a line in two
    file.write(json.dumps(fields, allow_nan=False) + "\n")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _switch_to_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Set WAL mode, waiting for others: SQLite's own timeout does not cover this statement."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
