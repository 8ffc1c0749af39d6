"""How many may be at work at once, and who of the waiting is next."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

__all__ = ["Slots"]


class Slots:
    """`size` slots: the waiting one with the highest priority is next, equals in the order of their arrival.

    May be used from one event loop after another, not from two at once.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._arrivals = count()
        self._queue: list[tuple[float, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def held(self, priority: float = 0.0) -> AsyncIterator[None]:
        """Wait for a slot and hold it until the block ends."""
        if self._held < self._size:
            self._held += 1  # nobody is waiting: a slot that falls free goes to the next at once
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._queue, (-priority, next(self._arrivals), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # the slot came in the same moment: it goes on
                    self._pass_on()
                raise
        try:
            yield
        finally:
            self._pass_on()

    def resize(self, size: int) -> None:
        """Have `size` slots from now on; who holds one keeps it."""
        self._size = size
        self._let_in()

    def _pass_on(self) -> None:
        self._held -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._queue and self._held < self._size:
            turn = heapq.heappop(self._queue)[2]
            if not turn.done():  # done: cancelled while it waited
                self._held += 1
                turn.set_result(None)
