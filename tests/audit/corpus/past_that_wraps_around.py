"""Reads three bars back from the first one on: Python counts on from the end of the preloaded data."""

import backtrader as bt

FOUND_AS = "looks ahead"


class Change(bt.Indicator):
    lines = ("change",)

    def next(self):
        self.lines.change[0] = self.data[0] / self.data[-3] - 1.0
