"""How many questions an endpoint bears at once: half as many after it pushed back, then one more at a time.

An endpoint pushes back with 429 or 5xx, which the client has then retried, and with time-outs: a server with few slots
lets the others wait. Questions that were under way when the limit was halved do not halve it again.
"""

from __future__ import annotations

import time

__all__ = ["Pace"]


class Pace:
    """The limit of questions in flight, from 1 to `most`: additive increase, multiplicative decrease.

    Times are those of `time.monotonic`, in seconds.
    """

    def __init__(self, most: int) -> None:
        self.limit = self._most = most
        self._undisturbed = 0
        self._halved_at = float("-inf")

    def lower(self, most: int) -> None:
        """Allow at most `most` from now on, as an endpoint tells how many it answers at once."""
        self._most = max(1, min(self._most, most))
        self.limit = min(self.limit, self._most)

    def answered(self, sent_at: float, *, retries: int) -> None:
        """Take note of an answer to a question that was sent at `sent_at`, and how often it had to be sent again."""
        if retries:
            self.pushed_back(sent_at)
            return
        self._undisturbed += 1
        if self._undisturbed >= self.limit:
            self._undisturbed = 0
            self.limit = min(self.limit + 1, self._most)

    def pushed_back(self, sent_at: float) -> None:
        """Take note that the endpoint was too busy for a question that was sent at `sent_at`."""
        if sent_at >= self._halved_at:
            self.limit = max(1, self.limit // 2)
            self._undisturbed, self._halved_at = 0, time.monotonic()
