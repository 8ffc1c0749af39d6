"""Detects a month's last day by the date of the next bar."""

import backtrader as bt

FOUND_AS = "knows where the data end"


class TurnOfTheMonth(bt.Strategy):
    def next(self):
        if len(self.data) == self.data.buflen():
            return
        if self.data.datetime.date(1).month != self.data.datetime.date(0).month:
            self.buy(size=5)
        elif self.position and self.data.datetime.date(0).day > 3:
            self.close()
