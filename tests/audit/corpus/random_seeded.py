"""Trades at random, the same way each time."""

import backtrader as bt
import numpy as np


class Coin(bt.Strategy):
    def start(self):
        self.random = np.random.default_rng(7)

    def next(self):
        if self.random.random() < 0.05:
            self.order_target_size(target=int(self.random.integers(0, 3)))
