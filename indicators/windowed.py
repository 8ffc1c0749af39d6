"""What indicators over the last few bars have in common."""

from __future__ import annotations

from array import array
from typing import Any

import backtrader as bt
import numpy as np

from llmguide.backtest.feed_checks import check_values, feed_of
from llmguide.errors import LlmguideError
from llmguide.features.rolling import Values

__all__ = ["Windowed"]


class Windowed(bt.Indicator):
    """An indicator whose value at a bar follows from the last few bars alone.

    A subclass calls `look_back` once in ``__init__``, and has `compute`. Bars are computed all at once where they are
    preloaded, one by one where they are not, by the same function and to the same bits. A value that a feed lacks is a
    DataError; other indicators may have none on a bar.
    """

    divides = False
    """Whether values are divided by prices, which must then be above 0."""

    def look_back(self, period: int, *inputs: Any, before: int = 0) -> None:
        """Set the lines that a value is made of, `inputs`, and how many of their bars: `period`, and `before` more
        ahead of it.

        Raises LlmguideError for a period below 2.
        """
        if period < 2:
            raise LlmguideError(f"expected a period of at least 2 bars for {type(self).__name__}, got {period}")
        self._window = period + before
        self._inputs = inputs
        self.addminperiod(self._window)

    def compute(self, *inputs: Values) -> Values:
        """Return the values at every bar of the `inputs`, shape ``(n,)``; ``(n, lines)`` where there are several lines.

        Raises NotImplementedError unless a subclass defines it.
        """
        raise NotImplementedError

    def next(self) -> None:
        """Compute the current bar."""
        inputs = [np.array(line.get(size=self._window), dtype=np.float64) for line in self._inputs]
        self._check(inputs, len(self.data) - self._window)
        for line, value in zip(self.lines, np.atleast_1d(self.compute(*inputs)[-1]), strict=True):
            line[0] = float(value)

    def once(self, start: int, end: int) -> None:
        """Compute the preloaded bars from `start` to `end` - 1 in one batch."""
        end = min(end, self.data.buflen())
        if start >= end:
            return
        first = start - self._window + 1
        inputs = [np.array(line.array[first:end], dtype=np.float64) for line in self._inputs]
        self._check(inputs, first)
        values = self.compute(*inputs)[start - first :]
        for line, column in zip(self.lines, values.reshape(end - start, -1).T, strict=True):
            line.array[start:end] = array("d", column)

    def _check(self, inputs: list[Values], first: int) -> None:
        """Refuse what a feed lacks; `first` is the position of the first bar of the inputs."""
        for line, values in zip(self._inputs, inputs, strict=True):
            feed = feed_of(line)
            if feed is None:
                continue
            names = [name for name in feed.getlinealiases() if getattr(feed.lines, name) is line]
            name = names[0] if names else "close"
            check_values(
                feed,
                name,
                values,
                first=first,
                needed_by=type(self).__name__,
                positive=self.divides and name != "volume",
            )
