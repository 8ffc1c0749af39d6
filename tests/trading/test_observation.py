"""The observation against its formulas, and against a look ahead."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.trading.observation import MarketArrays, Scaler, market_features, observation_size, observe, smooth


def made_bars(seed, count=120):
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, count)))
    open_ = close * np.exp(rng.normal(0, 0.01, count))
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * (1 + rng.uniform(0, 0.02, count)),
            "low": np.minimum(open_, close) * (1 - rng.uniform(0, 0.02, count)),
            "close": close,
            "volume": rng.uniform(1e5, 1e6, count),
        },
        index=pd.bdate_range("2020-01-01", periods=count, name="date"),
    )


def slow_observation(bars, scaler, t):
    """The definition, one number at a time, for the decision at bar t."""
    smoothed = bars[["close", "high", "low", "volume"]].rolling(5).mean()
    smoothed.iloc[:5] = bars[["close", "high", "low", "volume"]].iloc[:5]
    window = smoothed.iloc[t - 30 : t]
    rows = list(window.itertuples())
    returns = [(b.close - a.close) / a.close / scaler.max_abs_return for a, b in itertools.pairwise(rows)]
    spread = [abs(r.high - r.low) / scaler.max_range for r in rows[1:]]
    place = [abs(r.close - r.low) / abs(r.high - r.low) if r.high != r.low else 0.5 for r in rows[1:]]
    volume = [(r.volume - scaler.min_volume) / (scaler.max_volume - scaler.min_volume) for r in rows[1:]]
    return np.array(returns + spread + place + volume)


@pytest.mark.parametrize("t", [30, 31, 34, 35, 77, 120])
def test_the_market_part_follows_its_definition(t):
    bars = made_bars(1)
    scaler = Scaler.fit(bars)
    fast = market_features(MarketArrays.of(bars), scaler)
    assert fast.shape == (91, 116)
    np.testing.assert_allclose(fast[t - 30], slow_observation(bars, scaler, t), rtol=1e-5, atol=1e-6)


def test_sizes_are_the_published_ones():
    assert observation_size(guided=False) == 117
    assert observation_size(guided=True) == 118
    features = market_features(MarketArrays.of(made_bars(0)), Scaler.fit(made_bars(0)))
    assert observe(features, 1, None).shape == (91, 117)
    with_tau = observe(features, -1, np.linspace(-1, 1, 91))
    assert with_tau.shape == (91, 118)
    assert with_tau[0, 116:].tolist() == [-1, -1]


def test_a_bar_without_range_lies_in_the_middle_and_a_constant_market_is_all_zero():
    flat = made_bars(0).assign(open=5.0, high=5.0, low=5.0, close=5.0, volume=7.0)
    features = market_features(MarketArrays.of(flat), Scaler.fit(flat))
    np.testing.assert_array_equal(np.unique(features[:, 58:87]), [0.5])
    assert not np.delete(features, slice(58, 87), axis=1).any()


@pytest.mark.parametrize("smoothing", [0, 1, 5, 12])
@given(bars_seen=st.integers(31, 120))
def test_a_live_window_gives_the_same_bits_as_all_bars(smoothing, bars_seen):
    bars = made_bars(2)
    scaler = Scaler.fit(bars, smoothing=smoothing)
    whole = market_features(MarketArrays.of(bars), scaler, smoothing=smoothing)
    first = max(bars_seen - (30 + max(smoothing - 1, 0)), 0)
    window = MarketArrays.of(bars.iloc[first:bars_seen])
    live = market_features(window, scaler, smoothing=smoothing, first=first)[-1]
    np.testing.assert_array_equal(live, whole[bars_seen - 30])


@given(seed=st.integers(0, 1000), t=st.integers(30, 119))
def test_an_observation_uses_no_bar_from_its_decision_on(seed, t):
    bars, changed = made_bars(3), made_bars(3)
    changed.iloc[t:] = made_bars(seed + 10).iloc[t:] * 3
    scaler = Scaler.fit(bars)
    a, b = (market_features(MarketArrays.of(x), scaler)[: t - 29] for x in (bars, changed))
    np.testing.assert_array_equal(a, b)


@given(seed=st.integers(0, 1000), t=st.integers(0, 119), window=st.integers(0, 9))
def test_smoothing_uses_no_later_bar(seed, t, window):
    rng = np.random.default_rng(seed)
    series = rng.uniform(1, 2, 120)
    changed = series.copy()
    changed[t + 1 :] += 1
    np.testing.assert_array_equal(smooth(series, window)[: t + 1], smooth(changed, window)[: t + 1])


def test_smoothing_is_a_trailing_mean_with_raw_first_bars():
    series = np.arange(10.0) ** 2
    expected = pd.Series(series).rolling(5).mean().to_numpy(copy=True)
    expected[:5] = series[:5]
    np.testing.assert_allclose(smooth(series, 5), expected)


def test_the_scaler_survives_its_dictionary():
    scaler = Scaler.fit(made_bars(4))
    assert Scaler.from_dict(scaler.to_dict()) == scaler
