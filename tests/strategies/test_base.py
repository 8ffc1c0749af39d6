"""What every strategy does with a decision: timing, orders, insolvency, brokers that fill later."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmguide import simulate
from llmguide.backtest import BarsData, CloseFillBroker, run_backtest
from llmguide.errors import DataWarning, LlmguideError
from llmguide.strategies import AccountStrategy, BuyAndHold, SellAndHold


def flat(closes):
    """Bars whose four prices are the close."""
    close = np.asarray(closes, dtype=float)
    index = pd.bdate_range("2018-01-01", periods=len(close), name="date")
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1000.0}, index=index)


def test_the_first_decision_is_taken_at_bar_30_and_filled_at_its_close(make_bars):
    bars = make_bars(60, 0)
    result = run_backtest(bars, BuyAndHold, cash=10_000.0, cost=0.001)
    shares = int(10_000 // (bars["close"].iloc[30] * 1.001))
    assert result.decisions.index[0] == bars.index[30]
    assert result.account["shares"].tolist() == [0] * 30 + [shares] * 30
    (order,) = result.orders.itertuples()
    assert (order.date, order.filled_on, order.filled) == (bars.index[30], bars.index[30], shares)
    assert order.price == bars["close"].iloc[30]
    assert result.values.iloc[30] == pytest.approx(10_000 - 0.001 * shares * order.price)


def test_the_value_inside_next_is_the_one_after_the_trade(make_bars):
    seen = []

    class Watches(BuyAndHold):
        def next(self):
            super().next()
            seen.append(self.broker.getvalue())

    bars = make_bars(50, 0)
    run_backtest(bars, Watches)
    np.testing.assert_allclose(seen, simulate(bars, [1] * 20)["value"].iloc[-len(seen) :], rtol=1e-14)


def test_no_opinion_keeps_the_side_and_still_covers_a_short(scripted):
    # Sold short at 10; the price then climbs by 2 % a bar, and part of the short is bought back again and again.
    bars = flat([10.0] * 3 + [10.0 * 1.02**k for k in range(36)])
    result = run_backtest(bars, scripted, start=2, script=[0] + [-1] * 36)
    account = simulate(bars, [0] * 37, start=2)
    assert account["shares"].nunique() > 4
    np.testing.assert_allclose(result.values, account["value"], rtol=1e-10)
    assert result.account["shares"].tolist() == account["shares"].tolist()
    assert (result.decisions == 0).all()


def test_no_opinion_before_the_first_decision_leaves_the_account_alone(scripted):
    bars = flat(np.linspace(10, 12, 20))
    result = run_backtest(bars, scripted, start=5, script=[-1] * 6 + [1] * 9)
    assert result.decisions.index.equals(bars.index[11:])
    assert (result.sides.iloc[:11] == 0).all()
    np.testing.assert_allclose(result.values, simulate(bars, [1] * 9, start=11)["value"], rtol=1e-12)


def test_a_flip_on_the_last_bar_is_filled_recorded_and_counted(scripted):
    bars = flat([10.0] * 6 + [11.0])
    result = run_backtest(bars, scripted, start=4, cash=1_000.0, cost=0.0, script=[1, 1, 0])
    assert result.orders["status"].tolist() == ["Completed", "Completed"]
    assert result.orders["filled_on"].iloc[-1] == bars.index[-1]
    assert result.orders["filled"].tolist() == [100, 200]
    assert result.trades[["side", "size"]].to_numpy().tolist() == [["long", 100], ["short", 100]]
    assert result.trades["net"].iloc[0] == pytest.approx(100.0)
    assert result.account["side"].iloc[-1] == -1
    assert result.values.iloc[-1] == pytest.approx(1_100.0)


def test_a_flip_that_an_insolvent_short_cannot_pay_for_is_not_taken(scripted):
    # 100 shares sold at 10, worth 3,000 when the account has 2,000.
    bars = flat([10.0, 10.0, 10.0, 30.0, 30.0, 12.0, 12.0])
    result = run_backtest(bars, scripted, start=2, cash=1_000.0, cost=0.0, script=[0, 1, 1, 1, 1])
    assert result.decisions.tolist() == [0] * 5
    assert result.account["shares"].tolist() == [0, 0, 100, 100, 0, 0, 0]
    assert result.account["cash"].tolist() == [1000, 1000, 2000, 2000, -1000, -1000, -1000]
    assert result.orders["status"].tolist() == ["Completed", "Completed"]
    replayed = simulate(bars, result.decisions.to_numpy(), start=2, cash=1_000.0, cost=0.0)
    np.testing.assert_allclose(result.values, replayed["value"])


def test_a_short_that_was_bought_back_whole_stays_short():
    bars = flat([10.0] * 3 + [18.0, 19.0, 30.0, 30.0, 30.0, 30.0])
    result = run_backtest(bars, SellAndHold, start=2, cash=1_000.0, cost=0.0)
    assert result.account["shares"].iloc[-1] == 0
    assert result.account["side"].iloc[-1] == -1
    assert result.exposure == pytest.approx((result.account["shares"] > 0).mean())


@settings(max_examples=30)
@given(
    price=st.integers(1, 500),
    shares=st.integers(1, 5_000),
    cost=st.sampled_from([0.0, 0.001, 0.002, 0.01, 0.1]),
    later=st.integers(1, 500),
)
@example(price=199, shares=385, cost=0.1, later=1)  # a tie that Backtrader's own sums decide the other way
def test_a_purchase_that_takes_the_last_cent_is_filled(scripted, price, shares, cost, later):
    cash = shares * (price * (1.0 + cost))
    bars = flat([float(price)] * 3 + [float(later)] * 3)
    result = run_backtest(bars, scripted, start=2, cash=cash, cost=cost, script=[1, 1, 0, 1])
    assert set(result.orders["status"]) <= {"Completed"}
    replayed = simulate(bars, result.decisions.to_numpy(), start=2, cash=cash, cost=cost)
    assert replayed["shares"].iloc[2] in (shares, shares - 1)
    np.testing.assert_allclose(result.values, replayed["value"], rtol=1e-9)


markets = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "gap": st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        "gap_chance": st.sampled_from([0.1, 0.5, 1.0]),
        "drift": st.sampled_from([-0.02, 0.0, 0.02]),
    }
)


@settings(max_examples=30)
@given(
    market=markets,
    cash=st.sampled_from([60.0, 1_000.0, 100_000.0, 1e9]),
    cost=st.sampled_from([0.0, 0.001, 0.05]),
    script=st.lists(st.sampled_from([-1, 0, 1]), min_size=57, max_size=57),
    reserve=st.sampled_from([0.0, 0.02, 0.5]),
)
@pytest.mark.filterwarnings("ignore:.*purchases of ScriptedStrategy were not filled:llmguide.errors.DataWarning")
def test_no_order_is_ever_refused_by_the_stock_broker(make_bars, scripted, market, cash, cost, script, reserve):
    bars = make_bars(60, market["seed"], **{k: v for k, v in market.items() if k != "seed"})
    result = run_backtest(
        bars, scripted, start=3, cash=cash, cost=cost, script=script, reserve=reserve, fill="next_open"
    )
    assert set(result.orders["status"]) <= {"Completed", "Canceled", "Accepted", "Submitted"}
    filled = result.orders[result.orders["status"] == "Completed"]
    assert (filled["filled_on"] > filled["date"]).all()
    # Nothing waits behind anything: an order is sent only when the one before it is settled.
    assert not result.orders["date"].duplicated().any()


@settings(max_examples=30)
@given(
    market=markets,
    cash=st.sampled_from([60.0, 1_000.0, 100_000.0, 1e9]),
    cost=st.sampled_from([0.0, 0.001, 0.05]),
    script=st.lists(st.sampled_from([-1, 0, 1]), min_size=57, max_size=57).filter(lambda s: any(d >= 0 for d in s)),
)
def test_recorded_decisions_replayed_by_simulate_give_the_same_account(make_bars, scripted, market, cash, cost, script):
    bars = make_bars(60, market["seed"], **{k: v for k, v in market.items() if k != "seed"})
    result = run_backtest(bars, scripted, start=3, cash=cash, cost=cost, script=script)
    start = len(bars) - len(result.decisions)
    replayed = simulate(bars, result.decisions.to_numpy(), cash=cash, cost=cost, start=start)
    np.testing.assert_allclose(result.values, replayed["value"], rtol=1e-9, atol=1e-9 * cash)
    assert result.account["shares"].tolist() == replayed["shares"].tolist()
    assert result.sides.tolist() == replayed["side"].tolist()
    assert set(result.orders["status"]) <= {"Completed"}


def test_the_stock_broker_gets_the_same_decisions_and_fills_at_the_next_open(make_bars, scripted):
    bars = make_bars(60, 3)
    script = [1, 1, 0, 0, 0, 1, 1] * 4 + [1, 0]
    at_close = run_backtest(bars, scripted, script=script)
    later = run_backtest(bars, scripted, script=script, fill="next_open")
    assert later.decisions.tolist() == at_close.decisions.tolist() == script
    filled = later.orders[later.orders["status"] == "Completed"]
    after = bars.index[bars.index.get_indexer(filled["date"]) + 1]
    assert filled["filled_on"].tolist() == after.tolist()
    sold = filled[filled["side"] == "sell"]
    np.testing.assert_allclose(sold["price"], bars["open"].loc[sold["filled_on"]])
    bought = filled[filled["side"] == "buy"]
    assert (bought["price"] <= 1.02 * bars["close"].loc[bought["date"]].to_numpy()).all()
    assert len(sold) >= 4
    assert len(bought) >= 4


def test_a_purchase_above_the_limit_waits_for_the_next_bar_with_the_stock_broker():
    bars = flat([10.0, 10.0, 10.0, 11.0, 11.0, 11.0])
    result = run_backtest(bars, BuyAndHold, start=2, cash=1_000.0, cost=0.0, fill="next_open", reserve=0.05)
    assert result.orders["status"].tolist() == ["Canceled", "Completed"]
    assert result.orders["filled_on"].iloc[1] == bars.index[4]
    assert result.account["shares"].tolist() == [0, 0, 0, 0, 86, 86]  # 1000 // (11 * 1.05)
    assert result.decisions.tolist() == [1, 1, 1, 1]


def test_a_flip_that_only_some_fills_could_pay_for_is_not_taken_with_the_stock_broker(scripted):
    # 100 shares sold at 10. At 19.8 the 2,000 pay for buying them back, at 2 % more they do not.
    bars = flat([10.0, 10.0, 10.0, 10.0, 19.8, 19.8, 10.0, 10.0, 10.0])
    script = [0, 0, 1, 0, 1, 1, 1]
    result = run_backtest(bars, scripted, start=2, cash=1_000.0, cost=0.0, script=script, fill="next_open")
    assert result.decisions.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert result.orders["kind"].tolist() == ["Market", "Market", "Limit"]
    covered = result.orders["filled"].iloc[1]
    assert 0 < covered <= 100
    assert result.sides.iloc[-1] == 1


def test_purchases_that_are_never_filled_are_reported():
    raised = flat(10.0 * 1.1 ** np.arange(50))  # each bar stays a tenth above the close before it
    with pytest.warns(DataWarning, match=r"19 of 20 purchases .* raise reserve="):
        result = run_backtest(raised, BuyAndHold, fill="next_open")
    assert result.exposure == 0


class StockRun:
    """Backtrader's own broker, several feeds."""

    @staticmethod
    def of(feeds, strategy, **params):
        cerebro = bt.Cerebro(stdstats=False)
        for name, bars in feeds.items():
            cerebro.adddata(BarsData(dataname=bars), name=name)
        cerebro.broker.setcash(10_000.0)
        cerebro.addstrategy(strategy, **params)
        return cerebro.run()[0]


def test_a_limit_order_is_never_filled_on_the_bar_on_which_it_was_sent(scripted):
    """Stock brokers would: as soon as another feed moves, they try the order on the traded feed's old bar."""
    ours = flat([10.0, 10.0, 10.0, 10.0, 10.0, 10.0]).assign(low=5.0, open=5.0)
    every_day = flat(np.full(12, 3.0))
    every_day.index = pd.date_range(ours.index[0], periods=12, freq="12h", name="date")
    fills = []

    class Watches(scripted):
        def notify_order(self, order):
            if order.status == order.Completed:
                fills.append((order.created.dt, order.executed.dt))

    StockRun.of({"other": every_day, "ours": ours}, Watches, feed="ours", start=2, script=[1, 0, 1, 0])
    assert len(fills) == 3
    assert all(sent < filled for sent, filled in fills)


@pytest.mark.parametrize("feed", ["ours", 1])
def test_the_feed_is_chosen_by_name_or_position(make_bars, feed):
    bars = {"other": make_bars(50, 1), "ours": make_bars(50, 2)}
    ran = StockRun.of(bars, BuyAndHold, feed=feed)
    assert ran.traded._name == "ours"
    assert ran.getposition(ran.datas[1]).size > 0
    assert ran.getposition(ran.datas[0]).size == 0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"feed": "our"}, r"no feed 'our'.*did you mean 'ours'"),
        ({"feed": 3}, "no feed 3, only 1"),
        ({"start": 0}, "start >= 1"),
        ({"reserve": 2}, "reserve is a fraction"),
    ],
)
def test_impossible_parameters_are_refused(make_bars, params, message):
    with pytest.raises(LlmguideError, match=message):
        StockRun.of({"ours": make_bars(40, 0)}, BuyAndHold, **params)


def test_a_commission_that_is_no_fraction_of_the_value_is_refused(make_bars):
    cerebro = bt.Cerebro()
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcommission(commission=2.0, margin=1_000.0)
    cerebro.adddata(BarsData(dataname=make_bars(40, 0)))
    cerebro.addstrategy(BuyAndHold)
    with pytest.raises(LlmguideError, match="fraction of the traded value"):
        cerebro.run()


def test_a_subclass_without_a_decision_says_what_is_missing(make_bars):
    with pytest.raises(NotImplementedError, match="must define decide"):
        run_backtest(make_bars(40, 0), AccountStrategy)


def test_bars_too_few_for_a_decision_are_simply_watched(make_bars):
    result = run_backtest(make_bars(25, 0), BuyAndHold)
    assert len(result.decisions) == 0
    assert (result.values == 100_000.0).all()
    assert np.isnan(result.sharpe)
