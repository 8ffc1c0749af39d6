"""How many questions an endpoint bears at once: fewer where it pushes back, or where more at once gain nothing.

An endpoint pushes back with 429 or 5xx, which the client has then retried, and with time-outs. The limit is halved, and
grows again by one at a time. Questions that were under way when it was halved do not halve it again.

A server with few slots lets the others wait and says nothing: k questions take k times as long. What tells is the
power, throughput by latency, which is greatest where all slots are taken and nothing waits (Giessler et al., Computer
Networks 2, 1978; Kleinrock, ICC 1979). With k questions in flight that are answered in R seconds each, throughput is
k / R by Little's law, and power k / R^2. After a first measurement half as many are tried, and kept where the power is
greater; again once latency has grown so much that they might do better. Below the most, more are tried now and then.

R is the mean of the middle half of several answers, in seconds per token of the reply, so that neither one slow answer,
as that which loads the model, nor answers of different lengths decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

__all__ = ["Pace", "Sent"]

_LEAST_ANSWERS = 8  # of one measurement
_STEP = 1.5  # times the questions in flight before a higher limit is judged: less is lost in noise
_LONGEST_WAIT = 16  # measurements at one limit before another is tried


class Sent(NamedTuple):
    """A question on its way: when it was sent, in seconds of any one clock, and how many were in flight with it."""

    at: float
    in_flight: int  # itself included
    change: int  # how often the limit had changed by then


class _Level(NamedTuple):
    """What was measured at a limit."""

    limit: int
    latency: float  # in seconds per token, or in seconds where tokens are not counted

    def beats(self, other: _Level) -> bool:
        """Return whether its power is greater."""
        return self.limit * other.latency**2 > other.limit * self.latency**2


class Pace:
    """The limit of questions in flight, from 1 to `most`, where it begins.

    It knows no clock: whoever asks passes the times, in seconds. Each `sent` is followed by one of `answered`,
    `pushed_back` and `failed`.
    """

    def __init__(self, most: int) -> None:
        self.limit = self._most = most
        self._in_flight = 0
        self._latencies: list[float] = []  # at this limit
        self._changes = self._lowered = 0  # how often the limit has changed; as often when it last fell
        self._tried_from: _Level | None = None  # while another limit is tried
        self._fewer: _Level | None = None  # a lower limit that was worse when it was measured
        self._wait, self._patience = 0, 1  # measurements until another limit is tried, now and after a vain try

    def lower(self, most: int) -> None:
        """Allow at most `most` from now on, as an endpoint tells how many it answers at once."""
        self._most = max(1, min(self._most, most))
        self._set(self.limit)

    def sent(self, now: float) -> Sent:
        """Take note of a question that is sent."""
        self._in_flight += 1
        return Sent(now, self._in_flight, self._changes)

    def answered(self, question: Sent, now: float, *, retries: int, tokens: int | None) -> None:
        """Take note of an answer, how often its question had to be sent again, and the tokens of the reply."""
        if retries:
            self.pushed_back(question)
            return
        self._in_flight -= 1
        # Latency at a limit is that of questions which found it reached: fewer in flight are answered sooner.
        if question.change < self._changes or question.in_flight < self.limit:
            return
        self._latencies.append((now - question.at) / (tokens or 1))
        if len(self._latencies) >= max(self.limit, _LEAST_ANSWERS):
            here = _Level(self.limit, _middle(self._latencies))
            self._set(self._next_limit(here))

    def pushed_back(self, question: Sent) -> None:
        """Take note that the endpoint was too busy for a question."""
        self._in_flight -= 1
        if question.change >= self._lowered:
            if self._tried_from is not None and self._tried_from.limit < self.limit:
                self._be_patient()
            self._tried_from = None
            self._set(self.limit // 2)

    def failed(self) -> None:
        """Take note that a question has ended in a way that says nothing about how busy the endpoint is."""
        self._in_flight -= 1

    def _next_limit(self, here: _Level) -> int:
        """Return the limit to go on with, after what was measured at the present one."""
        origin, self._tried_from = self._tried_from, None
        if origin is None:
            if self._wait:
                self._wait -= 1
                return here.limit
            down = here.limit > 1 and (self._fewer is None or self._fewer.beats(here))
        else:
            down = here.limit < origin.limit
            if not down and here.limit < min(self._most, _STEP * origin.limit):
                self._tried_from = origin
                return here.limit + 1
            low, high = sorted((here, origin))
            if (low if low.beats(high) else high) is origin:  # in vain
                self._fewer = here if down else self._fewer
                self._be_patient()
                return origin.limit
            self._fewer = None if down else self._fewer or origin
            self._patience = 1
        if here.limit == (1 if down else self._most):
            return here.limit
        self._tried_from = here
        return here.limit // 2 if down else here.limit + 1

    def _be_patient(self) -> None:
        self._wait = self._patience
        self._patience = min(2 * self._patience, _LONGEST_WAIT)

    def _set(self, limit: int) -> None:
        before, self.limit, self._latencies = self.limit, max(1, min(limit, self._most)), []
        if self.limit != before:
            self._changes += 1
        if self.limit < before:
            self._lowered = self._changes


def _middle(values: Sequence[float]) -> float:
    """Return the mean of the values without their lowest and their highest quarter."""
    cut = len(values) // 4
    return fmean(sorted(values)[cut : len(values) - cut])
