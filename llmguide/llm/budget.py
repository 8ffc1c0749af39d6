"""A cap on dollars that holds whatever the replies turn out to be."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from llmguide.errors import BudgetError
from llmguide.llm.ledger import Ledger
from llmguide.llm.prices import Prices
from llmguide.llm.protocol import Request

__all__ = ["Budget"]


class Budget:
    """The dollars that the ledger may hold for a study, earlier runs included.

    Before a request is sent, the most that it can cost is set aside; when its reply is in the ledger, that is released.
    So the cap holds at any prices and any length of reply, for one running process per study, at an endpoint that keeps
    to `max_tokens`. A call without an answer is held to cost nothing, and a reply that the client had to fetch again
    because it came in half is counted once.
    """

    def __init__(self, ledger: Ledger, prices: Prices, *, study: str, dollars: float) -> None:
        if not math.isfinite(dollars) or dollars < 0:
            raise BudgetError(f"expected a budget in dollars, 0 or more, got {dollars!r}")
        self._ledger, self._prices, self._study, self._dollars = ledger, prices, study, dollars
        self._set_aside: list[float] = []
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def reserved(self, request: Request) -> AsyncIterator[None]:
        """Set aside what `request` may cost until the block ends.

        Waits for calls in flight where their release may make room. Raises BudgetError where there is none, or where a
        price is unknown.
        """
        most = self._prices.most_dollars(request)
        if most is None:
            raise BudgetError(
                f"the price of {request.model} is unknown, so a budget cannot be kept; name a table with its price "
                f"(--prices, dollars per million tokens, 0 where it is free), or leave the budget out"
            )
        while (spent := self._spent()) + math.fsum(self._set_aside) + most > self._dollars:
            if not self._set_aside:
                raise BudgetError(
                    f"the budget of {self._dollars:.6g} $ has no room for the next call: {spent:.6g} $ are spent, and "
                    f"it may cost up to {most:.6g} $; every answer so far is kept in {self._ledger.cache.path}; "
                    f"start again with a larger budget to resume"
                )
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(room)
            await room
        self._set_aside.append(most)
        try:
            yield
        finally:
            self._set_aside.remove(most)
            waiting, self._waiting = self._waiting, []
            for room in waiting:
                if not room.done():
                    room.set_result(None)

    def _spent(self) -> float:
        spent = self._ledger.charged(self._study, self._prices)
        if spent is None:
            raise BudgetError(
                f"the ledger in {self._ledger.cache.path} holds calls of this study to a model whose price is unknown, "
                f"so a budget cannot be kept; name a table with its price (--prices), or leave the budget out"
            )
        return spent
