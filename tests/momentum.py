"""A strategy of target weights, as docs/backtrader.md has it."""

from __future__ import annotations

import backtrader as bt

from llmguide.strategies import SizedStrategy


class Momentum(SizedStrategy):
    """A weight in proportion to the change over the last bars, up to the one before."""

    params = (("period", 5),)

    def __init__(self):
        super().__init__()
        self.change = bt.ind.PctChange(self.traded.close(-1), period=self.p.period)

    def decide(self):
        return max(-1.0, min(1.0, 10.0 * self.change[0]))
