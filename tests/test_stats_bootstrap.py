"""The stationary bootstrap against arch, a slow twin on the same draws, and known intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmguide import max_drawdown, sharpe_ratio, simulate
from llmguide.errors import DataError
from llmguide.stats import block_length, bootstrap_difference, bootstrap_intervals, optimal_block
from llmguide.stats.bootstrap import draw_bars

RETURNS = np.random.default_rng(8).normal(6e-4, 0.012, 300)
OTHER = 0.5 * RETURNS + np.random.default_rng(9).normal(0.0, 0.004, 300)
some_returns = arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.25, 0.25, width=16))


def autoregressive(seed, bars, phi):
    x = np.random.default_rng(seed).normal(size=bars)
    for t in range(1, bars):
        x[t] += phi * x[t - 1]
    return x


def measures(returns):
    return sharpe_ratio(returns), max_drawdown(np.cumprod(np.append(1.0, 1.0 + returns)))


def draws(bars, *, block, resamples, seed):
    """The positions that a bootstrap with this seed draws, shape (resamples, bars)."""
    random, positions = np.random.default_rng(seed), np.empty((resamples, bars), dtype=np.int64)
    for row in positions:
        draw_bars(random, block, row)
    return positions


@given(some_returns)
def test_estimates_are_the_sharpe_ratio_and_the_drawdown_of_the_measures_module(returns):
    found = bootstrap_intervals(returns, resamples=1)
    expected = measures(returns)
    assert found.sharpe.estimate == pytest.approx(expected[0], rel=1e-9, nan_ok=True)
    assert found.drawdown.estimate == pytest.approx(expected[1], rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("block", [1.0, 4.5, 60.0])
def test_bounds_are_percentiles_of_the_measures_on_the_drawn_bars(block):
    positions = draws(300, block=block, resamples=200, seed=5)
    twin = np.array([measures(RETURNS[at]) for at in positions])
    found = bootstrap_intervals(RETURNS, block=block, resamples=200, seed=5, level=0.9)
    for at, interval in enumerate((found.sharpe, found.drawdown)):
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(twin[:, at], [0.05, 0.95])), rel=1e-9)
        assert (interval.level, interval.resamples) == (0.9, 200)


def test_a_difference_is_taken_on_the_same_drawn_bars():
    positions = draws(300, block=7.0, resamples=200, seed=5)
    twin = np.array([np.subtract(measures(RETURNS[at]), measures(OTHER[at])) for at in positions])
    found = bootstrap_difference(RETURNS, OTHER, block=7.0, resamples=200, seed=5)
    for at, interval in enumerate((found.sharpe, found.drawdown)):
        expected = tuple(np.quantile(twin[:, at], [0.025, 0.975]))
        assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-9)
        assert interval.estimate == pytest.approx(measures(RETURNS)[at] - measures(OTHER)[at])


def test_several_runs_are_measured_one_by_one_and_averaged():
    runs = np.column_stack([RETURNS, OTHER])
    positions = draws(300, block=7.0, resamples=100, seed=1)
    twin = np.array([(np.array(measures(RETURNS[at])) + measures(OTHER[at])) / 2 for at in positions])
    found = bootstrap_intervals(runs, block=7.0, resamples=100, seed=1)
    assert found.sharpe.estimate == pytest.approx((sharpe_ratio(RETURNS) + sharpe_ratio(OTHER)) / 2)
    assert found.sharpe.high == pytest.approx(np.quantile(twin[:, 0], 0.975))
    assert found.drawdown.low == pytest.approx(np.quantile(twin[:, 1], 0.025))


def test_percentile_intervals_agree_with_arch():
    def both(x):
        return np.array(measures(x))

    peer = StationaryBootstrap(5, RETURNS, seed=np.random.default_rng(0)).conf_int(both, reps=2000, method="percentile")
    ours = bootstrap_intervals(RETURNS, block=5.0, resamples=20_000)
    # arch's 2,000 resamples leave its own bounds uncertain: about 0.05 standard deviations of the measure.
    assert [ours.sharpe.low, ours.sharpe.high] == pytest.approx(peer[:, 0], abs=0.15)
    assert [ours.drawdown.low, ours.drawdown.high] == pytest.approx(peer[:, 1], abs=0.02)


def test_blocks_have_the_asked_length_in_the_mean_follow_the_bars_and_reach_all_of_them_alike():
    positions = draws(50, block=8.0, resamples=4000, seed=2)
    follows = (positions[:, 1:] - positions[:, :-1]) % 50 == 1
    assert follows.mean() == pytest.approx(1 - 1 / 8 + 1 / 8 / 50, abs=0.005)  # a new block may begin there by chance
    counts = np.bincount(positions.ravel(), minlength=50)
    assert counts.min() > 0.9 * 4000
    assert counts.max() < 1.1 * 4000


def test_intervals_cover_the_true_sharpe_ratio_of_dependent_returns_about_as_often_as_they_say():
    # Of 200 samples, 95 % leave a standard error of 1.5 %; blocks cannot hold all of the dependence, so a little less.
    covered, naive = 0, 0
    for seed in range(200):
        returns = 0.01 * (autoregressive(seed, 600, 0.4)[100:] + 0.05)
        true = math.sqrt(252) * 0.05 / math.sqrt(1 / (1 - 0.4**2))
        options = {"resamples": 400, "seed": seed}
        interval = bootstrap_intervals(returns, **options).sharpe
        covered += interval.low <= true <= interval.high
        interval = bootstrap_intervals(returns, block=1.0, **options).sharpe
        naive += interval.low <= true <= interval.high
    assert 0.88 <= covered / 200 <= 0.98
    assert naive < covered - 10


def test_the_paired_difference_is_known_far_better_than_either_account():
    alone, difference = bootstrap_intervals(RETURNS), bootstrap_difference(RETURNS, RETURNS + 1e-4)
    assert difference.sharpe.high - difference.sharpe.low < 0.2 * (alone.sharpe.high - alone.sharpe.low)
    assert difference.sharpe.high < 0


def test_exchanging_the_accounts_turns_the_interval_around():
    one, other = (bootstrap_difference(*pair, resamples=500) for pair in ((RETURNS, OTHER), (OTHER, RETURNS)))
    for a, b in zip(one[:2], other[:2], strict=True):
        assert (a.estimate, a.low, a.high) == pytest.approx((-b.estimate, -b.high, -b.low))


def test_an_account_differs_from_itself_by_nothing():
    found = bootstrap_difference(RETURNS, RETURNS, resamples=100)
    assert (found.sharpe.estimate, found.sharpe.low, found.sharpe.high) == (0.0, 0.0, 0.0)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    one, same, other = (bootstrap_intervals(RETURNS, resamples=300, seed=seed) for seed in (4, 4, 5))
    assert one == same
    assert one != other


# From 11 bars on: of 10, arch compares a longest lag that leaves no bars, and divides by zero.
@given(st.integers(0, 10_000), st.integers(11, 400), st.floats(-0.6, 0.8))
def test_the_optimal_block_is_that_of_arch(seed, bars, phi):
    x = autoregressive(seed, bars, phi)
    deviation = x - x.mean()
    lags = range(int(np.ceil(np.sqrt(bars))) + 5)
    ours = np.array([abs(deviation[k:] @ deviation[: bars - k]) for k in lags])
    overlap = [
        np.sqrt((deviation[k + 1 :] @ deviation[k + 1 :]) * (deviation[: -k - 1] @ deviation[: -k - 1])) for k in lags
    ]
    threshold = 2 * np.sqrt(np.log10(bars) / bars)
    # arch scales an autocorrelation by the bars that overlap, the paper by all: leave out what only one calls small.
    assume(((ours < threshold * np.array(overlap)) == (ours < threshold * ours[0])).all())
    expected = optimal_block_length(x)["stationary"].iloc[0]
    assert optimal_block(x) == pytest.approx(max(1.0, expected), rel=1e-9)


def test_dependence_in_returns_or_in_their_size_asks_for_longer_blocks():
    calm = np.random.default_rng(3).normal(size=1000)
    stormy = calm * np.repeat(np.where(np.arange(20) % 2, 3.0, 0.3), 50)
    assert block_length(calm) < 5
    assert block_length(autoregressive(3, 1000, 0.8)) > 15
    assert block_length(stormy) > 15
    assert optimal_block(stormy) < 15
    assert block_length(np.column_stack([calm, stormy])) == block_length(stormy)


def test_where_nothing_varies_or_little_is_known_blocks_are_single_bars():
    assert optimal_block(np.full(100, 0.1)) == 1.0
    assert optimal_block(RETURNS[:9]) == 1.0
    assert optimal_block([]) == 1.0


@pytest.mark.parametrize("returns", [np.zeros(100), np.full(100, 0.01), [0.1], []])
def test_an_account_without_a_sharpe_ratio_has_no_interval_of_it(returns):
    interval = bootstrap_intervals(returns, resamples=50).sharpe
    assert all(math.isnan(x) for x in (interval.estimate, interval.low, interval.high))
    assert interval.resamples == 0


def test_resamples_without_a_sharpe_ratio_are_counted_and_left_out():
    once = np.append(np.zeros(9), 0.01)  # each draw of ten single bars misses the last one with probability 0.9^10
    found = bootstrap_intervals(once, block=1.0, resamples=4000)
    assert found.sharpe.resamples == pytest.approx(4000 * (1 - 0.9**10), rel=0.05)
    assert math.isfinite(found.sharpe.low)
    assert found.drawdown.resamples == 4000


def test_a_run_that_never_traded_is_left_out_of_the_mean():
    with_idle = bootstrap_intervals(np.column_stack([RETURNS, np.zeros(300)]), resamples=50, block=3.0)
    assert with_idle.sharpe == bootstrap_intervals(RETURNS, resamples=50, block=3.0).sharpe
    assert with_idle.drawdown.estimate == pytest.approx(measures(RETURNS)[1] / 2)


def test_what_is_lost_stays_lost():
    found = bootstrap_intervals([0.1, -1.5, 0.5], resamples=200)  # values 1.1, -0.55, and no -0.825
    assert found.drawdown.estimate == pytest.approx(1.5)
    assert found.drawdown.high == pytest.approx(1.5)


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="finite returns, got nan at bar 1"):
        bootstrap_intervals([0.1, math.nan])
    with pytest.raises(DataError, match="same bars, got 300 and 299 bars"):
        bootstrap_difference(RETURNS, RETURNS[1:])
    with pytest.raises(DataError, match=r"shape \(bars,\) or \(bars, runs\)"):
        bootstrap_intervals(np.zeros((2, 2, 2)))
    for wrong, words in (
        ({"block": 0.5}, "at least one bar, got 0.5"),
        ({"level": 95}, "between 0 and 1, such as 0.95, got 95"),
        ({"resamples": 0}, "at least one resample"),
        ({"periods": 0}, "periods is the number of bars"),
    ):
        with pytest.raises(DataError, match=words):
            bootstrap_intervals(RETURNS, **wrong)


@pytest.mark.real_bars
def test_two_years_of_apple_leave_the_sharpe_ratio_of_holding_it_wide_open(real_bars):
    bars = real_bars("AAPL", "test")
    found = bootstrap_intervals(simulate(bars, np.ones(len(bars) - 30, dtype=int))["returns"])
    assert found.sharpe.estimate == pytest.approx(1.239, abs=5e-4)  # as published
    assert found.sharpe.low < 0.0 < 2.0 < found.sharpe.high
    assert found.drawdown.low < found.drawdown.estimate < found.drawdown.high
