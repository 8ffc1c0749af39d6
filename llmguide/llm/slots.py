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
        self._free = size
        self._arrivals = count()
        self._queue: list[tuple[float, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def held(self, priority: float = 0.0) -> AsyncIterator[None]:
        """Wait for a slot and hold it until the block ends."""
        if self._free:
            self._free -= 1  # nobody is waiting: a slot that falls free goes to the next at once
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

    def _pass_on(self) -> None:
        while self._queue:
            turn = heapq.heappop(self._queue)[2]
            if not turn.done():  # done: cancelled while it waited
                turn.set_result(None)
                return
        self._free += 1
