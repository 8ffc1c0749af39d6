"""The arms that need no training: windows chosen on the training bars, and on nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from llmguide import compare, sample_bars, simulate
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import ARMS, DEFAULT_ARMS, choose_arms
from llmguide.rl.config import DQNConfig
from llmguide.trading.moving_averages import choose_windows, decisions

BARS = sample_bars(years=3, seed=6)
TRAIN, TEST = BARS.iloc[:504], BARS.iloc[504:]
CONFIG = DQNConfig(cash=50_000.0, cost=0.002)
CLASSICAL = ("trend", "reversion")


def classical(train, test, config=CONFIG):
    return compare(train, test, None, arms=(*CLASSICAL, "hold"), seeds=1, episodes=1, config=config, progress=False)


def other_bars(bars, *, after, seed):
    changed = bars.copy()
    changed.iloc[after + 1 :] *= np.random.default_rng(seed).uniform(0.3, 3.0, (len(bars) - after - 1, 1))
    return changed


@pytest.mark.parametrize("name", CLASSICAL)
def test_windows_are_chosen_with_the_capital_cost_and_lookback_of_the_comparison(name):
    short, long, _ = choose_windows(TRAIN, name, cash=50_000.0, cost=0.002)
    assert ARMS[name].params(None, None, TRAIN, CONFIG) == {"short": short, "long": long}
    brief = dataclasses.replace(CONFIG, lookback=12)
    short, long, _ = choose_windows(TRAIN, name, cash=50_000.0, cost=0.002, start=12, longest=12)
    assert ARMS[name].params(None, None, TRAIN, brief) == {"short": short, "long": long}


def test_a_comparison_trades_the_windows_chosen_on_the_training_bars():
    result = classical(TRAIN, TEST)
    for name in CLASSICAL:
        short, long, _ = choose_windows(TRAIN, name, cash=50_000.0, cost=0.002)
        expected = simulate(TEST, decisions(TEST, short, long, rule=name), cash=50_000.0, cost=0.002)
        np.testing.assert_allclose(result.values(name).iloc[:, 0], expected["value"], rtol=1e-9)
    assert result.table["seeds"].tolist() == [0, 0, 0]
    assert result.runs["seed"].tolist() == [-1, -1, -1]
    assert not result.agents


def test_nothing_up_to_a_bar_depends_on_later_test_bars_and_no_window_on_any():
    one = classical(TRAIN, TEST)
    for t in (29, 30, 120):
        two = classical(TRAIN, other_bars(TEST, after=t, seed=t))
        for name in CLASSICAL:
            pd.testing.assert_frame_equal(one.values(name).iloc[: t + 1], two.values(name).iloc[: t + 1])
            pd.testing.assert_frame_equal(one.sides(name).iloc[: t + 1], two.sides(name).iloc[: t + 1])


def test_other_training_bars_choose_other_windows():
    chosen = [ARMS["trend"].params(None, None, bars, CONFIG) for bars in (TRAIN, other_bars(TRAIN, after=100, seed=1))]
    assert chosen[0] != chosen[1]


def test_they_stand_beside_an_agent_in_the_tests_of_significance():
    small = dataclasses.replace(CONFIG, hidden=16, batch=8)
    result = compare(TRAIN, TEST, None, arms=("rl", *CLASSICAL), seeds=2, episodes=1, config=small, progress=False)
    assert result.tests["arm_b"].tolist() == ["trend", "reversion"] * 2
    assert result.tests["mean_difference"].notna().all()


def test_a_comparison_that_names_no_arms_has_the_five_of_before():
    assert DEFAULT_ARMS == ("hybrid", "rl", "llm", "hold", "sell")
    assert {*DEFAULT_ARMS, *CLASSICAL, "mixture", "flag"} == set(ARMS)


def test_arms_are_chosen_by_name_in_the_order_asked_for():
    assert [arm.name for arm in choose_arms(["reversion", "rl"])] == ["reversion", "rl"]
    with pytest.raises(LlmguideError, match=r"unknown arm 'trent'.*did you mean 'trend'"):
        choose_arms(["trent"])
    with pytest.raises(LlmguideError, match="one or more different arms"):
        choose_arms(["trend", "trend"])


def test_a_holdout_is_refused_where_no_arm_holds_bars_out():
    with pytest.raises(LlmguideError, match=r"holdout= is for the arm mixture, which is not among \['rl', 'hold'\]"):
        choose_arms(["rl", "hold"], holdout=252)
    assert choose_arms(["rl", "mixture"], holdout=252)[1].held_out


@pytest.mark.real_bars
def test_on_apple_the_arms_earn_what_the_authors_baselines_earn(real_bars):
    table = classical(real_bars("AAPL", "train"), real_bars("AAPL", "test"), DQNConfig()).table
    assert table.loc["trend", "sr_mean"] == pytest.approx(1.178207, abs=5e-7)
    assert table.loc["reversion", "sr_mean"] == pytest.approx(-0.609284, abs=5e-7)
