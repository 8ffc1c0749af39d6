"""A made market with every table beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.sources.kinds import FUNDAMENTALS, OPTIONS
from llmguide.sources.tables import Tables


@pytest.fixture(scope="session")
def bars() -> pd.DataFrame:
    return sample_bars(years=2, seed=4)


@pytest.fixture(scope="session")
def raw_tables(bars) -> dict[str, pd.DataFrame]:
    """Frames of every kind, as a user would give them, with revisions and a filing that is amended."""
    random = np.random.default_rng(11)
    days = bars.index
    market = pd.DataFrame({"date": days})
    for name, level in (("SPX", 2000.0), ("NDX", 4000.0), ("VIX", 15.0)):
        market[name] = level * np.exp(np.cumsum(random.normal(0.0, 0.01, len(days))))
    quarters = pd.date_range(days[0] - pd.Timedelta(days=800), days[-1], freq="QE")
    months = pd.date_range(days[0] - pd.Timedelta(days=800), days[-1], freq="ME")
    macro = []
    for series, periods, lag in (("GDP", quarters, 28), *((name, months, 12) for name in ("PMI", "CCI", "M2", "PPI"))):
        for period in periods:
            value = float(random.uniform(90.0, 110.0))
            for revision in range(2):
                published = period + pd.Timedelta(days=lag + 30 * revision, hours=8, minutes=30)
                macro.append((published, series, period, value * (1.0 + 0.001 * revision)))
    for day in pd.bdate_range(days[0] - pd.Timedelta(days=500), days[-1]):
        for series in ("DGS10", "T10Y2Y"):
            macro.append((day + pd.Timedelta(days=1), series, day, float(random.uniform(0.5, 3.0))))
    filings = []
    for period in quarters:
        values = random.uniform(0.2, 0.9, len(FUNDAMENTALS))
        filings.append((period + pd.Timedelta(days=32, hours=17), period, *values))
        filings.append((period + pd.Timedelta(days=90), period, *(values * 1.01)))
    options = pd.DataFrame(random.uniform(0.01, 0.3, (len(days), len(OPTIONS))), columns=list(OPTIONS))
    stamps = days[0] + pd.to_timedelta(np.sort(random.uniform(0.0, 720.0, 300)), unit="D").round("s")
    return {
        "market": market,
        "macro": pd.DataFrame(macro, columns=["published_at", "series", "period_end", "value"]),
        "fundamentals": pd.DataFrame(filings, columns=["published_at", "period_end", *FUNDAMENTALS]),
        "options": options.assign(date=days),
        "news": pd.DataFrame({"published_at": stamps, "headline": [f"Headline {k}" for k in range(300)]}),
    }


@pytest.fixture(scope="session")
def tables(raw_tables) -> Tables:
    return Tables(**raw_tables)
