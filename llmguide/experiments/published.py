"""The published numbers that a replication is held against, by the symbols of the benchmark's files.

All are of the test of 2018 and 2019, and over 25 runs where they have a standard deviation. META was FB then.

Two things to know when comparing: the benchmark's paper gives one Sharpe ratio per instrument, without a spread; and
the column "RL only" of the hybrid's main table repeats these Sharpe ratios, rounded, instead of those of the
replication in its own appendix E.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["ALIASES", "BENCHMARK", "GUIDED", "RUNS", "Published", "PublishedArm", "published", "published_arm"]

RUNS = 25
"""Runs behind each mean and standard deviation of arXiv 2508.02366."""

NAN = float("nan")


class Published(NamedTuple):
    """One instrument of the benchmark.

    `sr_benchmark` is TDQN's Sharpe ratio (arXiv 2004.06627). Mean and standard deviation of the Sharpe ratio, and the
    maximum drawdown (a positive fraction), are those of its replication in arXiv 2508.02366, appendix E.
    """

    name: str
    sr_benchmark: float
    sr_mean: float
    sr_std: float
    mdd: float


class PublishedArm(NamedTuple):
    """One arm of the hybrid's main table (arXiv 2508.02366); the LLM alone has no spread, which is NaN."""

    sr_mean: float
    sr_std: float
    mdd: float


BENCHMARK: Mapping[str, Published] = {
    "0700.HK": Published("Tencent", -0.198, -0.19, 0.33, 0.10),
    "0939.HK": Published("CCB", 0.202, 0.33, 0.25, 0.24),
    "2503.T": Published("Kirin", 0.852, 0.85, 0.42, 0.39),
    "6758.T": Published("Sony", 0.424, 0.42, 0.36, 0.16),
    "7203.T": Published("Toyota", 0.304, 0.36, 0.27, 0.45),
    "AAPL": Published("Apple", 1.424, 1.19, 0.55, 0.29),
    "ABI.BR": Published("AB InBev", 0.187, 1.21, 0.30, 0.18),
    "AMZN": Published("Amazon", 0.419, 0.39, 0.45, 0.30),
    "BABA": Published("Alibaba", 0.021, 0.06, 0.02, 0.09),
    "BIDU": Published("Baidu", 0.080, 0.20, 0.17, 0.36),
    "DIA": Published("Dow Jones", 0.684, 0.70, 0.30, 0.25),
    "EWJ": Published("Nikkei 225", 0.019, 0.26, 0.29, 0.29),
    "EZU": Published("FTSE 100", 0.103, 0.50, 0.23, 0.31),
    "FB": Published("Meta", 0.151, 0.63, 0.61, 0.45),
    "GOOGL": Published("Google", 0.227, -0.54, 0.59, 0.43),
    "HSBC": Published("HSBC", 0.011, 0.38, 0.17, 0.29),
    "JPM": Published("JPMorgan", 0.722, 0.72, 0.31, 0.26),
    "KO": Published("Coca Cola", 1.068, 1.07, 0.53, 0.25),
    "MSFT": Published("Microsoft", 0.987, 0.70, 1.00, 0.28),
    "NOK": Published("Nokia", -0.094, 0.07, 0.24, 0.57),
    "PHIA.AS": Published("Philips", 0.675, 1.40, 0.50, 0.25),
    "PTR": Published("PetroChina", 0.156, 0.22, 0.29, 0.67),
    "QQQ": Published("NASDAQ 100", 0.845, 0.85, 0.35, 0.16),
    "RDSA.AS": Published("Shell", 0.425, 0.42, 0.37, 0.51),
    "SIE.DE": Published("Siemens", 0.426, 0.39, 0.23, 0.26),
    "SPY": Published("S&P 500", 0.834, 0.83, 0.25, 0.14),
    "TSLA": Published("Tesla", 0.621, 0.48, 0.41, 0.52),
    "VOW3.DE": Published("Volkswagen", 0.216, 0.45, 0.18, 0.48),
    "XOM": Published("ExxonMobil", 0.098, 0.10, 0.35, 0.34),
}
"""Trading-DQN on each instrument. Twitter (TWTR) is among the benchmark's files, but has no published number here."""

GUIDED: Mapping[str, Mapping[str, PublishedArm]] = {
    "AAPL": {
        "hybrid": PublishedArm(1.70, 0.43, 0.29),
        "rl": PublishedArm(1.42, 0.05, 0.45),
        "llm": PublishedArm(2.09, NAN, 0.28),
    },
    "AMZN": {
        "hybrid": PublishedArm(1.21, 0.58, 0.26),
        "rl": PublishedArm(0.42, 0.23, 0.19),
        "llm": PublishedArm(0.84, NAN, 0.34),
    },
    "FB": {
        "hybrid": PublishedArm(0.46, 0.75, 0.35),
        "rl": PublishedArm(0.15, 0.61, 0.45),
        "llm": PublishedArm(0.77, NAN, 0.30),
    },
    "GOOGL": {
        "hybrid": PublishedArm(1.16, 0.17, 0.28),
        "rl": PublishedArm(0.23, 0.37, 0.25),
        "llm": PublishedArm(1.12, NAN, 0.35),
    },
    "MSFT": {
        "hybrid": PublishedArm(1.16, 0.28, 0.19),
        "rl": PublishedArm(0.99, 0.30, 0.17),
        "llm": PublishedArm(0.50, NAN, 0.21),
    },
    "TSLA": {
        "hybrid": PublishedArm(0.92, 0.19, 0.46),
        "rl": PublishedArm(0.62, 0.60, 0.65),
        "llm": PublishedArm(0.87, NAN, 0.59),
    },
}
"""Arms with and without guidance, on the six instruments of arXiv 2508.02366's experiment 2."""

ALIASES: Mapping[str, str] = {"META": "FB"}
"""Later symbols of the same instruments."""


def published(symbol: str) -> Published | None:
    """Return what was published on the unguided agent, None for an instrument without a published number."""
    return BENCHMARK.get(ALIASES.get(symbol, symbol))


def published_arm(symbol: str, arm: str) -> PublishedArm | None:
    """Return what was published on an arm of the second experiment, None where nothing was."""
    return GUIDED.get(ALIASES.get(symbol, symbol), {}).get(arm)
