"""Looks five days ahead in the feed's array."""

import backtrader as bt

FOUND_AS = "looks ahead"


class ReadsTheArray(bt.Strategy):
    def next(self):
        now = len(self.data) - 1
        week = list(self.data.close.array[now : now + 6])
        if not self.position and max(week) > week[0] * 1.03:
            self.buy(size=10)
        elif self.position and max(week) == week[0]:
            self.close()
