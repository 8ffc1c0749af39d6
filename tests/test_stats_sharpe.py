"""Probabilistic and deflated Sharpe ratios against the numbers printed in the papers, and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmguide import sharpe_ratio
from llmguide.errors import DataError
from llmguide.stats import (
    ReturnMoments,
    deflated_sharpe,
    expected_best_sharpe,
    min_track_record,
    probabilistic_sharpe,
    return_moments,
)

RETURNS = np.random.default_rng(2).standard_t(5, 500) * 0.01 + 2e-3
some_returns = arrays(np.float64, st.integers(3, 60), elements=st.floats(-0.25, 0.25, width=16))

# Bailey & Lopez de Prado 2014, section "A numerical example": five years of days, an annual Sharpe ratio of 2.5.
ANALYST = ReturnMoments(sharpe=2.5 / math.sqrt(250), skewness=-3.0, kurtosis=10.0, bars=1250)


def trials(count, variance):
    drawn = np.random.default_rng(0).normal(size=count)
    return drawn / drawn.std(ddof=1) * math.sqrt(variance)


@pytest.mark.parametrize(("skewness", "kurtosis", "published"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_the_probabilistic_sharpe_ratio_of_two_years_of_months_is_the_published_one(skewness, kurtosis, published):
    # Bailey & Lopez de Prado 2012: 24 months, Sharpe ratio 0.458 per month.
    moments = ReturnMoments(0.458, skewness, kurtosis, 24)
    assert probabilistic_sharpe(moments, periods=12) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(
    ("periods", "skewness", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_record_needed_to_show_a_sharpe_ratio_of_2_is_above_1_is_the_published_one(
    periods, skewness, kurtosis, years
):
    moments = ReturnMoments(2 / math.sqrt(periods), skewness, kurtosis, 100)
    assert min_track_record(moments, benchmark=1.0, periods=periods) / periods == pytest.approx(years, abs=0.006)


@pytest.mark.parametrize(("count", "published"), [(100, 0.9004), (46, 0.9505)])
def test_the_deflated_sharpe_ratio_is_the_published_one(count, published):
    found = deflated_sharpe(ANALYST, trials(count, 0.5), periods=250)
    assert found.probability == pytest.approx(published, abs=5e-4)
    assert found.trials == count


def test_the_hurdle_of_a_hundred_trials_is_the_published_one():
    assert deflated_sharpe(ANALYST, trials(100, 0.5), periods=250).hurdle / math.sqrt(250) == pytest.approx(
        0.1132, abs=5e-5
    )


@pytest.mark.parametrize("count", [5, 50, 500])
def test_the_expected_best_is_what_the_best_of_random_trials_reaches(count):
    best = np.random.default_rng(1).normal(0.0, 0.7, (4000, count)).max(axis=1)
    assert expected_best_sharpe(0.7, count) == pytest.approx(best.mean(), rel=0.04)


def test_the_probability_is_how_often_as_long_a_record_without_skill_is_worse():
    drawn = np.random.default_rng(4).normal(0.0, 0.01, (4000, 250))
    sharpe = drawn.mean(axis=1) / drawn.std(axis=1, ddof=1)
    ours = probabilistic_sharpe(ReturnMoments(float(np.quantile(sharpe, 0.9)), 0.0, 3.0, 250))
    assert ours == pytest.approx(0.9, abs=0.015)


@given(some_returns)
def test_moments_are_those_of_scipy_and_of_the_measures_module(returns):
    assume(returns.std() > 1e-4)
    found = return_moments(returns)
    assert found.sharpe * math.sqrt(252) == pytest.approx(sharpe_ratio(returns))
    assert found.skewness == pytest.approx(scipy.stats.skew(returns), abs=1e-9)
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(returns, fisher=False))
    assert found.bars == returns.size


@given(some_returns, st.floats(-3, 3), st.floats(0, 3))
def test_a_higher_benchmark_is_less_probable(returns, benchmark, more):
    assume(returns.std() > 1e-4)
    low, high = (probabilistic_sharpe(returns, benchmark=b) for b in (benchmark, benchmark + more))
    assume(not math.isnan(low))
    assert 0 <= high <= low <= 1


def test_the_minimum_record_is_as_long_as_the_probability_needs():
    moments = return_moments(RETURNS)
    bars = min_track_record(moments, level=0.99)
    long_enough = ReturnMoments(moments.sharpe, moments.skewness, moments.kurtosis, math.ceil(bars))
    assert probabilistic_sharpe(long_enough) == pytest.approx(0.99, abs=1e-4)


def test_more_trials_deflate_more_and_one_deflates_nothing():
    sharpes = trials(20, 0.3)
    found = [deflated_sharpe(RETURNS, sharpes, trials=n).probability for n in (1, 2, 20, 1000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == probabilistic_sharpe(RETURNS)
    assert deflated_sharpe(RETURNS, [1.0]).probability == found[0]


def test_trials_without_a_sharpe_ratio_are_left_out():
    sharpes = trials(20, 0.3)
    assert deflated_sharpe(RETURNS, [*sharpes, math.nan]) == deflated_sharpe(RETURNS, sharpes)
    assert math.isnan(deflated_sharpe(RETURNS, [math.nan]).probability)


@pytest.mark.parametrize("returns", [np.zeros(50), np.full(50, 0.01), [0.1], []])
def test_where_there_is_no_sharpe_ratio_all_is_nan(returns):
    assert math.isnan(probabilistic_sharpe(returns))
    assert math.isnan(min_track_record(returns))
    assert math.isnan(deflated_sharpe(returns, [0.5, 1.0]).probability)


def test_no_record_shows_a_skill_that_is_not_there():
    assert math.isnan(min_track_record(-RETURNS + RETURNS.mean() * 2 - 0.01))
    assert math.isnan(min_track_record(RETURNS, benchmark=30.0))


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="finite returns of one account"):
        probabilistic_sharpe([0.1, math.nan])
    with pytest.raises(DataError, match="finite Sharpe ratio to compare with"):
        probabilistic_sharpe(RETURNS, benchmark=math.inf)
    with pytest.raises(DataError, match="undefined ones are NaN"):
        deflated_sharpe(RETURNS, [math.inf, 1.0])
    with pytest.raises(DataError, match="at least one trial, got 0"):
        deflated_sharpe(RETURNS, [1.0, 2.0], trials=0)
    with pytest.raises(DataError, match=r"such as 0.95, got 95"):
        min_track_record(RETURNS, level=95)
    with pytest.raises(DataError, match="periods is the number of bars"):
        probabilistic_sharpe(RETURNS, periods=0)
