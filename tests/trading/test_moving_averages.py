"""Trend following and mean reversion: the published choice, exact ties, a slow twin, and no look ahead."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sample_bars, sharpe_ratio, simulate
from llmguide.errors import DataError, LlmguideError
from llmguide.trading.moving_averages import choose_windows, decide, decisions, sharpe_grid

RULES = ("trend", "reversion")


def frame(closes):
    return pd.DataFrame(
        {"close": np.asarray(closes, dtype=float)}, index=pd.bdate_range("2020-01-01", periods=len(closes), name="date")
    )


def exact_decision(closes, short, long, rule):
    """The rule on exact fractions, from the closes up to t-1."""
    short_mean, long_mean = (sum(map(Fraction, closes[-window:])) / window for window in (short, long))
    return int(short_mean >= long_mean if rule == "trend" else short_mean <= long_mean)


def slow_grid(bars, rule, *, start, longest, **account):
    """Every pair by itself: exact means, `simulate`, `sharpe_ratio`."""
    closes = bars["close"].tolist()
    grid = pd.DataFrame(np.nan, index=range(1, longest), columns=range(2, longest + 1))
    for short, long in combinations(range(1, longest + 1), 2):
        script = [exact_decision(closes[:t], short, long, rule) for t in range(start, len(closes))]
        grid.loc[short, long] = sharpe_ratio(simulate(bars, script, start=start, **account)["returns"])
    return grid


@pytest.mark.real_bars
@pytest.mark.parametrize(
    ("rule", "windows", "train_sharpe", "test_sharpe", "final_value"),
    [
        ("trend", (2, 21), 0.784374, 1.178207, 168_737.758),
        ("reversion", (8, 13), -0.041258, -0.609284, 65_370.183),
    ],
)
def test_apple_gets_the_windows_and_figures_of_the_authors_search(
    real_bars, rule, windows, train_sharpe, test_sharpe, final_value
):
    train, test = real_bars("AAPL", "train"), real_bars("AAPL", "test")
    chosen = choose_windows(train, rule)
    assert (chosen.short, chosen.long) == windows
    assert chosen.sharpe == pytest.approx(train_sharpe, abs=5e-7)
    account = simulate(test, decisions(test, chosen.short, chosen.long, rule=rule))
    assert sharpe_ratio(account["returns"]) == pytest.approx(test_sharpe, abs=5e-7)
    assert account["value"].iloc[-1] == pytest.approx(final_value, abs=5e-4)


@pytest.mark.real_bars
@pytest.mark.parametrize("symbol", ["AAPL", "TSLA", "0939.HK"])
@pytest.mark.parametrize("rule", RULES)
def test_on_real_bars_every_decision_is_that_of_plain_means(real_bars, symbol, rule):
    """As the authors' code has it; where a tie is exact in fractions, plain means may round to either side."""
    bars = real_bars(symbol, "test")
    closes = bars["close"].to_numpy()
    means = {w: np.array([closes[t - w : t].mean() for t in range(30, len(closes))]) for w in range(1, 30)}
    for short, long in combinations(range(1, 30), 2):
        above = means[short] - means[long]
        certain = np.abs(above) > 1e-12 * closes.max()
        assert certain.mean() > 0.9
        expected = above > 0 if rule == "trend" else above < 0
        ours = decisions(bars, short, long, rule=rule)
        np.testing.assert_array_equal(ours[certain], expected[certain])


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_on_hand_worked_closes(rule):
    # Means of the last 1 and 3 closes before each bar from 3 on: 9 and 8, 6 and 7 2/3, 6 and 7, 9 and 7, 6 and 7.
    bars = frame([7, 8, 9, 6, 6, 9, 6, 100])
    trend = [1, 0, 0, 1, 0]
    expected = trend if rule == "trend" else [1 - decision for decision in trend]
    assert decisions(bars, 1, 3, rule=rule, start=3).tolist() == expected


@given(
    price=st.floats(1e-3, 1e6),
    windows=st.tuples(st.integers(1, 29), st.integers(1, 29)).filter(lambda pair: pair[0] < pair[1]),
)
def test_flat_prices_are_a_tie_and_a_tie_is_long_under_both_rules(price, windows):
    for trend in (True, False):
        assert decide(np.full(29, price), *windows, trend) == 1


@given(
    closes=st.lists(st.integers(1, 6), min_size=12, max_size=40),
    rule=st.sampled_from(RULES),
    windows=st.tuples(st.integers(1, 11), st.integers(1, 11)).filter(lambda pair: pair[0] < pair[1]),
)
def test_decisions_equal_those_on_exact_fractions_ties_included(closes, rule, windows):
    expected = [exact_decision(closes[:t], *windows, rule) for t in range(11, len(closes))]
    assert decisions(frame(closes), *windows, rule=rule, start=11).tolist() == expected


@given(
    closes=st.lists(st.integers(1, 200), min_size=10, max_size=30),
    rule=st.sampled_from(RULES),
    longest=st.integers(2, 6),
    later=st.integers(0, 2),
    cost=st.sampled_from([0.0, 0.001, 0.02]),
    limits=st.sampled_from(
        [{}, {"long_only": True}, {"max_leverage": 0.5, "band": 0.1}, {"long_only": True, "max_leverage": 0.8}]
    ),
)
def test_the_grid_of_one_pass_equals_simulating_every_pair_on_the_account_that_is_traded(
    closes, rule, longest, later, cost, limits
):
    settings = {"start": longest + later, "longest": longest, "cash": 5_000.0, "cost": cost} | limits
    bars = frame(closes)
    pd.testing.assert_frame_equal(
        sharpe_grid(bars, rule, **settings), slow_grid(bars, rule, **settings),
        check_names=False, check_index_type=False, check_column_type=False, rtol=1e-9, atol=1e-9,
    )  # fmt: skip


def test_the_grid_is_that_of_all_406_pairs_and_the_chosen_one_is_its_largest():
    bars = sample_bars(years=2)
    grid = sharpe_grid(bars, "trend")
    assert (grid.index.name, grid.columns.name) == ("short", "long")
    assert grid.notna().sum().sum() == 406
    assert all(np.isfinite(grid.loc[short, long]) for short, long in combinations(range(1, 30), 2))
    chosen = choose_windows(bars, "trend")
    assert chosen.sharpe == grid.max(axis=None) == grid.loc[chosen.short, chosen.long]


def test_of_equal_pairs_the_first_in_the_authors_order_wins():
    # Every mean rises for ever, so every pair is always long: all Sharpe ratios are the same bits.
    bars = frame(np.arange(100, 160))
    grid = sharpe_grid(bars, "trend")
    assert grid.stack().nunique() == 1
    assert choose_windows(bars, "trend")[:2] == (1, 2)


def test_a_pair_without_a_sharpe_ratio_never_wins():
    # At 150 the cash buys no share, and who stays long for ever buys none later; who goes short on the way up loses.
    bars = frame([150, 150, 150, 150, 150, 150, 130, 110, 90, 70, 50, 60, 70, 80])
    settings = {"cash": 100.0, "cost": 0.0, "start": 6, "longest": 6}
    grid = sharpe_grid(bars, "reversion", **settings)
    assert np.isnan(grid.loc[5, 6])
    assert grid.max(axis=None) < 0
    chosen = choose_windows(bars, "reversion", **settings)
    assert chosen.sharpe == grid.max(axis=None)


def test_windows_cannot_be_chosen_where_nothing_ever_happens():
    flat = frame([0.1] * 60)
    assert sharpe_grid(flat, cost=0.0).isna().all(axis=None)
    with pytest.raises(DataError, match="no pair of windows has a Sharpe ratio"):
        choose_windows(flat, cost=0.0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("t", [30, 31, 77, 200])
def test_nothing_up_to_a_bar_depends_on_later_bars(rule, t):
    bars = sample_bars(years=1, seed=3)
    changed = bars.copy()
    changed.iloc[t + 1 :] *= np.random.default_rng(t).uniform(0.3, 3.0, (len(bars) - t - 1, 1))
    one, two = (decisions(frame, 3, 17, rule=rule) for frame in (bars, changed))
    # The decision on bar t + 1 is taken from closes up to t, so it is known as well.
    np.testing.assert_array_equal(one[: t + 2 - 30], two[: t + 2 - 30])
    assert not np.array_equal(one, two)


def test_a_decision_depends_on_its_own_window_only():
    closes = sample_bars(years=2)["close"].to_numpy()
    for t in range(30, len(closes)):
        assert decide(closes[:t], 4, 9, True) == decide(closes[t - 9 : t], 4, 9, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "trends"}, "did you mean 'trend'"),
        ({"longest": 31}, "31 bars does not fit into the 30 idle ones.*pass start=31"),
        ({"longest": 1}, "longest must be a whole number of bars, at least 2, got 1"),
        ({"longest": 5.0}, "longest must be a whole number"),
        ({"start": 60}, "start must lie"),
        ({"cash": 0.0}, "cash must be"),
        ({"cost": 2.0}, "cost must be a fraction"),
    ],
)
def test_impossible_settings_of_the_search_are_refused(change, message):
    with pytest.raises(LlmguideError, match=message):
        choose_windows(frame(np.arange(1, 61)), **change)


@pytest.mark.parametrize("windows", [(0, 5), (5, 5), (6, 5), (2.0, 5), (None, 5), ("2", "5")])
def test_impossible_windows_are_refused(windows):
    with pytest.raises(LlmguideError, match=r"whole numbers of bars with 1 <= short < long, got .* and 5|'5'"):
        decisions(frame(np.arange(1, 61)), *windows)


def test_decisions_before_the_long_window_is_full_are_refused():
    with pytest.raises(LlmguideError, match="start must lie between long, 50, and 59 for 60 bars, got 30"):
        decisions(frame(np.arange(1, 61)), 5, 50)
