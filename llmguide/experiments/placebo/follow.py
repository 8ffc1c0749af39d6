"""What an arm earns on the test bars with each of many tables of guidance: whole batches on the benchmark's account.

No agent is trained again. The arm ``llm`` follows each table. Agents that observe guidance decide by each table as they
learned to by the one that they were trained with. Agents of a mixture never observe guidance: theirs is mixed anew.
A test holds each to the same arm in Backtrader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.experiments.arms import Arm
from llmguide.guidance import Guidance
from llmguide.mixture import FollowAgent, mix_draws
from llmguide.mixture.followers import directions
from llmguide.mixture.prior import AGENT, GUIDANCE, HOLD
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.trading import account, sizing
from llmguide.trading.simulate import closes

__all__ = ["Told", "follow_tables"]

Array = NDArray[np.float64]


class Told(NamedTuple):
    """What an arm is told by each table, shape ``(tables, bars)``, and what it makes of it.

    `values` has the account after each test bar for each agent, shape ``(agents, tables, test bars)``; an arm without
    agents has one.
    """

    inputs: Array
    values: Array


def follow_tables(
    arm: Arm,
    agents: Sequence[Agent],
    tables: Sequence[Guidance],
    *,
    train: pd.DataFrame,
    test: pd.DataFrame,
    config: DQNConfig,
) -> Told:
    """Trade the test bars by every table; `agents` are those of the arm, none where it has none."""
    if arm.mixed:
        return _mixed(agents, tables, train, test, config)
    index, start, prices = pd.DatetimeIndex(test.index), config.lookback, closes(test)

    def values(decisions: NDArray[np.int8]) -> Array:
        return account.rollout(prices, decisions, config.cash, config.cost, start)

    if arm.trained:
        tau = np.stack([table.tau(index) for table in tables])
        return Told(tau[:, start:], np.stack([values(agent.decide_all(test, tau)) for agent in agents]))
    said = np.stack([table.align(index)["direction"].to_numpy() for table in tables])[:, start:]
    kept = pd.DataFrame(said).ffill(axis=1).to_numpy()  # an abstention leaves what is held
    return Told(kept, values(np.where(np.isnan(kept), account.FLAT, kept).astype(np.int8))[None])


def _mixed(
    agents: Sequence[Agent], tables: Sequence[Guidance], train: pd.DataFrame, test: pd.DataFrame, config: DQNConfig
) -> Told:
    """The mixture of agent, table and holding, whose records run through training and test bars."""
    bars, start = pd.concat([train, test]), config.lookback
    said = np.stack([directions(table, pd.DatetimeIndex(bars.index)) for table in tables])
    hold = np.ones_like(said)
    values: list[Any] = []
    for agent in agents:
        own = np.broadcast_to(FollowAgent(agent).sides(bars), said.shape)
        sides = np.stack([own, said, hold], axis=-1)  # (tables, bars, experts)
        positions = mix_draws(bars, sides, [AGENT, GUIDANCE, HOLD], cost=config.cost)
        traded = np.ascontiguousarray(positions[:, len(train) + start :])
        values.append(sizing.rollout(closes(test), traded, config.cash, config.cost, start, sizing.BAND))
    return Told(said, np.stack(values))
