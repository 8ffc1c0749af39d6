"""Reads three bars back from the first bar on: Python wraps around to the end of the preloaded data."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Change(bt.Indicator):
    lines = ("change",)

    def next(self):
        self.lines.change[0] = self.data[0] / self.data[-3] - 1.0
