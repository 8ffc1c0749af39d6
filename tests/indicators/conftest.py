"""A made market, a random agent for it, and guidance."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from llmguide.guidance import Guidance


@pytest.fixture(scope="session")
def bars() -> pd.DataFrame:
    random = np.random.default_rng(7)
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.02, 90)))
    opens = close * np.exp(random.normal(0.0, 0.01, 90))
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.01,
            "low": np.minimum(opens, close) * 0.99,
            "close": close,
            "volume": random.integers(1_000, 9_000, 90).astype(float),
        },
        index=pd.bdate_range("2018-01-01", periods=90, name="date"),
    )


@pytest.fixture(scope="session")
def guidance(bars) -> Guidance:
    days = bars.index[[36, 41, 50, 51, 70]]
    return Guidance.from_rows(
        [
            {"issued_at": days[0], "direction": 1, "confidence": 2, "entropy": 0.25},
            {"issued_at": days[1] + pd.Timedelta(hours=18), "direction": 0, "confidence": 3, "entropy": None},
            {"issued_at": days[2], "direction": None, "confidence": None, "entropy": 0.5},
            {"issued_at": days[3], "direction": 0, "confidence": 1, "entropy": 1.0},
            {"issued_at": days[4] - pd.Timedelta(days=1), "direction": 1, "confidence": 3, "entropy": 0.0},
        ]
    )


@pytest.fixture(scope="session")
def make_agent(bars, random_agent):
    """`make_agent(guided=, seed=)`: a small random agent."""
    return partial(random_agent, bars)
