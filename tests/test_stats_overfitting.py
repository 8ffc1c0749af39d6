"""The probability of backtest overfitting against a slow twin, and cases in which it is known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sharpe_ratio
from llmguide.errors import DataError
from llmguide.stats import pbo, pbo_of_sums

NOISE = np.random.default_rng(0).normal(0.0, 0.01, (240, 12))


def slow_pbo(returns, blocks):
    """Logit, and both Sharpe ratios of the chosen setting, of every way, by the half that chooses."""
    parts = np.array_split(np.arange(len(returns)), blocks)
    found = {}
    for half in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[at] for at in half])
        outside = np.setdiff1d(np.arange(len(returns)), inside)
        chose, judged = ([sharpe_ratio(returns[at, n]) for n in range(returns.shape[1])] for at in (inside, outside))
        best = int(np.nanargmax(chose))
        rank = scipy.stats.rankdata(np.nan_to_num(judged))[best] / (returns.shape[1] + 1)
        found[half] = (math.log(rank / (1 - rank)), chose[best], judged[best])
    return np.array([found[half] for half in sorted(found)])


def rows(result):
    return np.column_stack([result.logits, result.in_sample, result.out_of_sample])


def in_order(table):
    return table[np.lexsort(table.round(8).T)]


@given(st.integers(0, 1000), st.sampled_from([2, 4, 6]), st.integers(13, 40), st.integers(2, 9))
def test_every_way_is_that_of_the_slow_twin(seed, blocks, bars, settings):
    returns = np.random.default_rng(seed).normal(2e-4, 0.01, (bars, settings))
    result, twin = pbo(returns, blocks=blocks), slow_pbo(returns, blocks)
    np.testing.assert_allclose(in_order(rows(result)), in_order(twin), rtol=1e-9, atol=1e-9)
    assert result.probability == (twin[:, 0] <= 0).mean()
    assert result.loss == (twin[:, 2] < 0).mean()
    if np.ptp(twin[:, 1]) > 1e-6:
        assert result.degradation == pytest.approx(scipy.stats.linregress(twin[:, 1], twin[:, 2]).slope, abs=1e-6)


def test_settings_that_are_idle_on_a_half_are_those_of_the_slow_twin():
    returns = NOISE.copy()
    returns[:120, 0] = 0.0
    returns[120:, 1] = 0.0
    returns[:120, 1] = np.abs(returns[:120, 1])
    with np.errstate(all="ignore"):
        twin = slow_pbo(returns, 4)
    np.testing.assert_allclose(in_order(rows(pbo(returns, blocks=4))), in_order(twin), rtol=1e-9)
    assert np.isnan(twin[:, 2]).any()


def test_sixteen_blocks_make_as_many_ways_as_in_the_paper():
    assert pbo(NOISE).logits.shape == (12_870,)


def test_a_setting_that_is_always_best_is_never_overfitted():
    returns = NOISE.copy()
    returns[:, 3] = 0.05 + NOISE[:, 3]
    result = pbo(returns, blocks=8)
    assert result.probability == 0.0
    np.testing.assert_allclose(result.logits, math.log(12))  # rank 12 of 12, over 13
    assert result.loss == 0.0


def test_settings_that_only_shine_where_they_were_chosen_are_always_overfitted():
    # Setting n gains on the n-th half of the blocks and loses on all others: the best in sample is the worst outside.
    blocks, bars = 4, 40
    swing = np.where(np.arange(bars) % 2, 1.5, 0.5) * 0.01
    halves = list(combinations(range(blocks), 2))
    returns = np.column_stack([np.where(np.isin(np.arange(bars) // 10, half), swing, -swing) for half in halves])
    result = pbo(returns, blocks=blocks)
    assert result.probability == 1.0
    np.testing.assert_allclose(result.logits, math.log(1 / 6))
    assert result.loss == 1.0


def test_without_skill_it_is_about_one_half_and_what_is_gained_inside_is_lost_outside():
    found = [pbo(np.random.default_rng(s).normal(0.0, 0.01, (240, 40)), blocks=8) for s in range(40)]
    assert np.mean([result.probability for result in found]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([result.degradation for result in found]) < 0


def test_settings_that_all_did_the_same_say_nothing_about_overfitting():
    assert math.isnan(pbo(np.repeat(NOISE[:, :1], 5, axis=1), blocks=4).probability)


@given(st.permutations(range(12)))
def test_the_order_of_the_settings_does_not_matter(order):
    assert pbo(NOISE[:, order], blocks=6).probability == pbo(NOISE, blocks=6).probability


def test_settings_that_never_trade_are_not_compared():
    idle = np.zeros((240, 1))
    both = pbo(np.hstack([NOISE, idle]), blocks=8)
    assert both.settings == 12
    np.testing.assert_array_equal(both.logits, pbo(NOISE, blocks=8).logits)
    for few in (idle, np.hstack([NOISE[:, :1], idle])):
        nothing = pbo(few, blocks=8)
        assert all(math.isnan(x) for x in (nothing.probability, nothing.degradation, nothing.loss))
        assert nothing.logits.size == 0


def test_sums_of_blocks_are_all_that_is_needed():
    parts = np.array_split(NOISE, 16)
    sums = (np.array([f(part) for part in parts]) for f in (len, lambda x: x.sum(0), lambda x: (x**2).sum(0)))
    np.testing.assert_allclose(pbo_of_sums(*sums).logits, pbo(NOISE).logits)


def test_periods_scale_the_sharpe_ratios_only():
    daily, weekly = pbo(NOISE, blocks=6), pbo(NOISE, blocks=6, periods=52)
    np.testing.assert_allclose(weekly.in_sample, daily.in_sample * math.sqrt(52 / 252))
    assert (weekly.probability, weekly.degradation) == pytest.approx((daily.probability, daily.degradation))


def test_wrong_input_is_refused():
    for blocks in (0, 3, 22):
        with pytest.raises(DataError, match=f"even number of blocks from 2 to 20, got {blocks}"):
            pbo(NOISE, blocks=blocks)
    with pytest.raises(DataError, match="at least 32 bars for 16 blocks, got 31"):
        pbo(NOISE[:31])
    with pytest.raises(DataError, match=r"shape \(bars, settings\), got shape \(240,\)"):
        pbo(NOISE[:, 0])
    with pytest.raises(DataError, match="got nan at bar 5 of setting 2"):
        pbo(np.where(np.arange(240)[:, None] * 12 + np.arange(12) == 62, np.nan, NOISE))
    with pytest.raises(DataError, match="expected shapes"):
        pbo_of_sums(np.ones(4), np.ones((3, 5)), np.ones((4, 5)))
    with pytest.raises(DataError, match="periods is the number of bars"):
        pbo(NOISE, periods=0)
