"""An indicator that averages its whole line in once()."""

import backtrader as bt
import numpy as np

FOUND_AS = "looks ahead"


class Centred(bt.Indicator):
    lines = ("deviation",)

    def next(self):
        self.lines.deviation[0] = self.data[0]

    def once(self, start, end):
        values = np.array(self.data.array[start:end])
        self.lines.deviation.array[start:end] = type(self.data.array)("d", values - values.mean())
