"""One instrument: every agent with every draw of guidance, on the benchmark's account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmguide.experiments.markets import Market
from llmguide.experiments.measure import NO_SEED
from llmguide.experiments.mixture.sources import NO_GUIDANCE, Source, guidance_of
from llmguide.guidance import Guidance
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.mixture import FollowAgent, Prior, mix_draws
from llmguide.mixture.prior import AGENT, GUIDANCE, HOLD
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.trading import account, sizing
from llmguide.trading.simulate import closes, returns_of

__all__ = ["ARMS", "MIXTURES", "PARENTS", "measure_market"]

PARENTS = ("agent", "guidance", "hold")
"""The experts, each followed alone."""

MIXTURES = ("mixture", "mixture_all_in")
"""The mixture of them: sized, and by the sign of its position."""

ARMS = PARENTS + MIXTURES

Array = NDArray[np.float64]

_NONE = Source(NO_GUIDANCE, np.nan, np.empty((0, 0)), False)


def measure_market(
    market: Market,
    agents: Sequence[Agent],
    *,
    accuracies: Sequence[float],
    draws: int,
    tables: Mapping[str, Guidance] | None = None,
    agent_prior: Prior = AGENT,
    config: DQNConfig,
    periods: float,
) -> Iterator[dict[str, Any]]:
    """Yield a row for every agent, guidance and draw of one instrument.

    Columns symbol, arm, guidance and accuracy (see `llmguide.experiments.mixture.sources`), draw, seed (of the agent),
    and on the test bars sr (annual), mdd (positive fraction) and total_return (fraction). What an arm does not depend
    on is "none" or NaN there, of whole numbers -1; sr is NaN for an account that never trades.

    The records of the experts run through training and test bars. Accounts begin with the test bars and are idle for
    the first `config.lookback` of them. Without agents the mixture is one of guidance and holding, and the mixture
    without guidance is one of holding alone: flat where the record of holding is not above 0.
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

    def rows(arm: str, values: Array, said: Source = _NONE, seed: int = NO_SEED) -> Iterator[dict[str, Any]]:
        for draw, value in enumerate(values):
            yield {
                "symbol": market.symbol,
                "arm": arm,
                "guidance": said.guidance,
                "accuracy": said.accuracy,
                "draw": draw if said.drawn else NO_SEED,
                "seed": seed,
                "sr": sharpe_ratio(returns_of(value), periods=periods),
                "mdd": max_drawdown(value),
                "total_return": value[-1] / config.cash - 1.0,
            }

    hold = np.ones((1, len(bars)))
    yield from rows("hold", all_in(hold))
    agent_sides = {agent.seed: FollowAgent(agent).sides(bars)[None] for agent in agents}
    for seed, sides in agent_sides.items():
        yield from rows("agent", all_in(sides), seed=seed)
    mixed: Mapping[int, list[tuple[Array, Prior]]] = {seed: [(own, agent_prior)] for seed, own in agent_sides.items()}
    for said in (_NONE, *guidance_of(market, accuracies=accuracies, draws=draws, tables=tables or {})):
        asked = [(said.sides, GUIDANCE)] if said.guidance != NO_GUIDANCE else []
        if asked:
            yield from rows("guidance", all_in(said.sides), said)
        for seed, own in (mixed or {NO_SEED: []}).items():
            experts = [*own, *asked, (hold, HOLD)]
            together = np.stack(
                np.broadcast_arrays(*(sides for sides, _ in experts)), axis=-1
            )  # (draws, bars, experts)
            positions = mix_draws(bars, together, [prior for _, prior in experts], cost=config.cost)
            for arm, values in zip(MIXTURES, (sized(positions), all_in(positions)), strict=True):
                yield from rows(arm, values, said, seed)
