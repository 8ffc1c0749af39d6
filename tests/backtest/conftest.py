"""A made market, and a strategy that follows a script."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide.strategies import AccountStrategy, SizedStrategy


class ScriptedStrategy(AccountStrategy):
    """Takes the decision of a list for each bar from `start` on."""

    params = (("script", ()),)

    def decide(self) -> int:
        return int(self.p.script[len(self.traded) - 1 - self.p.start])


class ScriptedWeights(SizedStrategy):
    """Takes the weight of a list for each bar from `start` on."""

    params = (("script", ()),)

    def decide(self) -> float:
        return float(self.p.script[len(self.traded) - 1 - self.p.start])


def _bars(count: int, seed: int = 0, *, volatility: float = 0.02) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    moves = np.exp(random.normal(0.0, volatility, count))
    close = 50.0 * np.cumprod(moves * np.exp(random.normal(0.0, volatility / 2, count)))
    opens = close / moves
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.005,
            "low": np.minimum(opens, close) * 0.995,
            "close": close,
            "volume": random.integers(1_000, 9_000, count).astype(float),
        },
        index=pd.bdate_range("2018-01-01", periods=count, name="date"),
    )


@pytest.fixture(scope="session")
def scripted():
    """The class of a strategy that follows a script."""
    return ScriptedStrategy


@pytest.fixture(scope="session")
def scripted_weights():
    """The class of a strategy that follows a script of target weights."""
    return ScriptedWeights


@pytest.fixture(scope="session")
def make_bars():
    """`make_bars(count, seed, volatility=)`: a made market."""
    return _bars


@pytest.fixture(scope="session")
def at_prices():
    """`at_prices([10, 11, ...])`: bars whose open, high, low and close are these prices."""

    def make(prices):
        close = np.asarray(prices, dtype=float)
        index = pd.bdate_range("2018-01-01", periods=len(close), name="date")
        return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1e3}, index=index)

    return make
