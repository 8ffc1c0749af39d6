"""Made markets, and the mixture in plain Python."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from statistics import stdev

import numpy as np
import pandas as pd
import pytest


def _bars(count: int, seed: int = 0, *, move: float = 0.015) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, move, count)))
    return pd.DataFrame(
        {
            "open": close * 0.999,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": random.integers(1_000, 9_000, count).astype(float),
        },
        index=pd.bdate_range("2016-01-04", periods=count, name="date"),
    )


def slow_mix(closes, sides, priors, *, cost):
    """The formulas bar by bar, everything from the beginning each time: results, records, weights, position.

    `sides` are lists by bar, then by expert, with None for no opinion; `priors` are pairs (m0, n0).
    """
    closes = [float(close) for close in closes]
    returns = [None, *(after / before - 1 for before, after in pairwise(closes))]
    experts = range(len(priors))

    def result(t, i):
        """What expert i earned on bar t, and whether that bar counts; None where nothing is booked."""
        if t < 61:
            return None
        spread = stdev(returns[t - 60 : t])
        if spread < 1e-14:
            return None
        came, left = sides[t - 1][i], sides[t][i]
        if came is None and left in (None, 0):
            return None
        earned = (came or 0.0) * returns[t] - cost * abs((left or 0.0) - (came or 0.0))
        return earned / spread, came is not None

    booked = [[result(t, i) for i in experts] for t in range(len(closes))]
    records, weights, positions = [], [], []
    for t in range(len(closes)):
        known = [[booked[s][i] for s in range(t) if booked[s][i] is not None] for i in experts]
        row = [
            (n0 * m0 + math.fsum(y for y, _ in known[i])) / (n0 + sum(counts for _, counts in known[i]))
            for i, (m0, n0) in enumerate(priors)
        ]
        trust = [max(0.0, record) if sides[t][i] is not None else 0.0 for i, record in enumerate(row)]
        total = math.fsum(trust)
        records.append(row)
        weights.append([part / total if total else 0.0 for part in trust])
        mean = math.fsum(part * (side or 0.0) for part, side in zip(trust, sides[t], strict=True))
        positions.append(mean / total if total else 0.0)
    results = [[math.nan if cell is None else cell[0] for cell in row] for row in booked]
    return np.array(results), np.array(records), np.array(weights), np.array(positions)


@pytest.fixture(scope="session")
def make_bars():
    """`make_bars(count, seed, move=)`: a made market of business days from 2016-01-04 on."""
    return _bars


@pytest.fixture(scope="session")
def slow():
    """`slow(closes, sides, priors, cost=)`: results, records, weights, positions."""
    return slow_mix


@pytest.fixture(scope="session")
def make_agent(random_agent):
    """`make_agent(bars, tau=None, last=)`: a small random agent that changes sides, trained up to bar `last`."""

    def make(bars, tau=None, *, last=0):
        for seed in range(200):
            agent = random_agent(bars, guided=tau is not None, seed=seed)
            if np.count_nonzero(np.diff(agent.decide(bars, tau))) > 5:
                return replace(agent, notes={"trained_on": {"last": str(bars.index[last])}})
        raise AssertionError("no random agent changes sides on these bars")

    return make
