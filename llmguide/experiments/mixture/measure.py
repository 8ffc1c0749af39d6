"""One instrument: every agent with every draw of guidance, on the benchmark's account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmguide.experiments.markets import Market
from llmguide.experiments.measure import NO_SEED
from llmguide.experiments.mixture.draws import draw_seed, oracle_sides
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.mixture import FollowAgent, mix_draws
from llmguide.mixture.prior import AGENT, GUIDANCE, HOLD
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.trading import account, sizing
from llmguide.trading.simulate import closes, returns_of

__all__ = ["ARMS", "measure_market"]

ARMS = ("agent", "guidance", "hold", "mixture", "mixture_all_in")
"""The experts, each followed alone, and the mixture of them: sized, and by the sign of its position."""

Array = NDArray[np.float64]


def measure_market(
    market: Market,
    agents: Sequence[Agent],
    *,
    accuracies: Sequence[float],
    draws: int,
    config: DQNConfig,
    periods: float,
) -> Iterator[dict[str, Any]]:
    """Yield a row for every agent, accuracy and draw of one instrument.

    Columns symbol, arm, accuracy, draw, seed (of the agent), sr (annual) and mdd (positive fraction), on the test bars.
    What an arm does not depend on is NaN there, of whole numbers -1.

    The records of the experts run through training and test bars. Accounts begin with the test bars and are idle for
    the first `config.lookback` of them. Without agents the mixture is one of guidance and holding.
    """
    first, start = len(market.train), config.lookback
    bars, prices = market.bars, closes(market.test)

    def all_in(sides: Array) -> Array:
        """Values of accounts that follow the signs of sides, shape (runs, bars of training and test)."""
        traded = sides[:, first + start :]
        chosen = np.where(traded > 0, account.LONG, np.where(traded < 0, account.SHORT, account.FLAT))
        return account.rollout(prices, chosen.astype(np.int8), config.cash, config.cost, start)

    def sized(positions: Array) -> Array:
        traded = np.ascontiguousarray(positions[:, first + start :])
        return sizing.rollout(prices, traded, config.cash, config.cost, start, sizing.BAND)

    def row(
        arm: str, value: Array, accuracy: float = np.nan, draw: int = NO_SEED, seed: int = NO_SEED
    ) -> dict[str, Any]:
        sharpe = sharpe_ratio(returns_of(value), periods=periods)
        own = {"symbol": market.symbol, "arm": arm, "accuracy": accuracy, "draw": draw, "seed": seed}
        return own | {"sr": sharpe, "mdd": max_drawdown(value)}

    hold = np.ones((1, len(bars)))
    yield row("hold", all_in(hold)[0])
    agent_sides = {agent.seed: FollowAgent(agent).sides(bars)[None] for agent in agents}
    for seed, sides in agent_sides.items():
        yield row("agent", all_in(sides)[0], seed=seed)
    mixed: Mapping[int, Array | None] = agent_sides or {NO_SEED: None}
    for accuracy in accuracies:
        seeds = [draw_seed(market.symbol, draw) for draw in range(draws)]
        guidance = oracle_sides(bars, accuracy=accuracy, seeds=seeds)
        for draw, value in enumerate(all_in(guidance)):
            yield row("guidance", value, accuracy, draw)
        for seed, own in mixed.items():
            experts = [*([] if own is None else [(own, AGENT)]), (guidance, GUIDANCE), (hold, HOLD)]
            together = np.stack(np.broadcast_arrays(*(side for side, _ in experts)), axis=-1)  # (draws, bars, experts)
            positions = mix_draws(bars, together, [prior for _, prior in experts], cost=config.cost)
            for arm, values in (("mixture", sized(positions)), ("mixture_all_in", all_in(positions))):
                for draw, value in enumerate(values):
                    yield row(arm, value, accuracy, draw, seed)
