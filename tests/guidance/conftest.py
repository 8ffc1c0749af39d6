"""An instrument with every table, and a scripted model to ask about it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.guidance.strategist import Subject
from llmguide.sources.tables import Tables

EVENTS = ("orders rose", "a plant was closed", "a new product was shown", "margins fell", "a rival was bought")


@pytest.fixture(scope="session")
def make_tables():
    """`make_tables(bars, seed=0)`: every kind of external table for the span of the bars, seeded."""

    def make(bars: pd.DataFrame, seed: int = 0) -> Tables:
        random = np.random.default_rng(seed)
        days, count = bars.index, len(bars)
        quarters = pd.date_range(days[0] - pd.DateOffset(years=2), days[-1], freq="QE")
        months = pd.date_range(days[0] - pd.DateOffset(years=2), days[-1], freq="ME")
        walk = lambda start: start * np.exp(np.cumsum(random.normal(0.0, 0.01, count)))  # noqa: E731
        fundamentals = pd.DataFrame(
            {
                "published_at": quarters + pd.Timedelta(days=40),
                "period_end": quarters,
                "revenue": random.uniform(1e9, 2e9, len(quarters)),
                "net_margin": random.uniform(0.1, 0.3, len(quarters)),
                "current_ratio": random.uniform(1.0, 2.0, len(quarters)),
            }
        )
        macro = [
            pd.DataFrame(
                {
                    "published_at": months + pd.Timedelta(days=15),
                    "series": series,
                    "period_end": months,
                    "value": random.uniform(90.0, 110.0, len(months)),
                }
            )
            for series in ("PPI", "M2")
        ]
        at = days[random.integers(0, count, 3 * count)] + pd.to_timedelta(
            random.integers(0, 86_400, 3 * count), unit="s"
        )
        headline = [f"Acme Corp: {EVENTS[i]} on day {n}" for n, i in enumerate(random.integers(0, 5, 3 * count))]
        return Tables(
            market=pd.DataFrame({"date": days, "SPX": walk(2000.0), "VIX": walk(15.0)}),
            macro=pd.concat(macro, ignore_index=True),
            fundamentals=fundamentals,
            options=pd.DataFrame({"date": days, "otm_skew": random.normal(0.05, 0.01, count)}),
            news=pd.DataFrame({"published_at": at, "headline": headline}),
        )

    return make


@pytest.fixture(scope="session")
def subject(make_tables) -> Subject:
    """ACME with a year of bars and every table."""
    bars = sample_bars(years=1, seed=3)
    return Subject("ACME", bars, make_tables(bars))


@pytest.fixture
def server():
    """A scripted model behind real HTTP."""
    from openai_server import OpenAIServer

    with OpenAIServer() as running:
        yield running


@pytest.fixture
def access(server, tmp_path):
    """The settings to ask the scripted model, with a cache of its own."""
    from llmguide.llm.access import Access

    return Access(base_url=server.url, api_key="sk-test-0123456789", cache=tmp_path / "llm.sqlite", in_flight=16)
