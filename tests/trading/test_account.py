"""The account rules against the authors' trajectories, hand-worked cases, laws and slow twins."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import DataError
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.trading import account
from llmguide.trading.simulate import simulate

TRAJECTORIES = [
    f"{symbol}_{year}_{kind}"
    for symbol in ("AAPL", "TSLA")
    for year in ("2012", "2018")
    for kind in ("coin_10bp", "long_10bp", "monthly_10bp", "short_10bp", "sticky_20bp")
]


def frame(closes):
    return pd.DataFrame(
        {"close": np.asarray(closes, dtype=float)}, index=pd.bdate_range("2020-01-01", periods=len(closes))
    )


@pytest.mark.real_bars
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_simulate_follows_the_authors_environment(name, golden_folder, real_bars):
    golden = pd.read_csv(golden_folder / f"{name}.csv")
    cost = json.loads((golden_folder / "performance.json").read_text())[name]["cost"]
    symbol, year, _, _ = name.split("_")
    bars = real_bars(symbol, "train" if year == "2012" else "test")
    ours = simulate(bars, golden["Decision"].to_numpy()[30:], cost=cost)
    for column, theirs in (("value", "Money"), ("cash", "Cash"), ("holdings", "Holdings")):
        np.testing.assert_allclose(ours[column], golden[theirs], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(ours["side"], golden["Position"])
    np.testing.assert_allclose(ours["reward"][30:], golden["Reward"][30:], atol=1e-8)
    np.testing.assert_allclose(ours["returns"], golden["Returns"], atol=1e-8)


@pytest.mark.real_bars
def test_buy_and_hold_of_apple_has_the_published_sharpe_ratio_and_drawdown(real_bars):
    bars = real_bars("AAPL", "test")
    table = simulate(bars, np.ones(len(bars) - 30))
    assert sharpe_ratio(table["returns"]) == pytest.approx(1.238666, abs=5e-7)
    assert max_drawdown(table["value"], convention="tdqn") == pytest.approx(0.385081, abs=5e-7)


def test_a_hand_worked_account():
    # 10 % cost. Long at 10: floor(1000 / 11) = 90 shares for 990. Flip at 20: sell for 1620, cash 1630; then
    # floor(1630 / 22) = 74 shares short for 1332. Flip at 10: buy 74 back for 814, cash 2148; floor(2148 / 11) = 195
    # long.
    table = simulate(frame([10, 10, 20, 10]), [1, 0, 1], cash=1000, cost=0.1, start=1)
    assert table["shares"].tolist() == [0, 90, 74, 195]
    assert table["side"].tolist() == [0, 1, -1, 1]
    np.testing.assert_allclose(table["cash"], [1000, 10, 2962, 3])
    np.testing.assert_allclose(table["value"], [1000, 910, 2962 - 74 * 20, 1953])
    np.testing.assert_allclose(table["reward"][1:], [-0.09, 1482 / 910 - 1, 1953 / 1482 - 1])


def test_a_short_buys_back_what_it_could_not_survive():
    # Cost 0. Short 100 at 10: cash 2000. At 19 nothing is due (previous close 10: 1100 < 2000). At 20 the previous
    # close 19 asks for 100 * 19 * 1.1 = 2090 > 2000: floor(90 / 1.9) = 47 shares are bought at 20.
    table = simulate(frame([10, 10, 19, 20]), [0, 0, 0], cash=1000, cost=0.0, start=1)
    assert table["shares"].tolist() == [0, 100, 100, 53]
    assert table["cash"].tolist() == [1000, 2000, 2000, 1060]
    assert table["reward"].iloc[-1] == pytest.approx((19 - 20) / 19)


def test_an_insolvent_short_goes_on_with_negative_cash_and_no_shares():
    table = simulate(frame([10, 10, 100, 100, 100]), [0, 0, 0, 0], cash=1000, cost=0.001, start=1)
    assert table["value"].iloc[-1] < 0
    assert table["shares"].iloc[-1] == 0
    assert table["returns"].iloc[-1] == 0
    assert np.isfinite(table["reward"][1:]).all()


prices = st.lists(st.floats(1.0, 50.0), min_size=6, max_size=40)


@given(closes=prices, seed=st.integers(0, 2**32 - 1), cost=st.floats(0, 0.02))
def test_money_is_only_lost_to_costs(closes, seed, cost):
    """Value changes by the old holdings' price move, less the cost of what was traded."""
    decisions = np.random.default_rng(seed).integers(0, 2, len(closes) - 2)
    table = simulate(frame(closes), decisions, cost=cost, start=2)
    if (table["value"] <= 0).any():
        return  # an insolvent account's "long" is a negative number of shares, for which the formulas pay the cost out
    signed = (table["side"] * table["shares"]).to_numpy()
    before = np.append(0, signed[:-1])
    close = np.asarray(closes)
    move = before * np.append(0, np.diff(close))
    # A flip trades the old and the new shares, so the traded number is the change of the signed position.
    paid = np.abs(signed - before) * close * cost
    np.testing.assert_allclose(np.diff(table["value"]), (move - paid)[1:], rtol=1e-9, atol=1e-6)


@given(closes=prices, seed=st.integers(0, 2**32 - 1), t=st.integers(2, 39))
def test_nothing_up_to_a_bar_depends_on_later_bars_or_decisions(closes, seed, t):
    rng = np.random.default_rng(seed)
    decisions = rng.integers(0, 2, len(closes) - 2)
    t = min(t, len(closes) - 1)
    changed, other = np.array(closes), decisions.copy()
    changed[t + 1 :] *= rng.uniform(0.5, 2.0, len(closes) - t - 1)
    other[t - 1 :] = 1 - other[t - 1 :]
    a, b = simulate(frame(closes), decisions, start=2), simulate(frame(changed), other, start=2)
    pd.testing.assert_frame_equal(a.iloc[: t + 1], b.iloc[: t + 1])


def test_the_rollout_of_many_runs_equals_each_simulation():
    rng = np.random.default_rng(3)
    closes = 50 * np.exp(np.cumsum(rng.normal(0, 0.05, 300)))
    decisions = rng.integers(0, 2, (20, 270)).astype(np.int8)
    together = account.rollout(closes, decisions, 100_000.0, 0.001, 30)
    alone = [simulate(frame(closes), run)["value"] for run in decisions]
    np.testing.assert_array_equal(together, np.stack(alone))


@pytest.mark.parametrize("taken", [0, 1])
@pytest.mark.parametrize("state", [(0.0, 0.0, 1000.0), (1.0, 90.0, 10.0), (-1.0, 74.0, 2962.0)])
def test_the_untaken_transition_is_what_taking_it_would_have_given(state, taken):
    prices = np.array([10.0, 20.0, 15.0])
    side, shares, cash = (np.array([x]) for x in state)
    rewards = np.empty((1, 2))
    account.advance(side, shares, cash, np.array([2]), np.array([taken], dtype=np.int8), prices, 0.1, rewards)
    for decision in (0, 1):
        *after, reward = account.transition(*state, decision, 15.0, 20.0, 0.1)
        assert rewards[0, decision] == reward
        if decision == taken:
            assert (side[0], shares[0], cash[0]) == tuple(after)


def test_the_untaken_flip_sells_the_shares_that_were_held():
    """In the authors' code the untaken long -> short values its holdings with the old share count."""
    *after, reward = account.transition(1.0, 90.0, 10.0, 0, 20.0, 10.0, 0.1)
    value = account.value(*after, 20.0)
    assert after[1] == math.floor((10 + 90 * 20 * 0.9) / 22)
    assert reward == pytest.approx(value / 910 - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decisions": [1, 0]}, "expected decisions of shape"),
        ({"decisions": [1, 0, 2]}, "decisions must be 1"),
        ({"decisions": [1, 0, np.nan]}, "decisions must be 1"),
        ({"cash": 0}, "cash must be"),
        ({"cost": 0.1 * 20}, "cost must be a fraction"),
        ({"start": 0}, "start must lie"),
        ({"start": 4}, "start must lie"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    settings = {"decisions": [1, 0, 1], "cash": 1000, "cost": 0.0, "start": 1} | change
    with pytest.raises(DataError, match=message):
        simulate(frame([10, 10, 20, 10]), settings.pop("decisions"), **settings)


def test_a_frame_without_closes_is_refused_with_the_nearest_name():
    with pytest.raises(DataError, match="did you mean 'Close'"):
        simulate(frame([1, 2, 3]).rename(columns={"close": "Close"}), [1, 1], start=1)


def test_the_order_of_dates_as_text_is_not_looked_at():
    bars = pd.DataFrame({"close": [1.0, 2.0, 3.0]}, index=["12/28/2012", "12/31/2012", "01/02/2013"])
    assert simulate(bars, [1, 1], start=1)["side"].tolist() == [0, 1, 1]


@pytest.mark.parametrize("order", [[2, 1, 0], [0, 1, 1]])
def test_bars_that_are_not_oldest_first_are_refused(order):
    bars = pd.DataFrame({"close": [1.0, 2.0, 3.0]}, index=pd.date_range("2020-01-01", periods=3)).iloc[order]
    with pytest.raises(DataError, match="expected every bar after the one before it, but row"):
        simulate(bars, [1, 1], start=1)
