"""The study that is recorded: one made instrument with every table, two months, the first prompt and the last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from llmguide import sample_bars
from llmguide.guidance.advice import Advice
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.study import Study, run_study
from llmguide.llm.access import Access
from llmguide.llm.local import LocalSettings
from llmguide.llm.protocol import Sampling
from llmguide.sources.tables import Tables

__all__ = ["HERE", "SETTINGS", "recorded_study", "run"]

HERE = Path(__file__).parent
MODEL = "gemma-3-270m-q4_k_m"
SETTINGS = {
    "model": MODEL,
    "terse": True,
    "sampling": Sampling(max_tokens=400),
    "local_settings": LocalSettings(exact=True, threads=1),
    "timeout": 600.0,
    "max_retries": 0,
}


def recorded_study() -> Study:
    """Return the study; everything in it is made from a seed."""
    random = np.random.default_rng(11)
    bars = sample_bars(years=2, seed=11).iloc[:322]
    days = pd.Series(bars.index)
    quarters, releases = days[::60], days[::20]
    month = pd.Timedelta(days=30)  # from the end of a period to its publication
    tables = Tables(
        market=pd.DataFrame({"date": days, "SPX": 2000.0 + random.normal(0.0, 9.0, len(days)).cumsum(), "VIX": 15.0}),
        macro=pd.DataFrame(
            {
                "published_at": releases,
                "series": "PPI",
                "period_end": releases - month,
                "value": 100.0 + np.arange(len(releases)),
            }
        ),
        fundamentals=pd.DataFrame(
            {
                "published_at": quarters,
                "period_end": quarters - month,
                "net_margin": 0.2 + 0.01 * np.arange(len(quarters)),
            }
        ),
        options=pd.DataFrame({"date": days, "otm_skew": random.normal(0.05, 0.01, len(days))}),
        news=pd.DataFrame(
            {
                "published_at": days[::5],
                "headline": [f"Orders for new pumps rose for week {n}, suppliers say" for n in range(len(days[::5]))],
            }
        ),
    )
    return Study((Subject("MADE", bars, tables),), ("P0", "P4"), Brief(first=301))


def run(access: Access) -> tuple[Advice, ...]:
    """Ask the study, or replay it."""
    return run_study(recorded_study(), access.asker(study="recorded"))
