"""Ranks all days once, and keeps the ranks in its class for later runs."""

import backtrader as bt
import numpy as np

FOUND_AS = "looks ahead"


class Ranked(bt.Strategy):
    ranks = {}  # noqa: RUF012  # shared by all runs, on purpose

    def start(self):
        if not self.ranks:
            closes = np.array(self.data.close.array)
            places = closes.argsort().argsort() / len(closes)
            self.ranks.update(zip(self.data.datetime.array, places, strict=True))

    def next(self):
        rank = self.ranks[self.data.datetime[0]]
        if rank < 0.25 and not self.position:
            self.buy(size=10)
        elif rank > 0.75 and self.position:
            self.close()
