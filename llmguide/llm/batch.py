"""Questions by OpenAI's Batch API: answered within 24 hours, at half the price.

The questions go up as a file of JSON lines, each under its request's key; the answers come back as another file, and
questions without an answer as a third. A batch's id and questions are kept in the cache's file until its answers are in
the cache and the ledger, so that any later run fetches them. An answer is kept under the same key as one that was asked
directly.

Nothing is paid for twice, whenever a run ends: what is about to be sent is written down first, under the id of its file
of questions. A run that finds such a note looks whether the endpoint has a batch of that file.

Source: https://platform.openai.com/docs/guides/batch and /docs/api-reference/batch.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from llmguide.errors import EndpointError
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.prices import most_tokens
from llmguide.llm.protocol import RawReply, Request
from llmguide.llm.refusals import is_filtered
from llmguide.llm.schemas import schema_of

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

__all__ = ["Batches", "Fetched", "Wanted"]

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
PAUSES = (5.0, 60.0)  # seconds between two looks at a batch: the first, and the longest
_ENDED = {"completed", "expired", "cancelled", "failed"}
_TRANSFER_SECONDS = 600.0
_UNSENT = "of "  # begins what stands for the id of a batch that may not have come into being: a file's follows


class Wanted(NamedTuple):
    """A question for a batch, and what it is for."""

    request: Request
    purpose: Purpose
    note: str = ""


class Fetched(NamedTuple):
    """What came of batches that ended."""

    kept: int = 0  # answers, now in the cache
    lost: int = 0  # questions without an answer
    reasons: tuple[str, ...] = ()  # why, the most frequent first


class Batches:
    """The batches of one asker's study at one endpoint. `kinds` are the objects that are asked for.

    `on_state` gets a line for the user whenever something of a batch has changed.
    """

    def __init__(
        self,
        asker: Asker,
        client: OpenAIClient,
        *,
        kinds: Iterable[type[BaseModel]],
        on_state: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._asker, self._client, self._on_state = asker, client, on_state
        self._cache = asker.cache
        self._kinds: Mapping[str, type[BaseModel]] = {schema_of(kind)[0]: kind for kind in kinds}

    @property
    def open(self) -> tuple[str, ...]:
        """The ids of the batches whose answers are not in the cache yet."""
        rows = self._cache.rows(
            "SELECT id FROM batches WHERE endpoint = ? AND study = ? ORDER BY created_at, id",
            (self._client.endpoint, self._asker.study),
        )
        return tuple(str(row[0]) for row in rows)

    async def send(self, wanted: Sequence[Wanted]) -> None:
        """Send the questions, as several batches where there are too many for one.

        Raises BudgetError, before anything is sent, where the budget has no room for the dearest answers to all of
        them; EndpointError where the endpoint takes no batches.
        """
        self._asker.check_budget([one.request for one in wanted])
        for part in _parts([(one, self._line(one.request)) for one in wanted]):
            await self._send_one([one for one, _ in part], b"".join(line for _, line in part))

    async def fetch(self) -> Fetched:
        """Wait until every open batch has ended, and keep its answers; return what came.

        Raises EndpointError for a batch that failed as a whole.
        """
        kept, reasons = 0, Counter[str]()
        for note in self.open:
            if note.startswith(_UNSENT):
                await self._look_for(note)
        for batch_id in self.open:
            batch = await self._ended(batch_id)
            texts = [await self._text(name) for name in (batch.output_file_id, batch.error_file_id) if name]
            kept += self._keep(batch, "\n".join(texts), reasons)
            if batch.status == "failed":
                errors = (batch.errors.data if batch.errors else None) or []
                why = "; ".join(dict.fromkeys(f"{error.message}" for error in errors)) or "it does not say why"
                raise EndpointError(
                    self._client.redact(
                        f"{self._client.endpoint}: it rejected the whole batch {batch_id}: {why[:500]}; "
                        "nothing was asked; fix the cause and run the same command again"
                    )
                )
        return Fetched(kept, sum(reasons.values()), tuple(reason for reason, _ in reasons.most_common()))

    def _line(self, request: Request) -> bytes:
        fields = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions"}
        return json.dumps(fields | {"body": self._client.body(request)}).encode() + b"\n"

    async def _send_one(self, wanted: Sequence[Wanted], lines: bytes) -> None:
        file = await self._client.call(
            "uploading a batch",
            lambda sdk: sdk.files.create(file=("questions.jsonl", lines), purpose="batch", timeout=_TRANSFER_SECONDS),
            missing="this endpoint has no Batch API; leave --batch out",
        )
        note = f"{_UNSENT}{file.id}"
        self._note(note, wanted)
        try:
            batch = await self._client.call(
                "creating a batch",
                # Not repeated: a second one would be paid for too.
                lambda sdk: sdk.with_options(max_retries=0).batches.create(
                    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
                ),
                missing="this endpoint has no Batch API; leave --batch out",
            )
        except EndpointError as error:
            if error.status is not None and 400 <= error.status < 500:  # it said no: there is none
                self._forget(note)
            raise
        self._name(note, batch.id)
        self._on_state(f"batch {batch.id}: {len(wanted)} questions sent")

    async def _look_for(self, note: str) -> None:
        """Find out what became of questions that were about to be sent when a run ended."""

        async def find(sdk: openai.AsyncOpenAI) -> str | None:
            async for batch in sdk.batches.list(limit=100):
                if batch.input_file_id == note.removeprefix(_UNSENT):
                    return batch.id
            return None

        found = await self._client.call("looking for a batch", find, missing="this endpoint does not list its batches")
        if found is None:
            self._forget(note)
        else:
            self._name(note, found)

    def _note(self, batch_id: str, wanted: Sequence[Wanted]) -> None:
        """Write down a batch and its questions."""
        endpoint, study = self._client.endpoint, self._asker.study
        with self._cache.transaction():
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._cache.execute("INSERT INTO batches VALUES (?, ?, ?, ?)", (endpoint, batch_id, study, now))
            for request, purpose, note in wanted:
                most = most_tokens(request)
                packed = zlib.compress(request.to_json().encode(), level=1)
                self._cache.execute(
                    f"INSERT INTO batch_requests VALUES ({', '.join('?' * 13)})",
                    (
                        *(endpoint, batch_id, request.key, packed, request.model),
                        *(*purpose, note, most.prompt, most.completion),
                    ),
                )

    def _name(self, note: str, batch_id: str) -> None:
        """Put a batch's id in the place of its note."""
        place = (batch_id, self._client.endpoint, note)
        with self._cache.transaction():
            self._cache.execute("UPDATE batch_requests SET batch = ? WHERE endpoint = ? AND batch = ?", place)
            self._cache.execute("UPDATE batches SET id = ? WHERE endpoint = ? AND id = ?", place)

    def _forget(self, batch_id: str) -> None:
        """Remove a batch and its questions."""
        place = (self._client.endpoint, batch_id)
        with self._cache.transaction():
            self._cache.execute("DELETE FROM batch_requests WHERE endpoint = ? AND batch = ?", place)
            self._cache.execute("DELETE FROM batches WHERE endpoint = ? AND id = ?", place)

    async def _ended(self, batch_id: str) -> Batch:
        """Look at a batch until it has ended."""
        pause, longest = PAUSES
        told = ""
        while True:
            batch = await self._client.call(
                f"looking at batch {batch_id}",
                lambda sdk: sdk.batches.retrieve(batch_id),
                missing="it does not know this batch; use the key that it was sent with, or another --cache",
            )
            counts = batch.request_counts
            state = batch.status if counts is None else f"{batch.status}, {counts.completed} of {counts.total} answered"
            if state != told:
                self._on_state(f"batch {batch_id}: {state}")
                told = state
            if batch.status in _ENDED:
                return batch
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _text(self, file_id: str) -> str:
        content = await self._client.call(
            f"fetching the file {file_id}",
            lambda sdk: sdk.files.content(file_id, timeout=_TRANSFER_SECONDS),
            missing="it does not have this file any more",
        )
        return str(content.text)

    def _keep(self, batch: Batch, text: str, reasons: Counter[str]) -> int:
        """Put what came of a batch into the cache and the ledger, all of it or nothing; return the answers kept."""
        place = (self._client.endpoint, batch.id)
        kept = 0
        with self._cache.transaction():  # of two processes that fetch the same, the second finds nothing to keep
            rows = self._cache.rows(
                "SELECT request_key, request, study, role, instrument, prompt, issued_at, note FROM batch_requests "
                "WHERE endpoint = ? AND batch = ?",
                place,
            )
            asked = {
                key: Wanted(Request.from_json(zlib.decompress(packed).decode()), Purpose(*purpose), note)
                for key, packed, *purpose, note in rows
            }
            for line in text.splitlines():
                result = _read(line)
                wanted = asked.pop(result.key, None)
                if wanted is None:
                    continue  # a line that says the same twice, or no question of ours
                if result.body is None:
                    reasons[self._client.redact(result.reason)] += 1
                    continue
                request, purpose, note = wanted
                reply = RawReply(self._client.redact(result.body), 0.0)
                try:
                    self._asker.keep(
                        request, reply, self._kinds.get(request.schema_name), purpose, note=note, batched=True
                    )
                    kept += 1
                except EndpointError as error:  # an answer that is none, since its prompt was cut
                    reasons[str(error)] += 1
            if asked:
                reasons[f"the batch {batch.status}" if batch.status != "completed" else "no line came back"] += len(
                    asked
                )
            self._forget(batch.id)
        return kept


class _Result(NamedTuple):
    key: str
    body: str | None  # of the reply; None where none came
    reason: str  # why


def _read(line: str) -> _Result:
    """Return what a line of an output or error file says."""
    try:
        fields: Any = json.loads(line)
        key, response, error = fields["custom_id"], fields.get("response") or {}, fields.get("error") or {}
        body = response.get("body")
        if response.get("status_code") == 200 and isinstance(body, dict) and "choices" in body:
            return _Result(key, json.dumps(body), "")
        if isinstance(body, dict) and is_filtered(body):
            return _Result(key, json.dumps({"error": body.get("error", body)}), "")  # the same each time: an answer
        inner = body.get("error") if isinstance(body, dict) else None
        said = error or (inner if isinstance(inner, dict) else {})
        status = response.get("status_code")
        reason = f"{said.get('code') or status or 'error'}: {said.get('message') or 'no reason given'}"
        return _Result(key, None, " ".join(reason.split())[:200])
    except (ValueError, TypeError, KeyError, AttributeError):
        return _Result("", None, "")


def _parts(lines: Sequence[tuple[Wanted, bytes]]) -> list[list[tuple[Wanted, bytes]]]:
    """Return the lines in parts that one batch may hold."""
    parts: list[list[tuple[Wanted, bytes]]] = []
    size = 0
    for one in lines:
        if not parts or len(parts[-1]) >= MOST_REQUESTS or size + len(one[1]) > MOST_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += len(one[1])
    return parts
