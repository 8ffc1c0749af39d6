"""Trades at random, differently each time."""

import random

import backtrader as bt
import numpy as np


class Coin(bt.Strategy):
    def next(self):
        if random.random() < 0.05:
            self.buy(size=np.random.default_rng().integers(1, 4))
        elif self.position and random.random() < 0.05:
            self.close()
