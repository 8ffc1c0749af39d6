"""Target weights, long only and limits in Cerebro: the account of `simulate`, and Backtrader's own orders beside it."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide import simulate
from llmguide.backtest import BarsData, CloseFillBroker, run_backtest
from llmguide.errors import LlmguideError
from llmguide.strategies import BuyAndHold, SellAndHold, SizedStrategy

START = 3
BARS = 60


class ScriptedWeights(SizedStrategy):
    """Takes the weight of a list for each bar from `start` on; None is no opinion."""

    params = (("script", ()),)

    def decide(self):
        return self.p.script[len(self.traded) - 1 - self.p.start]


markets = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "gap": st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        "gap_chance": st.sampled_from([0.1, 0.5, 1.0]),
        "drift": st.sampled_from([-0.02, 0.0, 0.02]),
    }
)
weights = st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1, allow_subnormal=False))
scripts = st.lists(weights, min_size=BARS - START, max_size=BARS - START)
limits = st.fixed_dictionaries(
    {
        "long_only": st.booleans(),
        "max_leverage": st.sampled_from([0.3, 1.0]),
        "band": st.sampled_from([0.0, 0.05, 0.3]),
    }
)
cashes = st.sampled_from([60.0, 1_000.0, 100_000.0, 1e9])
costs = st.sampled_from([0.0, 0.001, 0.05])
sides = st.lists(st.sampled_from([0, 1]), min_size=BARS - START, max_size=BARS - START)
reserves = st.sampled_from([0.0, 0.02, 0.5])


def same_account(result, expected, cash):
    np.testing.assert_allclose(result.values, expected["value"], rtol=1e-9, atol=1e-9 * cash)
    assert result.account["shares"].tolist() == expected["shares"].tolist()
    assert result.sides.tolist() == expected["side"].tolist()


@settings(max_examples=30)
@given(market=markets, cash=cashes, cost=costs, script=scripts, limits=limits)
def test_weights_give_the_account_of_simulate(make_bars, market, cash, cost, script, limits):
    bars = make_bars(BARS, **market)
    result = run_backtest(bars, ScriptedWeights, start=START, cash=cash, cost=cost, script=script, **limits)
    assert result.decisions.tolist() == script
    assert result.decisions.name == "weight"
    assert set(result.orders["status"]) <= {"Completed"}
    same_account(result, simulate(bars, weights=script, cash=cash, cost=cost, start=START, **limits), cash)
    again = simulate(bars, weights=result.decisions, cash=cash, cost=cost, start=START, **limits)
    same_account(result, again, cash)


@settings(max_examples=25)
@given(
    market=markets,
    cash=cashes,
    cost=costs,
    script=sides,
    limits=limits,
)
def test_decisions_under_limits_give_the_account_of_simulate(make_bars, scripted, market, cash, cost, script, limits):
    bars = make_bars(BARS, **market)
    expected = simulate(bars, script, cash=cash, cost=cost, start=START, **limits)
    if (expected["value"] <= 0).any():
        return  # a flip that cannot be paid for is not taken in Cerebro, and is another decision in its log
    result = run_backtest(bars, scripted, start=START, cash=cash, cost=cost, script=script, **limits)
    assert result.decisions.tolist() == script
    assert result.decisions.name == "decision"
    assert set(result.orders["status"]) <= {"Completed"}
    same_account(result, expected, cash)


@settings(max_examples=30)
@given(market=markets, cash=cashes, cost=costs, script=scripts, limits=limits, reserve=reserves)
@pytest.mark.filterwarnings("ignore:.*purchases of ScriptedWeights were not filled:llmguide.errors.DataWarning")
def test_no_order_is_ever_refused_by_the_stock_broker(make_bars, market, cash, cost, script, limits, reserve):
    bars = make_bars(BARS, **market)
    account = {"start": START, "cash": cash, "cost": cost, "reserve": reserve, **limits}
    result = run_backtest(bars, ScriptedWeights, script=script, fill="next_open", **account)
    assert result.decisions.tolist() == script
    assert set(result.orders["status"]) <= {"Completed", "Canceled", "Accepted", "Submitted"}
    filled = result.orders[result.orders["status"] == "Completed"]
    assert (filled["filled_on"] > filled["date"]).all()
    assert not result.orders["date"].duplicated().any()
    if limits["long_only"]:
        assert (result.sides >= 0).all()


def without_gaps(bars):
    """The same closes, each bar opening at the close before it."""
    opens = bars["close"].shift(1, fill_value=bars["close"].iloc[0])
    high, low = np.maximum(opens, bars["close"]), np.minimum(opens, bars["close"])
    return bars.assign(open=opens, high=high, low=low)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), cost=st.sampled_from([0.0, 0.001, 0.02]), script=scripts, limits=limits)
def test_opens_that_repeat_the_close_give_the_same_account_one_bar_later(make_bars, seed, cost, script, limits):
    bars = without_gaps(make_bars(BARS, seed))
    account = {"start": START, "cash": 10_000.0, "cost": cost, **limits}
    later = run_backtest(bars, ScriptedWeights, script=script, fill="next_open", reserve=0.0, **account).account
    now = simulate(bars, weights=script, **account)
    assert later["shares"].tolist()[1:] == now["shares"].tolist()[:-1]
    assert later["side"].tolist()[1:] == now["side"].tolist()[:-1]
    np.testing.assert_allclose(later["cash"][1:], now["cash"][:-1], rtol=1e-9, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), script=sides)
def test_a_long_only_strategy_sells_at_the_next_open(make_bars, scripted, seed, script):
    bars = without_gaps(make_bars(BARS, seed))
    account = {"start": START, "cash": 10_000.0, "long_only": True}
    later = run_backtest(bars, scripted, script=script, fill="next_open", reserve=0.0, **account).account
    now = simulate(bars, script, **account)
    assert later["shares"].tolist()[1:] == now["shares"].tolist()[:-1]
    np.testing.assert_allclose(later["cash"][1:], now["cash"][:-1], rtol=1e-9, atol=1e-6)


def test_no_opinion_keeps_the_last_weight(make_bars):
    bars = make_bars(BARS, 4)
    script = [None, None, 0.6, None, None, -0.3, *[None] * 40, 0.0, *[None] * 10]
    result = run_backtest(bars, ScriptedWeights, start=START, script=script, band=0.0)
    kept = pd.Series(script, dtype=float).ffill().dropna()
    assert result.decisions.tolist() == kept.tolist()
    same_account(result, simulate(bars, weights=kept, start=START + 2, band=0.0), 100_000.0)


def test_no_opinion_after_a_long_only_sale_stays_flat(make_bars, scripted):
    bars = make_bars(BARS, 4)
    script = [-1, 1, 1, 0, *[-1] * 20, 1, *[-1] * 32]
    result = run_backtest(bars, scripted, start=START, script=script, long_only=True)
    kept = pd.Series(script, dtype=float).replace(-1, np.nan).ffill().dropna()
    assert result.decisions.tolist() == kept.tolist()
    same_account(result, simulate(bars, kept, start=START + 1, long_only=True), 100_000.0)


def test_a_flip_that_only_some_fills_could_pay_for_is_made_in_two_steps_with_the_stock_broker(make_bars):
    # 1,000 shares sold at 10: cash 20,000. At 19.8 it pays for buying them back, at 2 % more it does not.
    closes = np.array([10.0, 10.0, 10.0, 10.0, 19.8, 19.8, 19.8])
    bars = pd.DataFrame(
        dict.fromkeys(("open", "high", "low", "close"), closes) | {"volume": 1e3},
        index=pd.bdate_range("2018-01-01", periods=7, name="date"),
    )
    script = [-1, -1, 0.9, 0.9, 0.9]
    result = run_backtest(bars, ScriptedWeights, start=2, cash=1e4, cost=0.0, script=script, fill="next_open", band=1)
    assert result.decisions.tolist() == script
    assert result.orders["kind"].tolist() == ["Market", "Market", "Limit"]
    assert result.orders["size"].tolist() == [1000, 1000, 0.9 * 200 // 19.8]


def test_buying_and_holding_is_the_same_long_only_and_selling_is_nothing(make_bars):
    bars = make_bars(BARS, 8)
    for fill in ("close", "next_open"):
        pd.testing.assert_frame_equal(
            run_backtest(bars, BuyAndHold, fill=fill, long_only=True).account,
            run_backtest(bars, BuyAndHold, fill=fill).account,
        )
        nothing = run_backtest(bars, SellAndHold, fill=fill, long_only=True)
        assert len(nothing.orders) == 0
        assert nothing.decisions.tolist() == [0] * 30


class TargetPercent(bt.Strategy):
    """Backtrader's own way to hold a fraction of the account."""

    params = (("script", ()), ("start", START))

    def next(self):
        bar = len(self) - 1 - self.p.start
        if bar >= 0:
            self.order_target_percent(target=self.p.script[bar])


@pytest.mark.parametrize(("cost", "tolerance"), [(0.0, 1e-6), (0.001, 2e-4)])
@pytest.mark.parametrize("seed", range(5))
def test_backtraders_own_target_percent_gives_nearly_the_same_account(make_bars, seed, cost, tolerance):
    """It sizes without the cost, and rounds what is traded instead of what is held: a share more after a sale."""
    bars, rng = make_bars(BARS, seed), np.random.default_rng(seed)
    script = np.repeat(rng.uniform(-0.9, 0.9, 20), 3).tolist()[: BARS - START]
    account = {"cash": 1e8, "cost": cost, "start": START}
    theirs = run_backtest(bars, TargetPercent, script=script, **account)
    ours = run_backtest(bars, ScriptedWeights, script=script, band=0.0, **account)
    assert set(theirs.orders["status"]) == {"Completed"}
    np.testing.assert_allclose(ours.values, theirs.values, rtol=tolerance)
    if cost == 0.0:
        assert (np.abs(ours.account["shares"] - theirs.account["shares"]) <= 2).all()


@pytest.mark.parametrize("answer", [50, -1.5, float("nan")])
def test_a_weight_that_is_no_fraction_of_the_account_is_refused(make_bars, answer):
    with pytest.raises(LlmguideError, match=r"ScriptedWeights.decide\(\) returned .* in \[-1, 1\].*50 % is 0.5"):
        run_backtest(make_bars(40, 0), ScriptedWeights, script=[answer] * 10)


@pytest.mark.parametrize("answer", [0.5, 2, float("nan")])
def test_a_fraction_from_an_all_in_strategy_is_refused(make_bars, answer):
    class Unsure(BuyAndHold):
        def decide(self):
            return answer

    with pytest.raises(LlmguideError, match=r"Unsure.decide\(\) returned .* derive the class from .*SizedStrategy"):
        run_backtest(make_bars(40, 0), Unsure)


def test_minus_one_is_not_taken_for_short(make_bars):
    class Mistaken(BuyAndHold):
        def decide(self):
            return -1

    with pytest.raises(LlmguideError, match=r"returned -1, expected 1 \(long\), 0 \(short\)"):
        run_backtest(make_bars(40, 0), Mistaken)


@pytest.mark.parametrize(
    ("params", "message"), [({"max_leverage": 2}, "would take a loan"), ({"band": 5}, "band must be a fraction")]
)
def test_impossible_limits_are_refused(make_bars, params, message):
    with pytest.raises(LlmguideError, match=message):
        run_backtest(make_bars(40, 0), BuyAndHold, **params)


def test_a_subclass_without_a_weight_says_what_is_missing(make_bars):
    with pytest.raises(NotImplementedError, match="must define decide"):
        run_backtest(make_bars(40, 0), SizedStrategy)


def test_a_sizer_is_refused_with_what_to_do_instead(make_bars):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = CloseFillBroker()
    cerebro.adddata(BarsData(dataname=make_bars(40, 0)))
    cerebro.addstrategy(ScriptedWeights, script=[0.5] * 10)
    cerebro.addsizer(bt.sizers.PercentSizer, percents=10)
    with pytest.raises(LlmguideError, match=r"ScriptedWeights .* cannot follow PercentSizer; .*max_leverage="):
        cerebro.run()
