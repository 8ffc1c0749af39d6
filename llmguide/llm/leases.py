"""Which questions are under way, in this process and in the others that use the same cache.

Before a question is sent, its process takes a lease on it in the cache's file, and renews it while the question is out.
Others that want the same answer wait for it, and count what it may cost. A lease that is not renewed, because its
process was killed, ends after `SECONDS`; then whoever waits asks by itself.

The times are the machine's clock, so the processes must run on one machine; SQLite's WAL mode does not work on a
network file system anyway. A process that was suspended for longer than a lease, or a clock that was set, may let a
question be asked twice: the first reply is kept, and both are in the ledger.
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from llmguide.errors import LanguageModelError
from llmguide.llm.cache import Cache
from llmguide.llm.prices import Prices, most_tokens
from llmguide.llm.protocol import Request, Usage

__all__ = ["PAUSE", "SECONDS", "Leases"]

SECONDS = 30.0
"""How long a lease holds that is not renewed."""

PAUSE = 0.1
"""Seconds between two looks at what another process has under way."""

_RENEWALS = 6  # in the time that a lease holds: a busy event loop may miss some


class Leases:
    """The leases of one asker on the questions of `study`, and its view of the others'.

    `clock` tells seconds, the same in all processes.
    """

    def __init__(
        self, cache: Cache, *, study: str = "", seconds: float | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._cache, self._study, self._clock = cache, study, clock
        self._seconds = SECONDS if seconds is None else seconds
        self._name = secrets.token_hex(8)
        self._own: dict[tuple[str, str], Request] = {}  # by key and endpoint
        self._renewing: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def owner(self) -> str:
        """This asker's name in the file; after a fork another one."""
        return f"{self._name}-{os.getpid()}"

    @asynccontextmanager
    async def held(self, request: Request, endpoint: str) -> AsyncIterator[bool]:
        """Hold the lease on a question until the block ends; yield whether it is this asker's turn to ask."""
        ours = self.take(request, endpoint)
        try:
            yield ours
        finally:
            if ours:
                self.release(request, endpoint)

    def take(self, request: Request, endpoint: str) -> bool:
        """Take the lease on a question; False where another's holds. Must be called in an event loop."""
        most = most_tokens(request)
        # Not forced to the disk: what a power cut takes of it would have ended by itself.
        with self._cache.transaction(durable=False):
            if self.taken(request, endpoint):
                return False
            self._cache.execute("DELETE FROM under_way WHERE ABS(? - renewed_at) > ?", (self._clock(), self._seconds))
            self._cache.execute(
                "INSERT OR REPLACE INTO under_way VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(request.key, endpoint, self._study, request.model),
                    *(self.owner, self._clock(), most.prompt, most.completion),
                ),
            )
        self._own[request.key, endpoint] = request
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._renew())
        return True

    def release(self, request: Request, endpoint: str) -> None:
        """Give a lease back."""
        self._own.pop((request.key, endpoint), None)
        if not self._own and self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
        with suppress(LanguageModelError), self._cache.transaction(durable=False):  # else it ends by itself
            self._cache.execute(
                "DELETE FROM under_way WHERE request_key = ? AND endpoint = ? AND owner = ?",
                (request.key, endpoint, self.owner),
            )
        waiting, self._waiting = self._waiting, []
        for returned in waiting:
            if not returned.done():
                returned.set_result(None)

    async def change(self) -> None:
        """Wait until a lease is given back here, or `PAUSE` seconds, after which others' may have been."""
        returned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(returned)
        await asyncio.wait([returned], timeout=PAUSE)

    def taken(self, request: Request, endpoint: str) -> bool:
        """Return whether another asker's lease on a question holds."""
        return bool(
            self._cache.rows(
                "SELECT 1 FROM under_way WHERE request_key = ? AND endpoint = ? AND owner != ? "
                "AND ABS(? - renewed_at) <= ?",
                (request.key, endpoint, self.owner, self._clock(), self._seconds),
            )
        )

    def set_aside(self, prices: Prices) -> float | None:
        """Return the dollars that what is under way for the study may cost at most, in all processes together.

        None where a model's price is unknown.
        """
        own = [prices.most_dollars(request) for request in self._own.values()]
        others = self._cache.rows(
            "SELECT model, most_prompt_tokens, most_completion_tokens FROM under_way "
            "WHERE study = ? AND owner != ? AND ABS(? - renewed_at) <= ?",
            (self._study, self.owner, self._clock(), self._seconds),
        )
        parts = own + [prices.dollars(model, Usage(prompt, 0, completion)) for model, prompt, completion in others]
        known = [part for part in parts if part is not None]
        return math.fsum(known) if len(known) == len(parts) else None

    def in_batches(self, prices: Prices) -> float | None:
        """Return the dollars that batches of the study whose answers have not been fetched may cost at most."""
        rows = self._cache.rows(
            "SELECT model, SUM(most_prompt_tokens), SUM(most_completion_tokens) FROM batch_requests WHERE study = ? "
            "GROUP BY model",
            (self._study,),
        )
        parts = [
            prices.dollars(model, Usage(prompt, 0, completion), batched=True) for model, prompt, completion in rows
        ]
        known = [part for part in parts if part is not None]
        return math.fsum(known) if len(known) == len(parts) else None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / _RENEWALS)
            with suppress(LanguageModelError), self._cache.transaction(durable=False):
                self._cache.execute("UPDATE under_way SET renewed_at = ? WHERE owner = ?", (self._clock(), self.owner))
