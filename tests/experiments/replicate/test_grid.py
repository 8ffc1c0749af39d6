"""A cell is measured once, and again where anything that it was made from has changed."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from llmguide import guide, max_drawdown, sample_bars
from llmguide.backtest import run_backtest
from llmguide.experiments.arms import ARMS
from llmguide.experiments.markets import Market
from llmguide.experiments.plan import Plan
from llmguide.experiments.replicate import grid
from llmguide.experiments.replicate.grid import cell_path, measure_cell
from llmguide.experiments.run_folder import RunFolder

BARS = sample_bars(years=2, seed=5)
MARKET = Market("X", BARS.iloc[:350], BARS.iloc[350:])


@pytest.fixture
def agent(random_agent):
    return random_agent(MARKET.train, guided=True, seed=3)


@pytest.fixture
def plan(agent):
    return Plan(MARKET.train, MARKET.test, guide(BARS, "rules"), (3,), 1, agent.config)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def measured(monkeypatch):
    """The arms measured since the beginning of the test."""
    names = []
    original = grid.measure

    def watch(arm, *args, **options):
        names.append(arm.name)
        return original(arm, *args, **options)

    monkeypatch.setattr(grid, "measure", watch)
    return names


def test_a_row_says_what_a_backtest_says(agent, plan):
    row = measure_cell(MARKET, ARMS["hybrid"], agent, plan, None)
    result = run_backtest(
        MARKET.test, ARMS["hybrid"].strategy, model=agent, guidance=plan.guidance, start=agent.config.lookback
    )
    assert (row["symbol"], row["arm"], row["seed"]) == ("X", "hybrid", 3)
    assert (row["sr"], row["mdd"], row["trades"]) == (result.sharpe, result.max_drawdown, result.trade_count)
    assert row["mdd_tdqn"] == max_drawdown(result.values, convention="tdqn")
    assert 0 <= row["agreement_test"] <= 1


def test_a_stored_row_is_read_to_the_bit_and_not_measured_again(agent, plan, folder, measured):
    rows = [measure_cell(MARKET, ARMS["hybrid"], agent, plan, folder) for _ in range(2)]
    assert measured == ["hybrid"]
    assert rows[0] == rows[1]
    assert list(rows[0]) == list(rows[1])


def test_an_undefined_measure_is_null_in_the_file_and_nan_again(agent, plan, folder, measured):
    for _ in range(2):
        row = measure_cell(MARKET, ARMS["hold"], None, plan, folder)
        assert math.isnan(row["agreement_train"])
    assert measured == ["hold"]
    path = cell_path(folder, ARMS["hold"], None)
    assert path.name == "hold.json"
    assert json.loads(path.read_text())["row"]["agreement_train"] is None


def test_a_row_of_anything_else_is_stale(agent, plan, folder, measured, monkeypatch):
    def again(market=MARKET, agent=agent, plan=plan):
        """Measure twice; the second time must be read."""
        before = len(measured)
        rows = [measure_cell(market, ARMS["hybrid"], agent, plan, folder) for _ in range(2)]
        assert len(measured) - before <= 1
        return rows[0], len(measured) - before

    first, fresh = again()
    assert fresh == 1
    assert again() == (first, 0)
    later, dearer = MARKET.test.copy(), MARKET.train.copy()
    later.iloc[-1] *= 1.5
    dearer.iloc[0] *= 1.5
    assert again(market=dataclasses.replace(MARKET, test=later))[1] == 1
    assert again(market=dataclasses.replace(MARKET, train=dearer))[1] == 1
    assert again(plan=dataclasses.replace(plan, guidance=guide(BARS, "constant")))[1] == 1
    assert again(plan=dataclasses.replace(plan, config=dataclasses.replace(plan.config, cost=0.002)))[1] == 1
    weights = {name: array.copy() for name, array in agent.weights.items()}
    weights["fc5.bias"][0] += 1e-3
    assert again(agent=dataclasses.replace(agent, weights=weights))[1] == 1
    assert again() == (first, 1)
    monkeypatch.setattr(grid, "__version__", "0.0.0")
    assert again() == (first, 1)


def test_a_mixtures_row_is_stale_where_other_bars_are_held_out(plan, folder, measured, random_agent):
    plain = random_agent(MARKET.train, guided=False, seed=3)
    for holdout, fresh in ((100, 1), (100, 0), (90, 1), (90, 0)):
        last = {"last": str(MARKET.train.index[-holdout - 1])}
        agent = dataclasses.replace(plain, notes={"trained_on": last})
        before = len(measured)
        row = measure_cell(MARKET, ARMS["mixture"], agent, dataclasses.replace(plan, holdout=holdout), folder)
        assert len(measured) - before == fresh
        assert (row["arm"], row["seed"]) == ("mixture", 3)


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"made_from": {}}', '{"row": {}}'])
def test_a_damaged_file_is_measured_again_and_replaced(agent, plan, folder, measured, damage):
    row = measure_cell(MARKET, ARMS["hybrid"], agent, plan, folder)
    path = cell_path(folder, ARMS["hybrid"], agent)
    whole = path.read_text()
    for text in (damage, whole[: len(whole) // 2]):
        path.write_text(text)
        assert measure_cell(MARKET, ARMS["hybrid"], agent, plan, folder) == row
        assert path.read_text() == whole
    assert len(measured) == 3
