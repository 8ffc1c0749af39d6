"""Validation: what was best before, on bars that come after."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide.errors import DataError, GuidanceError, LlmguideError
from llmguide.stats import deflated_sharpe, pbo, pbo_of_sums
from llmguide.sweeps import overfitting, sweep


@pytest.fixture(scope="module")
def halves(make_bars):
    bars = make_bars(400, seed=4)
    return bars.iloc[:250], bars.iloc[250:]


GRID = {"short": [1, 2, 4, 6], "long": [8, 12, 16, 24]}


def test_the_best_before_is_measured_after(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    outcome = swept.validate(test)
    later = sweep(test, "trend", **GRID)
    pd.testing.assert_frame_equal(outcome.test.frame, later.frame)
    best = swept.best()
    row = outcome.table.loc["trend"]
    assert outcome.chosen.loc["trend"].to_dict() == dict(zip(swept.frame.index.names, best.name, strict=True))
    assert (row["train"], row["test"]) == (best["sharpe"], later.frame["sharpe"].loc[best.name])
    others = later.frame["sharpe"].drop(best.name)
    assert row["beaten"] == (others < row["test"]).mean()
    from scipy.stats import spearmanr

    expected = spearmanr(swept.frame["sharpe"], later.frame["sharpe"]).statistic
    assert row["rank_correlation"] == pytest.approx(expected, abs=1e-12)


def test_overfitting_and_deflation_are_those_of_the_statistics(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    row = swept.validate(test, blocks=8).table.loc["trend"]
    returns = pd.concat([swept.account(label)["returns"] for label in swept.frame.index], axis=1).to_numpy()
    assert row["pbo"] == pbo(returns[30:], blocks=8).probability
    deflated = deflated_sharpe(swept.account()["returns"], swept.frame["sharpe"])
    assert (row["deflated_sharpe"], row["hurdle"]) == (deflated.probability, deflated.hurdle)
    assert row["settings"] == row["trials"] == 16


def test_a_sample_bounds_the_combinations_and_is_the_same_for_the_same_seed(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    sampled = [swept.validate(test, settings=6, seed=seed) for seed in (0, 0, 1)]
    few = [outcome.table.loc["trend"] for outcome in sampled]
    assert few[0]["settings"] == 6
    pd.testing.assert_series_equal(few[0], few[1])
    assert few[0]["pbo"] != few[2]["pbo"]
    assert sampled[0].pbo_notes == {"trend": "of 6 of 16 combinations, drawn at random"}
    assert "overfitting (of 6 of 16 combinations, drawn at random)" in repr(sampled[0])
    assert swept.validate(test).pbo_notes == {"trend": "of all 16 combinations"}


def block_sums(returns, blocks):
    starts = len(returns) // blocks * np.arange(blocks) + np.minimum(np.arange(blocks), len(returns) % blocks)
    bars = np.diff(starts, append=len(returns)).astype(float)
    return bars, np.add.reduceat(returns, starts), np.add.reduceat(returns**2, starts)


@pytest.mark.parametrize("blocks", [2, 6, 10, 16])
def test_all_combinations_at_once_are_as_overfitted_as_the_statistics_say(blocks):
    random = np.random.default_rng(blocks)
    for count in (2, 31, 32, 33, 90):
        returns = random.normal(size=(103, count))
        returns[returns < -1.5] = 0.0  # no rounding of a sum is alike everywhere
        if count > 2:
            returns[:, :4], returns[:50, 4:9], returns[60:, 9:13] = 0.0, 0.0, 0.0  # idle, before and after
            returns[:, 20] = returns[:, 21]
        expected = pbo_of_sums(*block_sums(returns, blocks))
        assert overfitting.probability(*block_sums(returns, blocks)) == (expected.probability, expected.settings)


def test_the_sums_of_blocks_are_those_of_the_returns(make_bars):
    bars = make_bars(130, seed=9)
    swept = sweep(bars, "trend", short=[1, 3], long=[5, 12], delay=[0, 2], stop_loss=[0.04, np.inf], cost=[0.0, 0.01])
    returns = np.stack([swept.account(label)["returns"] for label in swept.frame.index], axis=1)
    plan = swept.plan
    found = overfitting.block_sums(plan.rule, plan.markets[0], plan.grid, plan.cash, 6)
    for mine, theirs in zip(found, block_sums(returns[30:], 6), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


def test_a_sample_is_drawn_from_all_tables_of_guidance(make_bars, make_guidance):
    bars = make_bars(300)
    tables = {str(seed): make_guidance(bars, seed=seed) for seed in range(4)}
    swept = sweep(bars.iloc[:200], "guidance", guidance=tables, threshold=[0.0, 0.2], hold=[1, 2, 3])
    every = swept.validate(bars.iloc[200:], blocks=8)
    assert every.pbo_notes == {"guidance": "of all 24 combinations"}
    returns = np.stack([swept.account(label)["returns"] for label in swept.frame.index], axis=1)
    assert every.table["pbo"].item() == pbo(returns[30:], blocks=8).probability
    assert every.table["settings"].item() == 24
    few = swept.validate(bars.iloc[200:], blocks=8, settings=3)
    assert few.table["settings"].item() == 3
    assert few.pbo_notes == {"guidance": "of 3 of 24 combinations, drawn at random"}


def test_overfitting_is_undefined_where_nothing_can_be_compared():
    returns = np.random.default_rng(0).normal(size=(40, 3))
    for given, settings in ((returns[:, :1], 1), (np.zeros((40, 3)), 0), (returns[:, [0, 0, 0]], 3)):
        found, compared = overfitting.probability(*block_sums(given, 4))
        assert np.isnan(found)
        assert compared == settings


@pytest.mark.parametrize("settings", [100_000, 500])
def test_choosing_among_very_many_settings_without_skill_is_half_overfitted(make_bars, settings):
    found = []
    for seed in range(12):
        bars = make_bars(200, seed)
        given = np.random.default_rng(seed).integers(-1, 2, (200, 3000))
        swept = sweep(bars.iloc[:160], given[:160], cost=0.0)
        table = swept.validate(bars.iloc[160:], rule=given[160:], blocks=8, settings=settings).table
        found.append(table["pbo"].iloc[0])
    assert 0.4 < np.mean(found) < 0.6


def test_too_few_bars_for_the_blocks_leave_the_rest_of_the_validation(halves):
    train, test = halves
    outcome = sweep(train.iloc[-50:], "trend", **GRID).validate(test)
    row = outcome.table.loc["trend"]
    assert np.isnan(row["pbo"])
    assert outcome.pbo_notes == {"trend": "none: 16 blocks need 32 tradable bars, got 20"}
    assert row["settings"] == 0
    assert row["beaten"] >= 0


def test_a_single_combination_cannot_be_overfitted(halves):
    train, test = halves
    outcome = sweep(train, "trend", short=2, long=8).validate(test)
    assert outcome.pbo_notes == {"trend": "none: it takes two combinations that trade"}


def test_impossible_blocks_settings_and_dates_get_one_clear_error(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    for settings in (0, 1):
        with pytest.raises(LlmguideError, match=f"2 or more, got {settings}"):
            swept.validate(test, settings=settings)
    for blocks in (0, 3, 22):
        with pytest.raises(LlmguideError, match=f"even number from 2 to 20, got {blocks}"):
            swept.validate(test, blocks=blocks)
    with pytest.raises(
        LlmguideError, match="the later bars have dates with a time zone, those that choose dates without"
    ):
        swept.validate(test.tz_localize("UTC"))
    with pytest.raises(LlmguideError, match="the later bars have no dates"):
        swept.validate(test.reset_index(drop=True))
    with pytest.raises(DataError, match="expected every bar after the one before it"):
        swept.validate(test.iloc[::-1])


def test_a_rule_that_looks_ahead_is_found_before_its_best_setting_is_validated(halves):
    def sometimes(close, length, out):
        for t in range(3, len(close) - 1):
            out[t] = close[t + 1] > close[t] if length == 2 else close[t - 1] > close[t - length]

    swept = sweep(halves[0], sometimes, length=[1, 2, 3])
    with pytest.raises(LlmguideError, match="the rule sometimes looks ahead"):
        swept.validate(halves[1])


def test_guidance_that_ended_long_before_the_later_bars_is_refused(make_bars, make_guidance):
    bars = make_bars(700)
    table = make_guidance(bars.iloc[:200])
    swept = sweep(bars.iloc[:200], "guidance", guidance=table, hold=[1, 2])
    with pytest.raises(GuidanceError, match=r"guidance ends on .* days before the first tradable bar"):
        swept.validate(bars.iloc[400:])
    row = swept.validate(bars.iloc[200:260], guidance=make_guidance(bars)).table.iloc[0]
    assert np.isfinite(row["test"])


def test_skill_that_lasts_is_told_from_luck(make_bars):
    bars = make_bars(600, seed=7)
    up = (bars["close"].shift(-1) > bars["close"]).astype(int).to_numpy()  # what no one can know
    random = np.random.default_rng(0)
    knows = np.where(random.random((600, 20)) < np.linspace(0.5, 0.9, 20), up[:, None], 1 - up[:, None])
    guesses = random.integers(0, 2, (600, 20))
    for given, low, high in ((knows, 0.0, 0.05), (guesses, 0.2, 1.0)):
        swept = sweep(bars.iloc[:400], given[:400])
        row = swept.validate(bars.iloc[400:], rule=given[400:]).table.iloc[0]
        assert low <= row["pbo"] <= high
        assert (row["deflated_sharpe"] > 0.95) == (given is knows)
        assert (row["rank_correlation"] > 0.8) == (given is knows)


def test_where_less_is_better_the_best_beats_those_with_more(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    outcome = swept.validate(test, by="max_drawdown")
    row, later = outcome.table.loc["trend"], outcome.test.frame["max_drawdown"]
    assert row["train"] == swept.frame["max_drawdown"].min()
    assert row["beaten"] == (later.drop(swept.best("max_drawdown").name) > row["test"]).mean()


def test_every_instrument_chooses_among_its_own(make_bars, make_guidance):
    bars = {symbol: make_bars(300, seed) for seed, symbol in enumerate("AB")}
    train, test = ({s: b.iloc[cut] for s, b in bars.items()} for cut in (slice(200), slice(200, None)))
    tables = {s: {"one": make_guidance(b, seed=1), "two": make_guidance(b, seed=2)} for s, b in bars.items()}
    swept = sweep(train, "guidance", guidance=tables, hold=[1, 2, 3])
    outcome = swept.validate(dict(reversed(test.items())))
    assert outcome.table.index.tolist() == ["A", "B"]
    assert outcome.table["trials"].tolist() == [6, 6]
    assert set(outcome.chosen.columns) >= {"guidance", "hold"}
    alone = sweep(train["B"], "guidance", guidance=tables["B"], hold=[1, 2, 3]).validate(test["B"])
    pd.testing.assert_series_equal(outcome.table.loc["B"], alone.table.iloc[0], check_names=False)
    again = swept.validate(test, guidance=tables)
    pd.testing.assert_frame_equal(again.table, outcome.table)


def test_bars_that_chose_cannot_judge(halves, make_bars):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    with pytest.raises(LlmguideError, match="validate on bars that come after all of them"):
        swept.validate(train)
    with pytest.raises(LlmguideError, match="this sweep had bars of one instrument"):
        swept.validate({"A": test})
    with pytest.raises(LlmguideError, match="expected bars of A, got B"):
        sweep({"A": train}, "trend", **GRID).validate({"B": test})
    given = sweep(train, np.ones((250, 2), int))
    with pytest.raises(LlmguideError, match="pass those for the later bars as rule="):
        given.validate(test)
    with pytest.raises(LlmguideError, match="other columns"):
        given.validate(test, rule=np.ones((150, 3), int))
