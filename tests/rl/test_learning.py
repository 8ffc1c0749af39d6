"""The agent learns markets of which the best policy is known, and an untrained one does not pass for one that did."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars, simulate, train_dqn
from llmguide.rl.config import DQNConfig

MARKETS = ("linear_up", "linear_down", "sinusoidal", "triangular")
MONTH = 21  # days
YEARS, TEST_MONTHS = 12, 36
SEEDS = 2
# A small network that learns in seconds: every action at random, as off-policy learning allows, and large batches.
CONFIG = DQNConfig(
    hidden=16, lookback=10, smoothing=0, dropout=0.0, learning_rate=2e-3, weight_decay=1e-3, batch=256,
    target_update=200, discount=0.7, epsilon_end=1.0,
)  # fmt: skip


def months(kind):
    """Bars of 21 days each: a day's step on a line is too small for an agent that learns for seconds only."""
    days = sample_bars(kind, years=YEARS)
    bars = days.groupby(np.arange(len(days)) // MONTH).agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    return bars.set_index(days.index[MONTH - 1 :: MONTH])


def best_policy(kind, bars):
    """Long all the way up, short all the way down, on the side of the next move along a wave."""
    ahead = np.sign(np.append(np.diff(bars["close"]), 0.0))
    always = {"linear_up": 1, "linear_down": 0}
    return np.full(len(bars), always[kind]) if kind in always else (ahead > 0).astype(int)


def share_of_best(kind, decisions, bars):
    """What the decisions make of the capital, as a share of what the best policy does (of the logarithms of growth)."""

    def growth(script):
        account = simulate(bars, script, start=CONFIG.lookback)
        return np.log(account["value"].iloc[-1] / account["value"].iloc[0])

    return growth(decisions) / growth(best_policy(kind, bars)[CONFIG.lookback :])


def shares(config, episodes):
    """The share of every seed, trained on the first nine years and judged on the last three; one column per market."""
    table = {}
    for kind in MARKETS:
        bars = months(kind)
        train, test = bars.iloc[:-TEST_MONTHS], bars.iloc[-TEST_MONTHS:]
        agents = train_dqn(train, seeds=SEEDS, episodes=episodes, config=config, device="cpu", progress=False)
        table[kind] = [share_of_best(kind, agent.decide(test), test) for agent in agents]
    return pd.DataFrame(table)


@pytest.mark.slow
def test_it_learns_lines_and_waves_and_an_untrained_agent_fails_the_same_judgement():
    learned = shares(CONFIG, episodes=100)
    assert (learned > 0.9).all(axis=None), learned
    # Batches that are never full: the weights stay as they were drawn.
    untrained = shares(DQNConfig(**CONFIG.to_dict() | {"batch": 10_000, "replay": 20_000}), episodes=1)
    assert (untrained.min(axis=1) < 0.5).all(), untrained


@pytest.mark.parametrize("kind", MARKETS)
def test_the_best_policy_beats_every_constant_and_every_late_one(kind):
    """What the agent is judged by is worth following: holding the wrong side, or turning a month late, earns less."""
    bars = months(kind).iloc[-TEST_MONTHS:]
    best = best_policy(kind, bars)[CONFIG.lookback :]
    assert share_of_best(kind, best, bars) == 1
    for side in (0, 1):
        constant = share_of_best(kind, np.full(len(best), side), bars)
        assert constant == 1 if (best == side).all() else constant < 0.5
    late = np.append(1 - best[0], best[:-1])
    assert share_of_best(kind, late, bars) < 1
