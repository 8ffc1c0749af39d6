"""The made markets are valid and the same every time; one has regimes, the others have known shapes."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from llmguide.bars import inspect_bars, read_bars, sample_bars
from llmguide.errors import DataError

SEEDS = range(20)
SHAPES = ("linear_up", "linear_down", "sinusoidal", "triangular")


@pytest.fixture(scope="module")
def markets() -> list[np.ndarray]:
    """Daily log returns of many markets."""
    return [np.diff(np.log(sample_bars(seed=seed)["close"].to_numpy())) for seed in SEEDS]


@given(st.sampled_from(("regimes", *SHAPES)), st.integers(1, 14), st.integers(0, 2**63))
@settings(max_examples=40, deadline=None)
def test_bars_are_valid_and_give_nothing_to_report(kind: str, years: int, seed: int):
    bars = sample_bars(kind, years=years, seed=seed)
    assert len(bars) == 252 * years
    assert (bars["low"] > 0).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["volume"] > 0).all()
    read, report = inspect_bars(bars)
    assert report.notes() == []
    assert_frame_equal(read, bars)


def test_dates_are_business_days_from_the_second_of_january_2012():
    index = sample_bars(years=8).index
    assert (str(index[0].date()), str(index[-1].date())) == ("2012-01-02", "2019-09-23")
    assert (index.day_of_week < 5).all()
    assert index.name == "date"
    assert index.dtype == np.dtype("datetime64[ns]")


def test_the_longest_market_lies_in_the_past():
    assert sample_bars(years=14).index[-1] < pd.Timestamp("2025-08-01")


def test_the_same_seed_gives_the_same_bits():
    first, second = sample_bars(years=2, seed=7), sample_bars(years=2, seed=7)
    assert first.to_numpy().tobytes() == second.to_numpy().tobytes()
    assert_frame_equal(sample_bars(), sample_bars(years=8, seed=0))


def test_the_market_of_the_demonstration_has_not_changed():
    bars = sample_bars()
    # Whoever changes the market on purpose changes these, and every figure in the documents that comes from it.
    np.testing.assert_allclose(
        bars["close"].iloc[[0, 251, -1]], [96.46546255340161, 144.98001116599414, 215.34913649527283], rtol=1e-9
    )
    assert bars["volume"].iloc[-1] == 5_641_277


def test_different_seeds_give_different_markets():
    closes = {sample_bars(years=1, seed=seed)["close"].iloc[-1] for seed in SEEDS}
    assert len(closes) == len(SEEDS)


@given(st.sampled_from(("regimes", *SHAPES)), st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_shorter_market_is_the_beginning_of_a_longer_one(kind: str, one: int, other: int, seed: int):
    short, long = (sample_bars(kind, years=years, seed=seed) for years in sorted((one, other)))
    assert short.to_numpy().tobytes() == long.iloc[: len(short)].to_numpy().tobytes()


def test_regimes_are_what_comes_when_nothing_is_asked_for():
    assert_frame_equal(sample_bars("regimes", years=2, seed=7), sample_bars(years=2, seed=7))


def test_the_shapes_pass_through_the_values_of_their_formulas():
    """Every quarter of a year for two years, and the two ends of the straight lines."""
    quarters = {kind: sample_bars(kind, years=3)["close"].iloc[: 2 * 252 + 1 : 63] for kind in SHAPES}
    up, down = [100 + 3.125 * k for k in range(9)], [200 - 3.125 * k for k in range(9)]
    wave, triangle = [150, 200, 150, 100] * 2 + [150], [200, 150, 100, 150] * 2 + [200]
    for kind, expected in zip(SHAPES, (up, down, wave, triangle), strict=True):
        np.testing.assert_allclose(quarters[kind], expected, rtol=1e-12)
    assert sample_bars("linear_up", years=14)["close"].iloc[-1] == pytest.approx(275, abs=0.05)
    assert sample_bars("linear_down", years=14)["close"].iloc[-1] == pytest.approx(25, abs=0.05)


def test_straight_lines_and_triangles_move_by_the_same_amount_every_day():
    for kind, steps in (("linear_up", 12.5), ("linear_down", -12.5)):
        np.testing.assert_allclose(sample_bars(kind)["close"].diff().iloc[1:], steps / 252, rtol=1e-9)
    np.testing.assert_allclose(sample_bars("triangular")["close"].diff().iloc[1:].abs(), 200 / 252, rtol=1e-9)


def test_a_wave_turns_where_its_second_difference_says():
    """A sampled sine solves x[t+1] - 2 x[t] + x[t-1] = -4 sin^2(pi / 252) x[t]: independent of how it is made."""
    x = sample_bars("sinusoidal")["close"].to_numpy() - 150
    np.testing.assert_allclose(np.diff(x, 2), -4 * np.sin(np.pi / 252) ** 2 * x[1:-1], atol=1e-9)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_opens_where_it_closed_and_has_no_chance_in_it(kind: str):
    bars = sample_bars(kind, years=2)
    assert_frame_equal(bars, sample_bars(kind, years=2, seed=9))
    np.testing.assert_array_equal(bars["open"].iloc[1:], bars["close"].iloc[:-1])
    assert bars["open"].iloc[0] == bars["close"].iloc[0]
    np.testing.assert_array_equal(bars["high"], bars[["open", "close"]].max(axis=1))
    np.testing.assert_array_equal(bars["low"], bars[["open", "close"]].min(axis=1))
    assert bars["volume"].nunique() == 1


def test_volatility_is_that_of_a_share_or_an_index(markets: list[np.ndarray]):
    yearly = np.array([r.std() * np.sqrt(252) for r in markets])
    assert yearly.min() > 0.14
    assert yearly.max() < 0.35
    assert 0.16 < yearly.mean() < 0.24


def test_prices_neither_die_nor_explode():
    closes = pd.concat([sample_bars(seed=seed)["close"] for seed in SEEDS])
    assert closes.min() > 10
    assert closes.max() < 5_000


def test_calm_and_wild_days_come_in_clusters(markets: list[np.ndarray]):
    def clustering(returns: np.ndarray) -> float:
        size = np.abs(returns)
        return float(np.mean([np.corrcoef(size[:-lag], size[lag:])[0, 1] for lag in range(1, 21)]))

    rng = np.random.default_rng(0)
    here = np.mean([clustering(r) for r in markets])
    shuffled = np.mean([clustering(rng.permutation(r)) for r in markets])
    assert abs(shuffled) < 0.01
    assert here > 0.08


def test_drift_persists_for_months_and_daily_returns_hardly(markets: list[np.ndarray]):
    """Sums over a quarter vary more than those of shuffled days, which have the same days but no regimes."""

    def quarters(returns: np.ndarray) -> np.ndarray:
        return returns[: len(returns) // 63 * 63].reshape(-1, 63).sum(axis=1)

    rng = np.random.default_rng(0)
    here = np.mean([quarters(r).var() for r in markets])
    shuffled = np.mean([quarters(rng.permutation(r)).var() for r in markets for _ in range(10)])
    assert here > 1.15 * shuffled
    assert abs(np.mean([np.corrcoef(r[:-1], r[1:])[0, 1] for r in markets])) < 0.05


def test_bars_gap_overnight(markets: list[np.ndarray]):
    """A quarter of the variance falls between the close and the next open."""
    share = []
    for seed in SEEDS:
        bars = sample_bars(seed=seed)
        gap = np.log(bars["open"] / bars["close"].shift()).dropna()
        share.append(gap.var() / np.diff(np.log(bars["close"])).var())
    assert np.mean(share) == pytest.approx(0.25, abs=0.02)


def test_the_range_of_a_day_is_that_of_a_random_walk():
    """E[(log high/low)^2] = 4 ln 2 variance without drift (Parkinson 1980): independent of how it is drawn."""
    ratios = []
    for seed in SEEDS:
        bars = sample_bars(seed=seed)
        intraday = np.log(bars["close"] / bars["open"])
        ratios.append((np.log(bars["high"] / bars["low"]) ** 2).mean() / intraday.var())
    assert np.mean(ratios) == pytest.approx(4 * np.log(2), rel=0.1)


def test_volume_rises_with_the_size_of_the_return():
    for seed in SEEDS:
        bars = sample_bars(seed=seed)
        size = np.log(bars["close"]).diff().abs()
        assert size.corr(np.log(bars["volume"]), method="spearman") > 0.3


@pytest.mark.parametrize("years", [0, -1, 15, 2.5, "8", None])
def test_years_must_be_whole_and_end_in_the_past(years: object):
    with pytest.raises(DataError, match="years"):
        sample_bars(years=years)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("kind", "hint"), [("sinusodial", "; did you mean 'sinusoidal'"), ("", ""), (None, ""), ([], "")]
)
def test_an_unknown_kind_is_refused_with_the_nearest_name(kind: object, hint: str):
    with pytest.raises(DataError, match=f"expected kind to be one of regimes, linear_up.*{hint}"):
        sample_bars(kind)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("seed", [-1, 0.5, "a", None])
def test_seeds_are_whole_and_not_negative(seed: object):
    with pytest.raises(DataError, match="seed"):
        sample_bars(seed=seed)  # type: ignore[arg-type]  # wrong on purpose


def test_a_market_survives_a_file(tmp_path):
    sample_bars(years=1).to_csv(tmp_path / "market.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_frame_equal(read_bars(tmp_path / "market.csv"), sample_bars(years=1))
