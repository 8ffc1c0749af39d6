"""A mixture looked back upon: hand-worked sums, identities that hold exactly, and nothing of what comes later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmguide
from llmguide.errors import DataError, LlmguideError
from llmguide.guidance.controls import oracle
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.mixture import MovingAverages, Prior, Sides, review
from llmguide.mixture.trust import HOLD, MIXTURE, SIZING


def frame(closes, begin="2020-01-01"):
    return pd.DataFrame(
        {"close": np.asarray(closes, dtype=float)}, index=pd.bdate_range(begin, periods=len(closes), name="date")
    )


def momentum(bars):
    return np.tanh(20.0 * bars["close"].pct_change(5).shift(1))


@pytest.fixture(scope="module")
def case(make_bars):
    bars = make_bars(300, 5)
    experts = {
        "gpt": Sides(np.resize(np.repeat([1.0, -1.0, np.nan, -1.0], 15), 300)),
        "gemma": momentum,
        "trend": MovingAverages(3, 12, since=bars.index[150]),
    }
    return bars, experts


def test_contributions_worked_by_hand():
    # Weights are 3/4 and 1/4 by the priors alone: half of the account is long, 500 of 1,000, which buys 5 shares at
    # 100. They are left alone, since the band is all of the account. 1,000, 1,050 after +10 %, 995 after -10 %.
    bars = frame([100, 100, 100, 110, 99, 99])
    experts = {"up": Sides(np.ones(6), prior=Prior(0.75, 256)), "down": Sides(-np.ones(6), prior=Prior(0.25, 256))}
    mixed = llmguide.mix(bars, experts, cost=0.0, start=2)
    found = review(mixed, start=2, band=1.0, cash=1_000.0)
    assert found.values[MIXTURE].tolist() == [1000, 1000, 1000, 1050, 995, 995]
    gain = found.contributions["gain"]
    assert gain["up"] == pytest.approx(0.75 * 0.1 - 0.75 * 0.1)
    assert gain["down"] == pytest.approx(-0.25 * 0.1 + 0.25 * 0.1)
    # At bar 3 it held 0.5 as wanted; at bar 4 550 of 1,050, while half was wanted.
    assert gain[SIZING] == pytest.approx((550 / 1050 - 0.5) * -0.1)
    assert (found.contributions["cost"] == 0).all()
    assert found.measures.loc[MIXTURE, "total_return"] == pytest.approx(-0.005)
    # "up" always holds, so there is no other row for holding.
    assert list(found.measures.index) == [MIXTURE, "up", "down"]
    assert found.trust.loc["up", ["weight", "first_weight", "last_weight", "trusted", "speaks"]].tolist() == [
        0.75, 0.75, 0.75, 1.0, 1.0,
    ]  # fmt: skip
    assert found.trust.loc["up", "record"] == 0.75
    assert found.trust.loc["up", "last_bars"] == 0
    # They are always apart: one bar rose, one fell, and the last did not move.
    (pair,) = found.agreement.to_dict("records")
    assert pair == {"a": "up", "b": "down", "bars": 2, "same": 0.0, "apart": 2, "a_right": 1}


def test_who_moves_pays():
    # Both open with the same weight; then only "turns" changes its side. Costs: 1 % of what is traded.
    bars = frame([100.0] * 6)
    turns = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0]
    even = Prior(0.02, 252)
    experts = {"stays": Sides(np.ones(6), prior=even), "turns": Sides(turns, prior=even)}
    found = review(llmguide.mix(bars, experts, cost=0.01, start=2), start=2, cash=1e9)
    opened, closed = 1.0 / 1.01 * 0.01, 0.01  # of the account: all of it bought, all of it sold again
    cost = found.contributions["cost"]
    assert cost["stays"] == pytest.approx(opened / 2, rel=1e-6)
    assert cost["turns"] == pytest.approx(opened / 2 + closed, rel=1e-6)
    assert cost[SIZING] == pytest.approx(0.0, abs=1e-15)


LIMITS = [
    {},
    {"long_only": True, "band": 0.0},
    {"max_leverage": 0.4, "band": 0.2},
    {"all_in": True},
]


@settings(max_examples=12)
@given(
    since=st.sampled_from([0, 70, 170]),
    limits=st.sampled_from(LIMITS),
    cost=st.sampled_from([0.0, 0.002]),
    start=st.integers(1, 40),
)
def test_the_parts_add_up_to_the_accounts_returns_and_sizing_is_what_was_held_beside_the_mean(
    case, since, limits, cost, start
):
    bars, experts = case
    mixed = llmguide.mix(bars, experts, cost=cost, start=since + start)
    found = review(mixed, bars.index[since], start=start, **limits)
    weights = mixed.positions.iloc[since + start :].to_numpy()
    wanted = np.sign(weights) if limits.get("all_in") else weights
    own = {name: value for name, value in limits.items() if name != "all_in"}
    account = llmguide.simulate(bars.iloc[since:], weights=wanted, cost=cost, start=start, **own)
    np.testing.assert_array_equal(found.values[MIXTURE], account["value"])
    parts = found.contributions
    np.testing.assert_allclose(parts["net"], parts["gain"] - parts["cost"], atol=1e-15)
    assert parts["net"].sum() == pytest.approx(account["returns"].sum(), abs=1e-12)
    value, price = account["value"].to_numpy(), bars["close"].iloc[since:].to_numpy()
    held = (account["holdings"] / account["value"]).to_numpy()
    change = np.diff(price) / price[:-1]
    beside = (held[start:-1] - weights[:-1]) * change[start:]
    assert parts["gain"][SIZING] == pytest.approx(beside.sum(), abs=1e-12)
    moved = np.abs(np.diff(account["side"] * account["shares"]))
    assert parts["cost"].sum() == pytest.approx((cost * moved * price[1:] / value[:-1]).sum(), abs=1e-12)
    assert (parts["cost"] >= -1e-15).all()


def test_every_account_is_simulates_own(case):
    bars, experts = case
    since, start = 100, 30
    mixed = llmguide.mix(bars, experts, start=since + start)
    found = review(mixed, bars.index[since], start=start, long_only=True, band=0.1)
    assert list(found.values) == list(found.measures.index) == [MIXTURE, *experts, HOLD]
    for name in [*experts, HOLD]:
        sides = np.ones(170) if name == HOLD else mixed.sides[name].iloc[since + start :].fillna(0.0)
        account = llmguide.simulate(bars.iloc[since:], weights=sides, start=start, long_only=True, band=0.1)
        np.testing.assert_array_equal(found.values[name], account["value"])
        row = found.measures.loc[name]
        assert row["sharpe"] == sharpe_ratio(account["returns"])
        assert row["max_drawdown"] == max_drawdown(account["value"])
    assert list(found.traded) == list(bars.index[since + start :])
    np.testing.assert_allclose(found.trust["weight"], mixed.weights.iloc[since + start :].mean())
    assert found.trust.loc["trend", "speaks"] == pytest.approx(150 / 170)
    earned = mixed.results.sum()
    np.testing.assert_allclose(found.earned.iloc[-1], earned)
    assert found.earned["trend"].iloc[:150].isna().all()
    assert repr(found).startswith("Review(170 traded bars; mean weights gpt ")


def test_bars_of_its_own_are_those_that_the_record_stands_on(case):
    bars, experts = case
    mixed = llmguide.mix(bars, experts)
    # The record of a mean: what counts is known from the record itself, the prior and the sum of results.
    for name in experts:
        prior, t = mixed.priors[name], 250
        total = mixed.results[name].iloc[:t].sum()
        count = (prior.count * prior.mean + total) / mixed.records[name].iloc[t] - prior.count
        assert mixed.counts[name].iloc[t] == pytest.approx(count, rel=1e-6)
    assert (mixed.counts.iloc[:62] == 0).all(axis=None)


def test_months_say_who_was_right():
    # January falls, February rises; "bear" is right first, "bull" later, "late" speaks in February only.
    bars = frame([*np.linspace(100, 90, 23), *np.linspace(91, 99, 20)])
    late = np.where(bars.index < "2020-02-01", np.nan, 1.0)
    mixed = llmguide.mix(
        bars, {"bull": Sides(np.ones(43)), "bear": Sides(-np.ones(43)), "late": Sides(late)}, cost=0.0, start=1
    )
    found = review(mixed, start=1)
    assert [str(month) for month in found.months.index] == ["2020-01", "2020-02"]
    assert found.months["bars"].tolist() == [22, 20]
    np.testing.assert_allclose(found.months["price"], [90 / 100 - 1, 99 / 90 - 1])
    assert found.months["disputed"].tolist() == [21 / 22, 1.0]  # nobody came into the first traded bar with a side
    results = found.month_results
    assert results.loc["2020-01", "bull"] < 0 < results.loc["2020-01", "bear"]
    assert np.isnan(results.loc["2020-01", "late"])
    assert results.loc["2020-02", "bull"] > results.loc["2020-02", "late"] > 0 > results.loc["2020-02", "bear"]
    moves = bars["close"].pct_change()
    assert results.loc["2020-02", "bull"] == pytest.approx(moves.loc["2020-02"].sum())
    assert found.month_sides.loc["2020-02"].tolist() == [1.0, -1.0, 1.0]


@pytest.mark.parametrize("t", [180, 240])
def test_later_bars_change_no_value_weight_or_month_before_them(case, t):
    bars, experts = case
    changed = bars.copy()
    changed.iloc[t + 1 :] *= np.linspace(1.1, 2.0, 299 - t)[:, None]
    now, then = (review(llmguide.mix(each, experts, start=100), bars.index[70]) for each in (bars, changed))
    known = bars.index[t]
    assert now.values.loc[:known].equals(then.values.loc[:known])
    assert now.earned.loc[:known].equals(then.earned.loc[:known])
    assert now.weights.loc[: bars.index[t + 1]].equals(then.weights.loc[: bars.index[t + 1]])
    over = now.months.index < known.to_period("M")
    for part in ("months", "month_sides", "month_results"):
        assert getattr(now, part)[over].equals(getattr(then, part)[over])
        assert not getattr(now, part).equals(getattr(then, part)) or part == "month_sides"
    assert not now.values.equals(then.values)


def test_an_account_that_was_traded_otherwise_can_be_given(case):
    bars, experts = case
    mixed = llmguide.mix(bars, experts, start=130)
    test = bars.iloc[100:]
    account = llmguide.simulate(test, [1] * 170)
    found = review(mixed, test.index[0], account=account)
    np.testing.assert_array_equal(found.values[MIXTURE], account["value"])
    assert found.contributions["net"].sum() == pytest.approx(account["returns"].sum(), abs=1e-12)
    with pytest.raises(DataError, match="expected the account at the 200 test bars"):
        review(mixed, test.index[0], account=account.iloc[1:])


def test_what_cannot_be_looked_back_on_is_refused(case):
    bars, experts = case
    mixed = llmguide.mix(bars, experts)
    with pytest.raises(LlmguideError, match="beyond the 30 idle ones"):
        review(mixed, bars.index[-20])
    with pytest.raises(LlmguideError, match="expected since to be the date of a bar"):
        review(mixed, "soon")
    with pytest.raises(DataError, match="would take a loan"):
        review(mixed, max_leverage=2.0)
    numbered = bars.reset_index(drop=True)
    with pytest.raises(LlmguideError, match="needs bars with dates"):
        review(llmguide.mix(numbered, {"hold": "hold"}))
    with pytest.raises(LlmguideError, match="cannot be called 'sizing'"):
        review(llmguide.mix(bars, {"sizing": "hold"}))


def test_foresight_is_trusted_and_marked(make_bars):
    bars = make_bars(400, 2)
    mixed = llmguide.mix(bars, {"knows": oracle(bars), "not": Sides(-np.ones(400)), "hold": "hold"})
    found = review(mixed, bars.index[200])
    assert found.trust["weight"].idxmax() == "knows"
    assert found.mixed.uses_future
    assert found.measures.loc["knows", "sharpe"] == found.measures["sharpe"].max()
