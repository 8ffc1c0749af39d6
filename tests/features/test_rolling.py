"""What a window says, against slow twins and by the laws of each measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmguide.features.rolling import historical_volatility, slope, vwap, weekly_returns, zscore

prices = arrays(np.float64, st.integers(0, 60), elements=st.floats(0.5, 500.0, width=32))


@pytest.fixture(scope="module")
def close() -> np.ndarray:
    return 70.0 * np.exp(np.cumsum(np.random.default_rng(2).normal(0.0, 0.02, 150)))


@pytest.mark.parametrize("period", [2, 5, 20])
def test_the_slope_is_that_of_a_fitted_line(close, period):
    expected = pd.Series(close).rolling(period).apply(lambda window: np.polyfit(range(period), window, 1)[0])
    np.testing.assert_allclose(slope(close, period=period), expected, rtol=1e-8, atol=1e-10)


def test_a_straight_line_has_its_own_slope_and_a_flat_one_has_exactly_none():
    np.testing.assert_allclose(slope(3.0 - 0.25 * np.arange(30), period=7)[6:], -0.25)
    assert (slope(np.full(30, 0.1), period=7)[6:] == 0.0).all()


def test_a_slope_loses_no_digits_to_the_level_that_it_starts_from():
    values = np.random.default_rng(1).integers(0, 100, 40).astype(float)
    np.testing.assert_array_equal(slope(2.0**40 + values, period=20), slope(values, period=20))


@pytest.mark.parametrize("period", [2, 5, 20])
def test_the_zscore_is_pandas(close, period):
    rolling = pd.Series(close).rolling(period)
    expected = (close - rolling.mean()) / rolling.std(ddof=0)
    np.testing.assert_allclose(zscore(close, period=period), expected, rtol=1e-7, atol=1e-7)


def test_a_weighted_zscore_counts_a_value_as_often_as_its_weight_says():
    values, weights = np.array([3.0, 1.0, 4.0, 2.0]), np.array([1.0, 2.0, 3.0, 2.0])
    repeated = np.repeat(values, weights.astype(int))
    expected = (values[-1] - repeated.mean()) / repeated.std()
    assert zscore(values, period=4, weights=weights)[-1] == pytest.approx(expected)
    np.testing.assert_allclose(zscore(values, period=3, weights=np.full(4, 7.0)), zscore(values, period=3))
    assert np.isnan(zscore(values, period=4, weights=np.zeros(4))).all()


def test_values_that_stand_still_have_no_zscore_however_they_are_rounded():
    assert np.isnan(zscore(np.full(40, 0.1), period=20)).all()
    noise = 1e-15 * np.random.default_rng(0).normal(size=40)
    assert np.isnan(zscore(noise, period=20, scale=np.full(40, 50.0))).all()
    assert not np.isnan(zscore(noise, period=20)[19:]).any()  # nothing says that it is noise


@given(prices, st.floats(0.1, 10.0), st.floats(-100.0, 100.0))
def test_moving_and_stretching_the_values_does_the_same_to_the_slope_and_nothing_to_the_zscore(values, factor, shift):
    moved = factor * values + shift
    np.testing.assert_allclose(slope(moved, period=5), factor * slope(values, period=5), rtol=1e-6, atol=1e-9)
    spread = pd.Series(values).rolling(5).std().to_numpy() > 1e-3
    np.testing.assert_allclose(zscore(moved, period=5)[spread], zscore(values, period=5)[spread], rtol=1e-4, atol=1e-4)


@given(prices)
def test_a_zscore_is_at_most_the_root_of_the_period_less_one(values):
    known = zscore(values, period=5)
    assert (np.abs(known[~np.isnan(known)]) <= 2.0 + 1e-9).all()


def test_weekly_returns_are_those_of_four_spans_of_five_bars():
    returns = weekly_returns(np.arange(100.0, 125.0))
    assert returns.shape == (25, 4)
    np.testing.assert_allclose(returns[24], [124 / 119 - 1, 119 / 114 - 1, 114 / 109 - 1, 109 / 104 - 1])
    assert np.isnan(returns).sum(axis=0).tolist() == [5, 10, 15, 20]


@given(arrays(np.float64, st.integers(21, 40), elements=st.floats(10.0, 90.0)))
def test_four_weeks_multiply_to_the_return_of_twenty_bars(close):
    weeks = weekly_returns(close)[-1]
    assert np.prod(1.0 + weeks) == pytest.approx(close[-1] / close[-21])


def test_historical_volatility_is_pandas_standard_deviation_of_a_year(close):
    expected = pd.Series(close).pct_change().rolling(20).std() * np.sqrt(252)
    np.testing.assert_allclose(historical_volatility(close), expected, rtol=1e-9)
    assert np.isnan(historical_volatility(close)[:20]).all()


def test_the_weighted_price_is_worked_by_hand_and_is_missing_where_nothing_was_traded():
    result = vwap(np.array([10.0, 20.0, 40.0, 50.0]), np.array([1.0, 3.0, 0.0, 0.0]), period=2)
    np.testing.assert_array_equal(result, [np.nan, (10 + 60) / 4, 20.0, np.nan])


@given(prices.filter(len), st.randoms(use_true_random=False))
def test_the_weighted_price_is_between_the_lowest_and_the_highest(close, random):
    volume = np.array([float(random.randrange(10)) for _ in close])
    result = vwap(close, volume, period=4)
    rolling = pd.Series(close).rolling(4)
    known = ~np.isnan(result)
    assert (result[known] <= rolling.max()[known] * (1 + 1e-12)).all()
    assert (result[known] >= rolling.min()[known] * (1 - 1e-12)).all()


@pytest.mark.parametrize("measure", [slope, zscore, historical_volatility, weekly_returns])
@given(values=prices, cut=st.integers(0, 60))
def test_values_after_a_bar_change_nothing_up_to_it(measure, values, cut):
    np.testing.assert_array_equal(measure(values[:cut]), measure(values)[:cut])


@pytest.mark.parametrize("measure", [slope, zscore, historical_volatility])
def test_a_missing_value_is_missing_in_every_window_that_holds_it_and_in_no_other(close, measure):
    holed = close.copy()
    holed[50] = np.nan
    missing = np.flatnonzero(np.isnan(measure(holed)[20:])) + 20
    last = 70 if measure is historical_volatility else 69
    assert missing.tolist() == list(range(50, last + 1))
