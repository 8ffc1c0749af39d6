"""A cap on dollars that holds whatever the replies turn out to be."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from llmguide.errors import BudgetError
from llmguide.llm.leases import Leases
from llmguide.llm.ledger import Ledger
from llmguide.llm.prices import Prices
from llmguide.llm.protocol import Request

__all__ = ["Budget"]


class Budget:
    """The dollars that the ledger may hold for a study, earlier runs included.

    Before a request is sent, the most that it can cost is set aside; when its reply is in the ledger, that is released.
    So the cap holds at any prices and any length of reply, for all processes that use the ledger's cache together, at
    an endpoint that keeps to `max_tokens`. A call without an answer is held to cost nothing, and a reply that the
    client had to fetch again because it came in half is counted once.
    """

    def __init__(self, ledger: Ledger, prices: Prices, leases: Leases, *, study: str, dollars: float) -> None:
        if not math.isfinite(dollars) or dollars < 0:
            raise BudgetError(f"expected a budget in dollars, 0 or more, got {dollars!r}")
        self._ledger, self._prices, self._leases = ledger, prices, leases
        self._study, self._dollars = study, dollars

    @asynccontextmanager
    async def reserved(self, request: Request, endpoint: str) -> AsyncIterator[bool]:
        """Hold the lease on a question, and set aside what it may cost, until the block ends.

        Yields False, and sets nothing aside, where another process asks it. Waits for calls in flight where their
        release may make room. Raises BudgetError where there is none, or where a price is unknown.
        """
        most = self._most(request)
        while (ours := self._take(request, endpoint, most)) is None:
            await self._leases.change()
        try:
            yield ours
        finally:
            if ours:
                self._leases.release(request, endpoint)

    def check(self, most: float, what: str) -> bool:
        """Return whether there is room for `most` dollars now; False where the release of calls in flight may make it.

        Raises BudgetError where nothing can.
        """
        aside = self._known(self._leases.set_aside(self._prices))
        spent = self._known(self._ledger.charged(self._study, self._prices))
        spent += self._known(self._leases.in_batches(self._prices))  # for hours: nobody waits for their release
        if spent + aside + most <= self._dollars:
            return True
        if not aside:
            raise BudgetError(
                f"the budget of {self._dollars:.6g} $ has no room for {what}: {spent:.6g} $ are spent or in "
                f"batches, and it may cost up to {most:.6g} $; every answer so far is kept in "
                f"{self._ledger.cache.path}; start again with a larger budget to resume"
            )
        return False

    def check_batch(self, requests: Sequence[Request]) -> None:
        """Raise BudgetError where there is no room for a batch of `requests`, or their price is unknown."""
        dollars = math.fsum(self._most(request, batched=True) for request in requests)
        if not self.check(dollars, "the batch"):
            raise BudgetError(
                f"the budget of {self._dollars:.6g} $ has no room for the batch, which may cost up to "
                f"{dollars:.6g} $, on top of the requests in flight; wait for them, or start again with a "
                "larger budget"
            )

    def _take(self, request: Request, endpoint: str, most: float) -> bool | None:
        """Return whether it is this process's turn to ask; None where it must wait for room."""
        with self._ledger.cache.transaction(durable=False):  # no other process can come between
            if self._leases.taken(request, endpoint):
                return False
            return self._leases.take(request, endpoint) if self.check(most, "the next call") else None

    def _most(self, request: Request, *, batched: bool = False) -> float:
        most = self._prices.most_dollars(request, batched=batched)
        if most is None:
            raise BudgetError(
                f"the price of {request.model} is unknown, so a budget cannot be enforced; give a table with "
                "its price (--prices, dollars per million tokens, 0 if it is free), or leave the budget out"
            )
        return most

    def _known(self, dollars: float | None) -> float:
        if dollars is None:
            raise BudgetError(
                f"the ledger in {self._ledger.cache.path} holds calls of this study to a model whose price is "
                "unknown, so a budget cannot be enforced; give a table with its price (--prices), or leave "
                "the budget out"
            )
        return dollars
