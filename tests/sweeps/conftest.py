"""Markets, guidance with rows of every kind, and the account in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from llmguide.guidance import Guidance


def _bars(count: int, seed: int = 0, *, move: float = 0.03, begin: str = "2018-01-01") -> pd.DataFrame:
    random = np.random.default_rng(seed)
    moves = np.exp(random.normal(0.0, move, count))
    close = 50.0 * np.cumprod(moves)
    opens = close / np.sqrt(moves)
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.005,
            "low": np.minimum(opens, close) * 0.995,
            "close": close,
            "volume": random.integers(1_000, 9_000, count).astype(float),
        },
        index=pd.bdate_range(begin, periods=count, name="date"),
    )


def _guidance(bars: pd.DataFrame, *, every: int = 9, seed: int = 0, first: int = 12) -> Guidance:
    random = np.random.default_rng(seed)
    rows = []
    for number, day in enumerate(bars.index[first::every]):
        abstains = number % 5 == 3
        rows.append(
            {
                "issued_at": day,
                "direction": None if abstains else int(random.integers(2)),
                "confidence": None if abstains else int(random.integers(1, 4)),
                "entropy": None if number % 4 == 0 else float(random.random()),
            }
        )
    return Guidance.from_rows(rows)


def slow_account(prices, wanted, *, cash, cost, start, delay=0, stop_loss=math.inf):
    """The account in plain Python, written anew: value, shares held (negative: short) and money traded at every bar."""
    held, side, values, holdings, traded = 0, 0, [], [], 0.0
    entry, stopped_out_of = None, None
    for t, price in enumerate(prices):
        if t >= start + delay:
            decision = int(wanted[t - delay - start])
            if decision != stopped_out_of:
                stopped_out_of = None
                lost = side and {1: 1, -1: 0}[side] == decision and side * (prices[t - 1] - entry) / entry <= -stop_loss
                if lost:
                    stopped_out_of = decision
            goal = 0 if stopped_out_of is not None else {1: 1, 0: -1, -1: 0}[decision]
            if goal != side:
                cash += held * price * (1 - cost) if held > 0 else held * price * (1 + cost)
                traded += abs(held) * price
                size = math.floor(cash / (price * (1 + cost))) if goal else 0
                cash += size * price * (1 - cost) if goal < 0 else -size * price * (1 + cost)
                traded += size * price
                held, side, entry = goal * size, goal, price
            elif side < 0:
                before = prices[t - 1]
                missing = -held * before * 1.1 * (1 + cost) - cash
                if missing > 0:
                    bought = min(math.floor(missing / (before * 0.1 * (1 + cost))), -held)
                    cash -= bought * price * (1 + cost)
                    traded += bought * price
                    held += bought
        values.append(cash + held * price)
        holdings.append(held)
    return np.array(values), np.array(holdings), traded


@pytest.fixture(scope="session")
def make_bars():
    """`make_bars(count, seed, move=, begin=)`: a made market."""
    return _bars


@pytest.fixture(scope="session")
def make_guidance():
    """`make_guidance(bars, every=, seed=, first=)`: a random table with abstentions."""
    return _guidance


@pytest.fixture(scope="session")
def slow():
    """`slow(prices, wanted, cash=, cost=, start=, delay=, stop_loss=)`: values, shares held, money traded."""
    return slow_account
