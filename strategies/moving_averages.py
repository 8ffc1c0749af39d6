"""What trend following and mean reversion have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from llmguide.errors import LlmguideError
from llmguide.strategies.base import AccountStrategy
from llmguide.trading.moving_averages import Rule, check_windows, decide

__all__ = ["MovingAverageStrategy"]


class MovingAverageStrategy(AccountStrategy):
    """Base class of strategies that compare the mean of the last `short` closes with that of the last `long` ones.

    Both means use bars up to and including t-1. `llmguide.trading.moving_averages.choose_windows` chooses the two
    windows on training bars, as the benchmark does. Where `long` exceeds `start`, the first decision is at bar `long`.

    Params:
        short: length of the fast window in bars, at least 1.
        long: length of the slow window in bars, more than `short`.

    Further params are those of `AccountStrategy`. Raises LlmguideError for windows that are missing or impossible.
    """

    params: ClassVar[Any] = (("short", None), ("long", None))
    rule: ClassVar[Rule]

    def __init__(self) -> None:
        super().__init__()
        name = type(self).__name__
        if self.p.short is None or self.p.long is None:
            raise LlmguideError(
                f"{name} needs short= and long=, two windows in bars; llmguide.trading.moving_averages.choose_windows, "
                "or llmguide backtest --train BARS, chooses them on training bars"
            )
        check_windows(self.p.short, self.p.long)
        # As an indicator, so that Backtrader awaits the bars of the window and keeps their closes in every mode.
        self._oldest = self.traded.close(-self.p.long)

    def decide(self) -> int:
        """Return 1 (long) or 0 (short) by the rule; a tie is long."""
        recent = np.array(self.traded.close.get(ago=-1, size=self.p.long))
        return int(decide(recent, self.p.short, self.p.long, self.rule == "trend"))
