"""Positions that are a fraction of the account: hand-worked cases, a slow twin in exact arithmetic, laws."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import DataError
from llmguide.trading import account, sizing
from llmguide.trading.simulate import simulate


def frame(closes):
    return pd.DataFrame(
        {"close": np.asarray(closes, dtype=float)}, index=pd.bdate_range("2020-01-01", periods=len(closes))
    )


def market(seed, bars=60, volatility=0.05):
    return 50 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, volatility, bars)))


def random_weights(seed, shape):
    """Weights of which a third are 0, 1 or -1 and neighbours are often equal."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-1, 1, shape)
    weights = np.where(rng.random(shape) < 0.3, np.round(weights), weights)
    for t in range(1, shape[-1]):
        kept = rng.random(shape[:-1]) < 0.5
        weights[..., t] = np.where(kept, weights[..., t - 1], weights[..., t])
    return weights


def slow_step(held, cash, weight, price, cost, band):
    """The rule by its definition, in exact fractions: try every number of shares, take the largest that fits."""
    weight, price, cost, band = (Fraction(float(x)) for x in (weight, price, cost, band))
    worth = cash + held * price
    if worth <= 0:
        weight = Fraction(0)
    if held * weight > 0 and abs(weight - held * price / worth) <= band:
        return held, cash

    def after(target):
        traded = abs(target - held) * price
        return cash - (target - held) * price - cost * traded

    toward, best = (1 if weight > 0 else -1), 0
    for shares in range(1, int(abs(weight) * worth / price) + 2):
        value = after(toward * shares) + toward * shares * price
        if shares * price <= abs(weight) * value:
            best = shares
    return toward * best, after(toward * best)


def slow_path(closes, weights, cash, cost, start, band):
    held, cash = 0, Fraction(float(cash))
    for t in range(start, len(closes)):
        held, cash = slow_step(held, cash, weights[t - start], closes[t], cost, band)
        yield held, float(cash)


@given(
    seed=st.integers(0, 2**32 - 1),
    cash=st.floats(100.0, 20_000.0),
    cost=st.sampled_from([0.0, 0.001, 0.02, 0.3]),
    band=st.sampled_from([0.0, 0.05, 0.5]),
    volatility=st.sampled_from([0.02, 0.2, 0.8]),
)
def test_the_account_is_that_of_its_definition_in_exact_fractions(seed, cash, cost, band, volatility):
    closes = market(seed, 12, volatility)
    weights = random_weights(seed, (10,))
    table = simulate(frame(closes), weights=weights, cash=cash, cost=cost, band=band, start=2)
    held, money = zip(*slow_path(closes, weights, cash, cost, 2, band), strict=True)
    np.testing.assert_array_equal((table["side"] * table["shares"])[2:], held)
    np.testing.assert_allclose(table["cash"][2:], money, rtol=1e-9, atol=1e-9 * cash)


def test_a_hand_worked_account():
    # 10 % cost, no band. Half of 1000 at 10: n <= 0.5 (1000 - n) / 10 gives 47 shares, cash 1000 - 47 * 11 = 483.
    # A quarter at 20, of 1423: selling d of them leaves 1423 - 2 d, and 20 n <= 0.25 (1423 - 2 (47 - n)) gives 17:
    # 30 sold for 540, cash 1023. Short half at 20: sold for 306, cash 1329; 20 n <= 0.5 (1329 - 2 n) gives 31 for 558.
    # Flat at 25: 31 bought back for 852.50.
    table = simulate(frame([10, 10, 20, 20, 25]), weights=[0.5, 0.25, -0.5, 0], cash=1000, cost=0.1, band=0, start=1)
    assert table["side"].tolist() == [0, 1, 1, -1, 0]
    assert table["shares"].tolist() == [0, 47, 17, 31, 0]
    np.testing.assert_allclose(table["cash"], [1000, 483, 1023, 1887, 1034.5])
    np.testing.assert_allclose(table["value"], [1000, 953, 1363, 1267, 1034.5])
    np.testing.assert_allclose(
        table["reward"][1:], [953 / 1000 - 1, 1363 / 953 - 1, 1267 / 1363 - 1, 1034.5 / 1267 - 1]
    )
    assert np.isnan(table["reward"].iloc[0])


def test_within_the_band_nothing_is_traded_and_beyond_it_the_weight_is_met():
    # 50 shares at 10 of 1000. At 12 the weight is 600 / 1100 = 0.5455, at 13 it is 650 / 1150 = 0.5652.
    bars = frame([10, 10, 12, 13])
    table = simulate(bars, weights=[0.5] * 3, cash=1000, cost=0.0, band=0.05, start=1)
    assert table["shares"].tolist() == [0, 50, 50, 44]  # 575 // 13
    assert simulate(bars, weights=[0.5] * 3, cash=1000, cost=0.0, band=0.07, start=1)["shares"].tolist()[-1] == 50


@pytest.mark.parametrize(("before", "after"), [(0.01, -0.01), (-0.01, 0.01), (0.02, 0), (-0.02, 0), (0, 0.02)])
def test_opening_closing_and_changing_sides_do_not_wait_for_the_band(before, after):
    table = simulate(frame([10, 10, 10]), weights=[before, after], cash=10_000, cost=0.0, band=0.5, start=1)
    assert (table["side"] * table["shares"]).tolist() == [0, before * 1000, after * 1000]


def test_a_short_of_a_fixed_weight_shrinks_as_the_price_rises_and_needs_no_cover():
    closes = [10.0, *(10 * 1.05 ** np.arange(60))]
    table = simulate(frame(closes), weights=[-1] * 60, start=1)
    assert (np.diff(table["shares"])[1:] <= 0).all()
    assert table["shares"].iloc[-1] > 0
    assert (table["cash"] > 1.5 * -table["holdings"]).all()


def test_an_account_that_lost_everything_closes_its_short_and_stays_flat():
    closes = [10, 10, 25, 25, 10]
    table = simulate(frame(closes), weights=[-1, -1, 1, -0.5], cash=1000, cost=0.0, start=1)
    assert table["shares"].tolist() == [0, 100, 0, 0, 0]
    assert table["side"].tolist() == [0, -1, 0, 0, 0]
    assert table["value"].tolist() == [1000, 1000, -500, -500, -500]


accounts = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "volatility": st.sampled_from([0.01, 0.05, 0.3]),
        "cost": st.sampled_from([0.0, 0.001, 0.02]),
        "band": st.sampled_from([0.0, 0.05, 0.3]),
    }
)


def run(made, **settings):
    closes = market(made["seed"], 40, made["volatility"])
    weights = random_weights(made["seed"] + 1, (38,))
    table = simulate(frame(closes), weights=weights, cost=made["cost"], band=made["band"], start=2, **settings)
    return closes, weights, table


@given(made=accounts)
def test_money_is_only_lost_to_the_cost_of_what_is_traded(made):
    closes, _, table = run(made)
    signed = (table["side"] * table["shares"]).to_numpy()
    before = np.append(0, signed[:-1])
    move = before * np.append(0, np.diff(closes))
    paid = np.abs(signed - before) * closes * made["cost"]
    np.testing.assert_allclose(np.diff(table["value"]), (move - paid)[1:], rtol=1e-9, atol=1e-6)


@given(made=accounts)
def test_a_traded_weight_is_short_of_its_target_by_less_than_a_share_and_never_beyond(made):
    closes, weights, table = run(made)
    signed = (table["side"] * table["shares"]).to_numpy()
    for t in range(2, 40):
        if signed[t] == signed[t - 1] or table["value"].iloc[t] <= 0:
            continue
        worth, target = table["value"].iloc[t], abs(weights[t - 2])
        share = closes[t] * (1 + 2 * made["cost"])
        assert abs(signed[t]) * closes[t] <= target * worth * (1 + 1e-12)
        assert abs(signed[t]) * closes[t] > target * worth - share


@given(made=accounts)
def test_cash_is_never_negative_while_nothing_was_ever_short(made):
    _, weights, table = run(made, long_only=True)
    assert (table["cash"] >= -1e-9 * table["value"]).all()
    assert (table["side"] >= 0).all()
    assert (table["shares"][2:][weights <= 0] == 0).all()


@given(made=accounts, limit=st.sampled_from([0.1, 0.5, 0.9]))
def test_limits_are_those_of_weights_that_were_cut_before(made, limit):
    closes, weights, table = run(made, max_leverage=limit)
    settings = {"cost": made["cost"], "band": made["band"], "start": 2}
    pd.testing.assert_frame_equal(table, simulate(frame(closes), weights=np.clip(weights, -limit, limit), **settings))


@given(seed=st.integers(0, 2**32 - 1), cost=st.sampled_from([0.0, 0.001, 0.1]))
def test_whole_weights_that_flip_at_every_bar_are_the_all_in_account_to_the_bit(seed, cost):
    closes = market(seed, 30)
    decisions = np.arange(28) % 2
    all_in = simulate(frame(closes), decisions, cost=cost, start=2)
    sized = simulate(frame(closes), weights=2 * decisions - 1, cost=cost, start=2)
    pd.testing.assert_frame_equal(sized, all_in)


@given(seed=st.integers(0, 2**32 - 1), cost=st.sampled_from([0.0, 0.001, 0.1]))
def test_a_short_decision_of_a_long_only_account_is_flat(seed, cost):
    closes, rng = market(seed, 40), np.random.default_rng(seed)
    decisions = np.repeat(rng.integers(0, 2, 13), 3)[:38]
    given_ones = decisions.astype(np.int8)
    table = simulate(frame(closes), given_ones, long_only=True, cost=cost, start=2)
    assert given_ones.tolist() == decisions.tolist()  # the caller's array is as it was
    held, cash = 0, 100_000.0
    for t, decision in enumerate(decisions, start=2):
        if decision and not held:
            held = int(cash // (closes[t] * (1 + cost)))
            cash -= held * closes[t] * (1 + cost)
        elif held and not decision:
            held, cash = 0, cash + held * closes[t] * (1 - cost)
        assert table["shares"].iloc[t] == held
        assert table["cash"].iloc[t] == pytest.approx(cash, abs=1e-6)
        assert table["side"].iloc[t] == decision


def test_decisions_under_a_limit_are_weights_of_its_size():
    closes, decisions = market(5), np.random.default_rng(5).integers(0, 2, 30)
    limited = simulate(frame(closes), decisions, max_leverage=0.4, start=30)
    pd.testing.assert_frame_equal(limited, simulate(frame(closes), weights=0.4 * (2 * decisions - 1), start=30))
    long_only = simulate(frame(closes), decisions, max_leverage=0.4, long_only=True, start=30)
    pd.testing.assert_frame_equal(long_only, simulate(frame(closes), weights=0.4 * decisions, start=30))


@given(made=accounts, t=st.integers(2, 39))
def test_nothing_up_to_a_bar_depends_on_later_bars_or_weights(made, t):
    closes, weights, table = run(made)
    rng = np.random.default_rng(made["seed"])
    closes[t + 1 :] *= rng.uniform(0.5, 2.0, 39 - t)
    weights[t - 1 :] = rng.uniform(-1, 1, 39 - t)
    other = simulate(frame(closes), weights=weights, cost=made["cost"], band=made["band"], start=2)
    pd.testing.assert_frame_equal(table.iloc[: t + 1], other.iloc[: t + 1])


def test_a_weight_is_filled_at_the_close_of_its_own_bar():
    closes = [10.0, 11.0, 13.0, 17.0]
    for bar in (1, 2, 3):
        weights = np.where(np.arange(1, 4) >= bar, 0.5, 0.0)
        table = simulate(frame(closes), weights=weights, cash=1000, cost=0.0, band=1, start=1)
        assert (table["shares"].iloc[:bar] == 0).all()
        assert (table["shares"].iloc[bar:] == 500 // closes[bar]).all()


def test_the_rollout_of_many_runs_equals_each_simulation():
    closes, weights = market(3, 300), random_weights(3, (20, 270))
    together = sizing.rollout(closes, weights, 100_000.0, 0.001, 30, 0.05)
    alone = [simulate(frame(closes), weights=run)["value"] for run in weights]
    np.testing.assert_array_equal(together, np.stack(alone))


@pytest.mark.parametrize(
    ("state", "cash"),
    [
        ((0.0, 0.0, 1000.0), 1000),
        ((1.0, 90.0, 10.0), 10 + 90 * 18),
        ((-1.0, 74.0, 2962.0), 2962 - 74 * 22),
        ((-1.0, 0.0, 500.0), 500),
    ],
)
def test_flat_sells_or_buys_back_whatever_is_held(state, cash):
    assert account.step(*state, account.FLAT, 20.0, 19.0, 0.1) == pytest.approx((0, 0, cash, False))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "either decisions .* or weights="),
        ({"decisions": [1, 0, 1]}, "either decisions .* or weights="),
        ({"weights": [1, 0]}, r"weights of shape \(3,\).*got \(2,\)"),
        ({"weights": [0.5, 50, 0.5]}, r"in \[-1, 1\], but 50.0 is among them; 50 % is 0.5"),
        ({"weights": [0.5, np.nan, 0.5]}, "but nan is among them; fill the gap"),
        ({"weights": ["long", "short", "long"]}, "weights as numbers"),
        ({"weights": None, "decisions": [1, 0.5, 0]}, "0.5 is among them; fractions of the account.*weights="),
        ({"max_leverage": 2}, "at most 1, got 2: more would take a loan"),
        ({"max_leverage": 0}, r"max_leverage must be a fraction of the account in \(0, 1\], got 0"),
        ({"max_leverage": np.nan}, "max_leverage must be a fraction"),
        ({"band": 5}, "band must be a fraction .* got 5; 5 % is 0.05"),
        ({"band": np.nan}, "band must be a fraction"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    settings = {"weights": [0.5, 0.5, 0.5], "cash": 1000, "cost": 0.0, "start": 1} | change
    with pytest.raises(DataError, match=message):
        simulate(frame([10, 10, 20, 10]), **settings)


def vectorbt_account(closes, size, size_type, cost, cash):
    import vectorbt as vbt

    return vbt.Portfolio.from_orders(
        pd.Series(closes, index=pd.bdate_range("2020-01-01", periods=len(closes))),
        size=size,
        size_type=size_type,
        size_granularity=1,
        val_price=closes,  # weights of the account's value at this close; the default is that at the one before
        fees=cost,
        init_cash=cash,
        freq="1D",
    )


@pytest.mark.slow  # compiles for ten seconds
@pytest.mark.parametrize("cost", [0.0, 0.001, 0.02])
@pytest.mark.parametrize("seed", range(3))
def test_vectorbt_keeps_the_same_books_of_the_same_positions(seed, cost):
    closes, weights = market(seed, 200, 0.03), random_weights(seed, (198,))
    table = simulate(frame(closes), weights=weights, cost=cost, start=2)
    theirs = vectorbt_account(closes, table["side"] * table["shares"], "targetamount", cost, 100_000)
    np.testing.assert_allclose(table["value"], theirs.value(), rtol=1e-9)
    np.testing.assert_allclose(table["cash"], theirs.cash(), rtol=1e-9, atol=1e-6)


def turning(seed, bars):
    """Weights that change sides, or open a flat account, at every bar."""
    rng = np.random.default_rng(seed)
    signs = np.where(np.arange(bars) % 2, -1, 1) * np.where(rng.random(bars) < 0.2, 0, 1)
    return rng.uniform(0, 1, bars) * signs


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_vectorbts_target_percent_turns_to_the_same_number_of_shares_without_cost(seed):
    closes, weights = market(seed, 200, 0.03), turning(seed, 198)
    ours = simulate(frame(closes), weights=weights, cost=0.0, start=2)
    theirs = vectorbt_account(closes, np.append([0, 0], weights), "targetpercent", 0.0, 100_000)
    np.testing.assert_array_equal(ours["side"] * ours["shares"], theirs.assets())
    np.testing.assert_allclose(ours["value"], theirs.value(), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_vectorbts_target_percent_differs_by_a_share_after_a_sale_and_by_the_cost(seed):
    """It rounds what is traded instead of what is held, and takes the weight of the value before the cost."""
    closes, weights = market(seed, 100, 0.02), 0.9 * random_weights(seed, (98,))
    for cost, tolerance in ((0.0, 1e-6), (0.001, 2e-4)):
        ours = simulate(frame(closes), weights=weights, cost=cost, band=0.0, cash=1e8, start=2)
        theirs = vectorbt_account(closes, np.append([0, 0], weights), "targetpercent", cost, 1e8)
        np.testing.assert_allclose(ours["value"], theirs.value(), rtol=tolerance)
        if cost == 0.0:
            assert (np.abs(ours["side"] * ours["shares"] - theirs.assets()) <= 2).all()
