"""A market, an agent and a scripted strategy to trade it with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide.guidance import Guidance
from llmguide.strategies import AccountStrategy


class ScriptedStrategy(AccountStrategy):
    """Takes the decision of a list for each bar from `start` on; -1 is no opinion."""

    params = (("script", ()),)

    def decide(self) -> int | None:
        decision = int(self.p.script[len(self.traded) - 1 - self.p.start])
        return None if decision < 0 else decision


def _bars(count: int, seed: int, *, gap: float = 0.0, gap_chance: float = 1.0, drift: float = 0.0, move: float = 0.02):
    random = np.random.default_rng(seed)
    jumps = np.exp(random.normal(0.0, gap, count) * (random.random(count) < gap_chance))
    moves = np.exp(random.normal(drift, move, count))
    close = 50.0 * np.cumprod(jumps * moves)
    opens = close / moves
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    return pd.DataFrame(
        {
            "open": opens,
            "high": top * (1 + random.random(count) * 0.01),
            "low": bottom / (1 + random.random(count) * 0.01),
            "close": close,
            "volume": random.integers(1_000, 9_000, count).astype(float),
        },
        index=pd.bdate_range("2018-01-01", periods=count, name="date"),
    )


def _guidance(bars: pd.DataFrame, *, every: int = 9, seed: int = 0, first: int = 35) -> Guidance:
    """Rows of every kind, abstentions too, from bar `first` on."""
    random = np.random.default_rng(seed)
    rows = []
    for number, day in enumerate(bars.index[first::every]):
        abstains = number % 4 == 3
        rows.append(
            {
                "issued_at": day,
                "direction": None if abstains else int(random.integers(2)),
                "confidence": None if abstains else int(random.integers(1, 4)),
                "entropy": None if number % 3 == 0 else float(random.random()),
            }
        )
    return Guidance.from_rows(rows)


@pytest.fixture(scope="session")
def scripted():
    """The class of a strategy that follows a script."""
    return ScriptedStrategy


@pytest.fixture(scope="session")
def make_bars():
    """`make_bars(count, seed, gap=, gap_chance=, drift=, move=)`: a made market."""
    return _bars


@pytest.fixture(scope="session")
def make_agent(random_agent):
    """`make_agent(bars, tau=None, lookback=, smoothing=)`: a small random agent that changes sides often on `bars`."""

    def make(bars, tau=None, **settings):
        for seed in range(200):
            agent = random_agent(bars, guided=tau is not None, seed=seed, **settings)
            decisions = agent.decide(bars, tau)
            if np.count_nonzero(np.diff(decisions)) > len(decisions) // 10:
                return agent  # one that always holds the same side would prove little
        raise AssertionError("no such agent")

    return make


@pytest.fixture(scope="session")
def make_guidance():
    """`make_guidance(bars, every=, seed=, first=)`: a random table."""
    return _guidance
