"""The tiles of a report: every arm beside holding, and no gain in ink that is not significant."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from made_report import TEST_COLUMNS, comparison

from llmguide.report.arm_tiles import arm_tiles, draw_tiles

INTERVALS = ["arm", "minus", "sr", "sr_low", "sr_high", "mdd", "mdd_low", "mdd_high"]


@pytest.fixture(scope="module")
def data():
    made = comparison(bars=80)
    table = made.table.assign(mdd_mean=[0.29, 0.45, 0.28, 0.385], sr_mean=[1.7, 1.42, 2.09, 1.24])
    rows = [
        ("hybrid", "hold", 0.46, 0.1, 0.9, -0.095, -0.2, 0.1),
        ("hold", "rl", -0.18, -0.5, 0.4, -0.065, -0.1, -0.01),
        ("llm", "hold", 0.85, 0.2, 1.9, -0.105, -0.3, -0.02),
    ]
    tests = pd.DataFrame([("sr", "hybrid", "hold", 0.46, 1.0, 0.2, 3)], columns=TEST_COLUMNS)
    return dataclasses.replace(made, table=table, intervals=pd.DataFrame(rows, columns=INTERVALS), tests=tests)


def of(data, arm):
    return next(tile for tile in arm_tiles(data) if tile.arm == arm)


def test_arms_stand_in_their_order_holding_last_and_selling_not_at_all(data):
    table = pd.concat(
        [data.table, data.table.rename(index={"hybrid": "sell", "rl": "mixture", "llm": "trend"}).iloc[:3]]
    )
    values = dict.fromkeys(table.index, data.values["hold"])
    arms = [tile.arm for tile in arm_tiles(dataclasses.replace(data, table=table.sort_index(), values=values))]
    assert arms == ["hybrid", "mixture", "rl", "llm", "trend", "hold"]


def test_selling_is_shown_where_it_is_alone(data):
    table = data.table.iloc[[3]].rename(index={"hold": "sell"})
    assert [tile.arm for tile in arm_tiles(dataclasses.replace(data, table=table, values={"sell": 0}))] == ["sell"]


def test_differences_are_from_holding_drawdowns_in_percentage_points(data):
    tile = of(data, "hybrid")
    assert (tile.sharpe, tile.drawdown) == ("1.70", "29.0 %")
    assert (tile.sharpe_gain.text, tile.drawdown_gain.text) == ("+0.46", "−9.5 pp")
    assert of(data, "hold").sharpe_gain is None


def test_a_gain_is_significant_only_where_neither_bars_nor_seeds_could_have_turned_it(data):
    assert of(data, "hybrid").sharpe_gain.doubt == "p = 0.200 over seeds"
    assert of(data, "hybrid").drawdown_gain.doubt == "95 % interval includes zero"
    assert of(data, "llm").sharpe_gain.doubt == ""
    sure = dataclasses.replace(data, tests=data.tests.assign(p=0.01))
    assert of(sure, "hybrid").sharpe_gain.doubt == ""


def test_an_interval_of_the_other_order_counts_with_its_sign_turned(data):
    assert of(data, "rl").sharpe_gain.doubt == "95 % interval includes zero"
    assert of(data, "rl").drawdown_gain.doubt == ""


def test_what_was_not_tested_is_not_called_significant(data):
    bare = dataclasses.replace(data, intervals=None, tests=data.tests[:0])
    assert of(bare, "llm").sharpe_gain.doubt == "not tested"
    assert "against hold; not tested" in draw_tiles(bare)


def test_an_arm_that_never_traded_says_so(data):
    idle = dataclasses.replace(data, table=data.table.assign(sr_mean=[np.nan, 1.42, 2.09, 1.24]))
    assert of(idle, "hybrid").sharpe == "n/a"
    assert of(idle, "hybrid").sharpe_gain.doubt == "it never traded"
    assert "against hold; it never traded" in draw_tiles(idle)


def test_grey_is_also_said_in_words(data):
    drawn = draw_tiles(data)
    hybrid, rl, llm, hold = re.findall(r'<li class="tile".*?</li>', drawn)
    assert hybrid.count("gain unsure") == 2
    assert "not significant: p = 0.200 over seeds (Sharpe), 95&nbsp;% interval includes zero (drawdown)" in hybrid
    assert "Sharpe not significant: 95&nbsp;% interval includes zero" in rl
    assert rl.count("gain unsure") == 1
    assert "both significant" in llm
    assert "unsure" not in llm
    assert "against" not in hold


def test_without_holding_there_are_no_differences(data):
    alone = dataclasses.replace(data, table=data.table.drop(index="hold"))
    assert "against hold" not in draw_tiles(alone)
