"""One agent on its training and test bars, and what needs no agent, on the benchmark's account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.experiments.markets import Market
from llmguide.experiments.measure import NO_SEED
from llmguide.experiments.usage import measure_usage
from llmguide.guidance import Guidance
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.evaluation import follow
from llmguide.trading import account
from llmguide.trading.simulate import closes, returns_of

__all__ = ["MEASURES", "REFERENCES", "measure_agent", "measure_references"]

MEASURES = (
    "sr",
    "mdd",
    "train_sr",
    "agreement_test",
    "agreement_train",
    "changed_inverted",
    "changed_permuted",
    "flat",
)
"""What is measured, by column: annual Sharpe ratio and maximum drawdown (positive fraction) on the test bars; Sharpe
ratio on the training bars as training trades them; how the guidance is used (see `llmguide.experiments.usage`); and the
share of test decisions to hold nothing."""

REFERENCES = ("guidance", "hold")
"""What is measured beside the agents: the direction in force alone, and holding."""


def measure_agent(
    market: Market, lever: str, agent: Agent, guidance: Guidance, *, periods: tuple[float, float]
) -> dict[str, Any]:
    """Return symbol, lever, seed and `MEASURES` of an agent; no shaped reward is among them.

    Args:
        periods: bars per year of the training and of the test bars.
    """
    aligned = [guidance.align(pd.DatetimeIndex(bars.index)) for bars in (market.train, market.test)]
    tau = [frame["tau"].to_numpy(dtype=np.float64) for frame in aligned]
    trained = follow(agent, market.train, tau[0], training=True)
    path = follow(agent, market.test, tau[1])
    return {
        "symbol": market.symbol,
        "lever": lever,
        "seed": agent.seed,
        **_judge(path.values, periods[1]),
        "train_sr": sharpe_ratio(returns_of(trained.values), periods=periods[0]),
        **measure_usage(agent, market.train, market.test, *aligned)._asdict(),
        "flat": float(np.mean(path.decisions == account.FLAT)),
    }


def measure_references(
    market: Market, guidance: Guidance, config: DQNConfig, *, periods: float
) -> Iterator[dict[str, Any]]:
    """Yield a row for each of `REFERENCES` on the test bars; what it has none of is NaN, the seed -1.

    Before the first direction of the guidance nothing is held; an abstention keeps the side.
    """
    prices, start = closes(market.test), config.lookback
    said = guidance.align(pd.DatetimeIndex(market.test.index))["direction"].ffill().to_numpy()[start:]
    decided = {
        "guidance": np.where(said == 1, account.LONG, np.where(said == 0, account.SHORT, account.FLAT)),
        "hold": np.full(len(said), account.LONG),
    }
    for name in REFERENCES:
        chosen = decided[name].astype(np.int8)
        side, shares, cash, _ = account.trajectory(prices, chosen, config.cash, config.cost, start)
        row = {"symbol": market.symbol, "lever": name, "seed": NO_SEED}
        yield row | dict.fromkeys(MEASURES, np.nan) | _judge(cash + side * shares * prices, periods)


def _judge(values: NDArray[np.float64], periods: float) -> dict[str, float]:
    return {"sr": sharpe_ratio(returns_of(values), periods=periods), "mdd": max_drawdown(values)}
