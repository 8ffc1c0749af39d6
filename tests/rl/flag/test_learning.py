"""A policy that reads text learns markets of which the best policy is known; an untrained one fails the same test."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from text_policy import TextPolicy

from llmguide import sample_bars
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.evaluation import walk_flag
from llmguide.rl.flag.training import train_flag
from llmguide.trading.flag_accounts import FlagAccounts
from llmguide.trading.flag_rules import BUY, HOLD, SELL, FlagRules

TEST_BARS = 3 * 252
SHARES = {"linear_up": 0.95, "linear_down": 0.95, "sinusoidal": 0.95, "triangular": 0.9}
"""Of the best policy's value; a kink cannot be foreseen, and each costs two days."""


def best_actions(closes, cost):
    """Make the most of the capital, by dynamic programming with perfect foresight, as if shares were divisible."""
    flat, long, steps = 0.0, -np.inf, []
    for before, close in pairwise(closes):
        long += np.log(close / before)
        sold, bought = long + np.log(1 - cost), flat - np.log(1 + cost)
        steps.append((sold > flat, bought > long))
        flat, long = max(flat, sold), max(long, bought)
    held, actions = bool(long > flat), []
    for sell, buy in reversed(steps):
        if held:
            actions.append(BUY if buy else HOLD)
            held = not buy
        else:
            actions.append(SELL if sell else HOLD)
            held = bool(sell)
    return actions[::-1]


def best_value(closes, rules, start):
    accounts = FlagAccounts(closes, rules, whole=True)
    accounts.reset(0, start)
    for action in best_actions(closes[start - 1 :], rules.cost):
        accounts.step([action])
    return accounts.view(0).value


def share_of_best(policy, bars):
    """What the greedy policy makes of the capital, as a share of what the best one does under the same rules."""
    rules, shown = policy.config.rules, policy.config.shown
    return walk_flag(policy, bars)["value"].iloc[-1] / rules.cash / best_value(bars["close"].to_numpy(), rules, shown)


@pytest.mark.parametrize("seed", range(5))
def test_no_script_beats_the_best_policy(seed):
    """All of the 3 ** 8 scripts of a short market, cost or no cost; it is found among them."""
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, 8)))
    for cost in (0.0, 0.01):
        rules = FlagRules(cash=1e9, cost=cost)  # shares nearly divisible
        scripts = np.array(np.meshgrid(*[[SELL, HOLD, BUY]] * 7)).reshape(7, -1).T
        accounts = FlagAccounts(closes, rules, len(scripts), whole=True)
        for account in range(len(scripts)):
            accounts.reset(account, 1)
        for actions in scripts.T:
            accounts.step(actions)
        values = (accounts.ledgers.cash + accounts.ledgers.shares * closes[-1]) / rules.cash
        assert best_value(closes, rules, 1) == pytest.approx(values.max(), rel=1e-6)


def small_wave():
    """Forty bars up, forty down."""
    closes = 100 + 30 * np.sin(2 * np.pi * np.arange(480) / 80)
    columns = dict.fromkeys(("open", "high", "low", "close"), closes)
    return pd.DataFrame(columns | {"volume": 1.0}, index=pd.bdate_range("2012-01-02", periods=480))


def test_a_small_wave_is_learned_in_seconds_and_not_by_an_untrained_policy():
    bars = small_wave()
    config = FlagConfig(
        steps=3_600, environments=12, rollout=20, learning_rate=1e-2, accumulation=1, minibatch=120, shown=5,
        rules=FlagRules(episode=30),
    )  # fmt: skip

    def factory(seed):
        return TextPolicy(seed, sharpness=100.0)

    trained = train_flag(bars.iloc[:320], factory, config=config, progress=False)
    untrained = train_flag(bars.iloc[:320], factory, config=config, steps=1, progress=False)
    assert share_of_best(trained[0], bars.iloc[320:]) > 0.95
    assert share_of_best(untrained[0], bars.iloc[320:]) < 0.5
    curve = trained.curves
    assert curve["episode_sharpe"].iloc[-3:].mean() > curve["episode_sharpe"].iloc[:3].mean() + 0.1


# Larger batches and a longer view than published, so that a small policy learns in seconds.
CONFIG = FlagConfig(environments=8, accumulation=1, learning_rate=1e-2, discount=0.99)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARES)
def test_lines_and_waves_are_learned_by_every_seed(kind):
    bars = sample_bars(kind, years=6)
    trained = train_flag(bars.iloc[:-TEST_BARS], TextPolicy, seeds=3, config=CONFIG, progress=False)
    shares = [share_of_best(policy, bars.iloc[-TEST_BARS:]) for policy in trained]
    assert min(shares) >= SHARES[kind], shares


@pytest.mark.slow
def test_reinforce_learns_a_wave_too():
    bars = sample_bars("sinusoidal", years=6)
    config = FlagConfig(**{name: getattr(CONFIG, name) for name in ("environments", "learning_rate", "discount")})
    trained = train_flag(
        bars.iloc[:-TEST_BARS], TextPolicy, progress=False,
        config=FlagConfig(**config.to_dict() | {"algorithm": "reinforce", "rules": config.rules}),
    )  # fmt: skip
    assert share_of_best(trained[0], bars.iloc[-TEST_BARS:]) >= 0.95


@pytest.mark.parametrize("kind", SHARES)
def test_who_never_trades_who_always_holds_and_who_is_late_fail_somewhere(kind):
    """What the policy is judged by is worth following."""
    closes = sample_bars(kind, years=6)["close"].to_numpy()[-TEST_BARS:]
    rules = FlagRules()
    best = best_value(closes, rules, 20)
    hold = closes[-1] / closes[19]
    assert best >= max(1.0, hold) * 0.998
    if kind in ("sinusoidal", "triangular"):
        assert max(1.0, hold) < 0.5 * best
    else:
        assert min(1.0, hold) < SHARES[kind] * best
