"""A comparison under other costs, slippages and fills: each figure is that of an account worked out by hand."""

from __future__ import annotations

import dataclasses
import math
import re
import warnings

import numpy as np
import pytest

from llmguide import compare, guide, max_drawdown, sample_bars, sharpe_ratio
from llmguide.backtest import run_backtest
from llmguide.errors import DataError, DataWarning
from llmguide.experiments.compare.sensitivity import COLUMNS, conditions, sensitivity, with_slippage
from llmguide.rl.config import DQNConfig
from llmguide.strategies import DQN, BuyAndHold, LLMOnly
from llmguide.trading.simulate import simulate

BARS = sample_bars(years=2, seed=6)
TRAIN, TEST = BARS.iloc[:300], BARS.iloc[300:]
SETTINGS = {"seeds": 2, "episodes": 1, "config": DQNConfig(hidden=16, batch=8, cost=0.002), "progress": False}


@pytest.fixture(scope="module")
def comparison():
    return compare(TRAIN, TEST, guide(BARS, "rules"), **SETTINGS, arms=("rl", "llm", "hold", "trend"))


@pytest.fixture(scope="module")
def found(comparison):
    return sensitivity(comparison, costs=(0.0, 0.01), slippages=(0.003,), seeds=2)


def at(found, what, level, arm, seed=-1):
    (row,) = found[
        (found.what == what) & (found.level == level) & (found.arm == arm) & (found.seed == seed)
    ].itertuples()
    return row


def test_every_condition_arm_and_seed_is_there_once(found):
    assert tuple(found.columns) == COLUMNS
    assert not found.duplicated(["what", "level", "arm", "seed"]).any()
    assert found.groupby("what")["level"].unique().map(sorted).to_dict() == {
        "cost": [0.0, 0.002, 0.01],
        "slippage": [0.0, 0.003],
        "fill": [0.0, 1.0],
    }
    assert found.groupby(["what", "level"]).size().unique().tolist() == [5]


def test_the_comparisons_own_conditions_give_its_own_figures(found, comparison):
    for what, level in (("cost", 0.002), ("slippage", 0.0), ("fill", 0.0)):
        for run in comparison.runs.itertuples():
            row = at(found, what, level, run.arm, run.seed)
            assert (row.sr, row.mdd) == (run.sr, run.mdd)


def test_at_another_cost_an_arm_earns_what_its_decisions_earn_on_the_account(found, comparison):
    for cost in (0.0, 0.01):
        for seed in (0, 1):
            again = run_backtest(
                TEST, DQN, cost=cost, start=30, model=next(a for a in comparison.agents["rl"] if a.seed == seed)
            )
            account = simulate(TEST, again.decisions, cost=cost)
            row = at(found, "cost", cost, "rl", seed)
            assert row.sr == pytest.approx(sharpe_ratio(account["returns"]), rel=1e-9)
            assert row.mdd == pytest.approx(max_drawdown(account["value"]), rel=1e-9)


def test_slippage_makes_buying_dearer_by_its_fraction_of_the_price(found):
    price = TEST["close"].to_numpy()
    paid = price[30] * 1.003
    shares = math.floor(1e5 / (paid * 1.002))
    value = np.full(len(price), 1e5)
    value[30:] = 1e5 - shares * paid * 1.002 + shares * price[30:]
    row = at(found, "slippage", 0.003, "hold")
    assert row.mdd == pytest.approx(max_drawdown(value), rel=1e-9)
    assert row.sr == pytest.approx(sharpe_ratio(np.diff(value, prepend=value[0]) / np.append(value[0], value[:-1])))


def test_slippage_is_paid_on_every_fill_and_no_order_is_refused_for_it(comparison):
    free, slipped = (
        run_backtest(
            TEST, with_slippage(LLMOnly), cost=0.001, start=30, slippage=slippage, guidance=comparison.guidance
        )
        for slippage in (0.0, 0.004)
    )
    assert len(free.orders) > 2
    assert slipped.orders["status"].tolist() == ["Completed"] * len(free.orders)
    worse = slipped.orders["price"].to_numpy() / free.orders["price"].to_numpy()
    np.testing.assert_allclose(worse, np.where(free.orders["side"] == "buy", 1.004, 0.996), rtol=1e-12)


def test_a_fill_at_the_next_open_is_backtraders_own(found, comparison):
    result = run_backtest(TEST, BuyAndHold, cost=0.002, fill="next_open", start=30)
    row = at(found, "fill", 1.0, "hold")
    assert (row.sr, row.mdd) == (result.sharpe, result.max_drawdown)
    assert row.sr != at(found, "fill", 0.0, "hold").sr


def test_only_so_many_seeds_are_run_and_each_backtest_is_reported(comparison):
    ran = []
    found = sensitivity(comparison, costs=(), slippages=(), seeds=1, each=lambda: ran.append(1))
    assert sorted(found.loc[found.arm == "rl", "seed"].unique()) == [0]
    assert len(ran) == 4  # the next open; everything else is known from the comparison


def test_percent_in_place_of_fractions_is_refused():
    with pytest.raises(DataError, match=r"fractions in \[0, 1\), got 5"):
        conditions(0.001, costs=(5,))


def test_where_only_closes_are_adjusted_fills_at_the_next_open_are_left_out_and_that_is_said(comparison):
    above = {name: TEST[name] * 1.5 for name in ("open", "high", "low")}
    raised = dataclasses.replace(comparison, test=TEST.assign(**above))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = sensitivity(raised, costs=(), slippages=(), seeds=2)
    (one,) = said
    assert issubclass(one.category, DataWarning)
    assert re.match(r"fills at the next open are left out: the closes of the test bars lie outside", str(one.message))
    assert set(found.loc[found["what"] == "fill", "level"]) == {0.0}


def test_what_the_runs_of_one_condition_warn_of_is_one_warning(comparison):
    """Each open lies far above the close before it: no purchase at the next open is filled."""
    jumping = TEST.copy()
    jumping["close"] = TEST["close"] * np.where(np.arange(len(TEST)) % 2, 1.0, 0.8)
    jumping["open"] = jumping[["close"]].shift(1).bfill()["close"] * 1.1
    jumping["high"] = jumping[["open", "close"]].max(axis=1)
    jumping["low"] = jumping["open"].where(jumping["open"] < jumping["close"], jumping["close"])
    jumping["low"] = np.maximum(jumping["low"], jumping["close"].shift(1).bfill() * 1.05).where(
        jumping["close"] > jumping["close"].shift(1).bfill() * 1.05, jumping["close"]
    )
    raised = dataclasses.replace(comparison, test=jumping)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        sensitivity(raised, costs=(), slippages=(), seeds=2)
    texts = [str(one.message) for one in said if issubclass(one.category, DataWarning)]
    assert len(texts) == 1
    for text in texts:
        assert re.match(r"run again with fills at the next open: \d+ of \d+ purchases of", text)
