"""Sell, hold, buy: cases worked by hand, a slow twin in plain Python, the benchmark's account, laws of the reward."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import DataError
from llmguide.trading import sizing
from llmguide.trading.flag_accounts import HISTORY, FlagAccounts
from llmguide.trading.flag_rules import BUY, HOLD, SELL, FlagRules, as_rules

HAND = FlagRules(cash=1000.0, cost=0.01, episode=50)
CLOSES = np.array([10.0, 10.0, 11.0, 12.0, 9.0, 10.0])


def walk(prices, actions, rules=HAND, start=1):
    """Return rewards, values and views before each action of one account."""
    accounts = FlagAccounts(np.asarray(prices, dtype=float), rules, whole=True)
    accounts.reset(0, start)
    rewards, views = [], [accounts.view(0)]
    for action in actions:
        rewards.append(float(accounts.step([action])[0][0]))
        views.append(accounts.view(0))
    return rewards, views


def test_a_purchase_a_rise_and_a_sale_worked_by_hand():
    rewards, views = walk(CLOSES, [BUY, HOLD, SELL, HOLD])
    # 99 shares at 10 cost 990 and 9.90; 0.10 is left, which buys nothing.
    assert views[1].value * 1000 == pytest.approx(0.10 + 990)
    assert views[2].value * 1000 == pytest.approx(0.10 + 99 * 11)
    assert views[3].value * 1000 == pytest.approx(0.10 + 99 * 12 * 0.99)
    assert views[4].value == views[3].value
    assert [view.position > 0 for view in views] == [False, True, True, False, False]
    assert (views[3].position, views[3].cash) == (0, 1)
    pnl = [-9.9, 99.0, 99 - 11.88, 0.0]
    ratios = [0.0] + [statistics.mean(pnl[:n]) / statistics.stdev(pnl[:n]) for n in (2, 3, 4)]
    np.testing.assert_allclose(rewards, np.diff([0.0, *ratios]), rtol=1e-12)
    assert views[4].rewards == tuple(rewards)
    assert views[4].actions == (1, 0, -1, 0)
    assert views[4].values == tuple(view.value for view in views[1:])


def test_what_is_possible_by_the_last_known_price():
    _, views = walk(CLOSES, [HOLD, BUY, SELL])
    assert [view.legal for view in views] == [
        (False, True, True),
        (False, True, True),
        (True, True, False),
        (False, True, True),
    ]
    _, views = walk([999.0, 10.0, 10.0], [BUY], rules=FlagRules(cash=1000.0, cost=0.01))
    assert views[0].legal == (False, True, False)  # 999 and the cost are more than there is


def test_a_share_that_has_become_too_dear_is_not_bought():
    rewards, views = walk([10.0, 2000.0, 10.0], [BUY, HOLD])
    assert views[0].legal[BUY]
    assert views[1].actions == (0,)
    assert (views[1].position, views[1].value, rewards) == (0, 1, [0, 0])


def test_what_is_not_possible_is_to_hold():
    assert walk(CLOSES, [SELL, BUY, BUY, SELL, SELL]) == walk(CLOSES, [HOLD, BUY, HOLD, SELL, HOLD])


def test_an_idle_account_and_a_first_step_have_no_sharpe_ratio():
    rewards, _ = walk(CLOSES, [HOLD] * 5)
    assert rewards == [0.0] * 5
    rewards, _ = walk(CLOSES, [BUY])
    assert rewards == [0.0]


def test_the_ratio_is_kept_within_its_limit_and_a_risk_free_rate_lowers_it():
    prices = 10.0 * 1.0001 ** np.arange(60)
    tight = FlagRules(cash=1000.0, cost=0.0, sharpe_limit=3.0)
    assert sum(walk(prices, [BUY] + [HOLD] * 58, rules=tight)[0]) == pytest.approx(3.0)
    bounds = {rate: sum(walk(CLOSES, [BUY, HOLD, HOLD], FlagRules(risk_free=rate))[0]) for rate in (0.0, 0.01)}
    assert bounds[0.01] < bounds[0.0]


def test_the_papers_rules_have_no_cost():
    assert as_rules("paper") == FlagRules(cost=0.0)
    assert as_rules("house") == FlagRules()
    _, views = walk(CLOSES, [BUY, SELL], rules=as_rules("paper"))
    assert views[1].value == 1
    with pytest.raises(DataError, match="did you mean 'paper'"):
        as_rules("papers")


def slow_walk(prices, actions, rules, start):
    """The rules told once more, without numba, Welford or shared code."""
    shares, cash, pnl, ratios = 0, rules.cash, [], [0.0]
    values = [rules.cash]
    for t, action in enumerate(actions, start):
        price = prices[t]
        if action == SELL and shares:
            cash, shares = cash + shares * price * (1 - rules.cost), 0
        elif action == BUY and not shares:
            shares = math.floor(cash / (price * (1 + rules.cost)))
            cash -= shares * price * (1 + rules.cost)
        values.append(cash + shares * price)
        pnl.append((values[-1] - values[-2]) / rules.cash)
        defined = len(pnl) > 1 and statistics.stdev(pnl) > 1e-12
        ratio = (statistics.mean(pnl) - rules.risk_free) / statistics.stdev(pnl) if defined else 0.0
        ratios.append(min(max(ratio, -rules.sharpe_limit), rules.sharpe_limit))
    return np.diff(ratios), np.array(values) / rules.cash


@given(
    seed=st.integers(0, 2**32 - 1),
    cost=st.sampled_from([0.0, 0.001, 0.2]),
    risk_free=st.sampled_from([0.0, 1e-4]),
    volatility=st.sampled_from([0.01, 0.5]),
)
def test_many_accounts_side_by_side_are_each_the_slow_twins(seed, cost, risk_free, volatility):
    rng = np.random.default_rng(seed)
    prices = 50 * np.exp(np.cumsum(rng.normal(0, volatility, 40)))
    rules = FlagRules(cash=5000.0, cost=cost, risk_free=risk_free)
    starts, steps = [1, 7, 20], 20
    actions = rng.integers(0, 3, (steps, 3))
    accounts = FlagAccounts(prices, rules, 3, whole=True)
    for i, start in enumerate(starts):
        accounts.reset(i, start)
    rewards = np.array([accounts.step(row)[0] for row in actions])
    for i, start in enumerate(starts):
        expected, values = slow_walk(prices, actions[:, i], rules, start)
        np.testing.assert_allclose(rewards[:, i], expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(accounts.view(i).values, values[-HISTORY:], rtol=1e-9)


@given(seed=st.integers(0, 2**32 - 1), cost=st.sampled_from([0.0, 0.001, 0.05]))
def test_the_value_is_that_of_target_weights_of_one_and_nothing(seed, cost):
    """The other rulebook for long and flat positions, with a band in which a held position is left alone."""
    rng = np.random.default_rng(seed)
    prices = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, 60)))
    actions = rng.integers(0, 3, 59)
    _, views = walk(prices, actions, rules=FlagRules(cash=1e5, cost=cost))
    held = pd.Series(np.select([actions == BUY, actions == SELL], [1.0, 0.0], np.nan)).ffill().fillna(0.0)
    side, shares, cash = sizing.trajectory(prices, held.to_numpy(), 1e5, cost, 1, 1.0)
    values = cash + side * shares * prices
    np.testing.assert_allclose([view.value * 1e5 for view in views], values, rtol=1e-12)


def test_rewards_add_up_to_the_episodes_sharpe_ratio():
    rng = np.random.default_rng(3)
    prices = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, 66)))
    rewards, views = walk(prices, rng.integers(0, 3, 65), rules=FlagRules())
    pnl = np.diff([view.value for view in views])
    assert sum(rewards) == pytest.approx(pnl.mean() / pnl.std(ddof=1))


def test_an_episode_ends_after_its_steps_or_with_the_bars_and_must_then_be_reset():
    accounts = FlagAccounts(np.linspace(10.0, 20.0, 12), FlagRules(episode=4), 2)
    accounts.reset(0, 1)
    accounts.reset(1, 10)
    assert accounts.step([HOLD, HOLD])[1].tolist() == [False, False]
    assert accounts.step([HOLD, HOLD])[1].tolist() == [False, True]
    with pytest.raises(DataError, match="reset the account"):
        accounts.step([HOLD, HOLD])
    accounts.reset(1, 1)
    assert accounts.step([HOLD, HOLD])[1].tolist() == [False, False]
    assert accounts.step([HOLD, HOLD])[1].tolist() == [True, False]


def test_wrong_actions_and_impossible_rules_are_refused():
    accounts = FlagAccounts(CLOSES, HAND)
    with pytest.raises(DataError, match="start must lie between 1 and 5"):
        accounts.reset(0, 6)
    accounts.reset(0, 1)
    for actions in ([3], [-1], [1, 1]):
        with pytest.raises(DataError, match="one for each account"):
            accounts.step(actions)
    for wrong in ({"cash": 0.0}, {"cost": 1.0}, {"episode": 1}, {"sharpe_limit": 0.0}, {"risk_free": math.nan}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            FlagRules(**wrong)
    assert FlagRules.from_dict(HAND.to_dict()) == HAND
    with pytest.raises(DataError, match="did you mean 'cost'"):
        FlagRules.from_dict({"costs": 0.1})
