"""What the analyzers write down."""

from __future__ import annotations

import pickle

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from llmguide import simulate
from llmguide.backtest import BarsData, CloseFillBroker, OrderLog, SharpeDrawdown, TradeLog, make_cerebro, run_backtest
from llmguide.strategies import BuyAndHold


def test_the_account_is_the_one_after_each_bars_trade(make_bars, scripted):
    bars = make_bars(60)
    script = np.random.default_rng(1).integers(0, 2, 30)
    account = run_backtest(bars, scripted, script=script).account
    expected = simulate(bars, script)
    assert account.columns.tolist() == expected.columns.drop("reward").tolist()
    for name in account.columns:
        np.testing.assert_allclose(account[name], expected[name], rtol=1e-9, atol=1e-6)
    assert account.dtypes.equals(expected.drop(columns="reward").dtypes)


def test_sharpe_and_drawdown_are_those_of_their_definitions(make_bars, scripted):
    bars = make_bars(90)
    result = run_backtest(bars, scripted, script=np.arange(60) // 7 % 2)
    values = result.values.to_numpy()
    returns = values[1:] / values[:-1] - 1
    returns = np.concatenate([[0.0], returns])
    assert result.sharpe == pytest.approx(np.sqrt(252) * returns.mean() / returns.std(ddof=1))
    assert result.max_drawdown == pytest.approx(max(1 - v / values[: i + 1].max() for i, v in enumerate(values)))


def test_analysis_has_the_numbers_and_prints_them(make_bars, capsys):
    cerebro = make_cerebro(make_bars(60), BuyAndHold)
    (ran,) = cerebro.run()
    analyzer = ran.analyzers.sharpedrawdown
    analysis = analyzer.get_analysis()
    assert list(analysis) == ["sharpe", "max_drawdown", "bars", "periods", "start_value", "end_value"]
    assert analysis["bars"] == 60
    assert analysis["end_value"] == analyzer.values.iloc[-1]
    assert analyzer.returns.iloc[0] == 0.0
    analyzer.print()
    assert f"sharpe: {analysis['sharpe']}" in capsys.readouterr().out


class BuysAtOnce(bt.Strategy):
    """Sends an order to buy on the first bar, and closes the position on the third."""

    params = (("size", 100),)

    def next(self):
        if len(self) == 1:
            self.buy(size=self.p.size)
        if len(self) == 3:
            self.close()


def test_the_cost_of_a_trade_on_the_first_bar_counts(at_prices):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcash(10_000.0)
    cerebro.broker.setcommission(commission=0.05)
    cerebro.adddata(BarsData(dataname=at_prices([10, 11, 12, 11, 11])))
    cerebro.addstrategy(BuysAtOnce, size=800)
    cerebro.addanalyzer(SharpeDrawdown)
    analyzer = cerebro.run()[0].analyzers.sharpedrawdown
    assert analyzer.returns.iloc[0] == pytest.approx(-800 * 10 * 0.05 / 10_000)
    analysis = analyzer.get_analysis()
    assert (analysis["bars"], analysis["start_value"]) == (5, 10_000.0)
    values = [10_000, 9_600, 10_400, 10_720, 10_720, 10_720]
    assert analyzer.values.tolist() == pytest.approx(values[1:])
    assert (1 + analyzer.returns).prod() == pytest.approx(analysis["end_value"] / 10_000)
    assert analysis["max_drawdown"] == pytest.approx(0.04)
    returns = np.diff(values) / values[:-1]
    assert analysis["sharpe"] == pytest.approx(np.sqrt(252) * returns.mean() / returns.std(ddof=1))


def test_with_the_stock_broker_returns_are_those_of_backtraders_own_analyzer(make_bars):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcommission(commission=0.05)
    cerebro.adddata(BarsData(dataname=make_bars(60)))
    cerebro.addstrategy(BuysAtOnce)
    cerebro.addanalyzer(SharpeDrawdown)
    cerebro.addanalyzer(bt.analyzers.TimeReturn)
    ran = cerebro.run()[0].analyzers
    theirs = list(ran.timereturn.get_analysis().values())
    assert theirs[1] != 0.0
    np.testing.assert_allclose(ran.sharpedrawdown.returns, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("frequency", "timeframe", "periods"),
    [
        ("D", bt.TimeFrame.Days, 365),
        ("B", bt.TimeFrame.Days, 252),
        ("h", bt.TimeFrame.Minutes, 24 * 252),
        ("h", bt.TimeFrame.Days, 24 * 252),  # no weekend in them; a feed that was not told its timeframe
        ("W", bt.TimeFrame.Weeks, 52),
    ],
)
def test_the_sharpe_ratio_is_annual_by_the_dates_of_the_bars_unless_periods_are_given(
    make_bars, frequency, timeframe, periods
):
    bars = make_bars(40)
    bars.index = pd.date_range("2018-01-01", periods=40, freq=frequency)
    found = []
    for options in ({}, {"periods": 100}):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(bt.feeds.PandasData(dataname=bars, timeframe=timeframe))
        cerebro.addstrategy(BuyAndHold)
        cerebro.addanalyzer(SharpeDrawdown, **options)
        found.append(cerebro.run()[0].analyzers.sharpedrawdown.get_analysis())
    assert [analysis["periods"] for analysis in found] == [periods, 100]
    assert found[0]["sharpe"] == pytest.approx(found[1]["sharpe"] * (periods / 100) ** 0.5, rel=1e-12)


def test_the_year_has_as_many_bars_as_it_is_told(make_bars):
    sharpes = []
    for periods in (252, 63):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(BarsData(dataname=make_bars(60)))
        cerebro.addstrategy(BuyAndHold)
        cerebro.addanalyzer(SharpeDrawdown, periods=periods)
        sharpes.append(cerebro.run()[0].analyzers.sharpedrawdown.get_analysis()["sharpe"])
    assert sharpes[0] == pytest.approx(2 * sharpes[1])


class Buys(bt.Strategy):
    """A stock strategy, without anything of llmguide's."""

    def next(self):
        if len(self) == 3:
            self.buy(size=10)
        if len(self) == 4:
            self.buy(size=10**6)
        if len(self) == 6:
            self.close()


@pytest.fixture
def stock_run(at_prices):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcash(1_000.0)
    cerebro.broker.setcommission(commission=0.01)
    cerebro.adddata(BarsData(dataname=at_prices([10, 10, 11, 12, 13, 14, 15])))
    cerebro.addstrategy(Buys)
    for analyzer in (SharpeDrawdown, OrderLog, TradeLog):
        cerebro.addanalyzer(analyzer)
    return cerebro.run()[0].analyzers


def test_any_strategy_can_be_analysed(stock_run):
    account = stock_run.sharpedrawdown.account
    assert account["side"].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert account["shares"].tolist() == [0, 0, 10, 10, 10, 0, 0]
    assert account["value"].iloc[-1] == pytest.approx(1_000 + 30 - 1.1 - 1.4)


def test_every_order_is_logged_with_its_last_status_also_a_refused_one(stock_run, at_prices):
    index = at_prices(range(7)).index
    orders = stock_run.orderlog.frame
    assert stock_run.orderlog.get_analysis() == {"Completed": 2, "Margin": 1}
    assert orders["ref"].tolist() == [1, 2, 3]
    assert orders["date"].tolist() == [index[2], index[3], index[5]]
    assert orders["side"].tolist() == ["buy", "buy", "sell"]
    assert orders["kind"].tolist() == ["Market"] * 3
    assert orders["size"].tolist() == [10, 10**6, 10]
    assert orders["status"].tolist() == ["Completed", "Margin", "Completed"]
    assert orders["filled"].tolist() == [10, 0, 10]
    assert orders["filled_on"].fillna(pd.Timestamp(0)).tolist() == [index[2], pd.Timestamp(0), index[5]]
    np.testing.assert_allclose(orders["price"], [11.0, np.nan, 14.0])
    np.testing.assert_allclose(orders["commission"], [1.1, 0.0, 1.4])


def test_an_order_filled_in_part_and_cancelled_later_keeps_the_date_of_its_fill(make_bars):
    class BuysInParts(bt.Strategy):
        def next(self):
            if len(self) == 3:
                self.order = self.buy(size=100)
            if len(self) == 5:
                self.cancel(self.order)

    bars = make_bars(10)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = CloseFillBroker(filler=lambda order, price, ago: 40 if len(order.data) == 3 else 0)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addstrategy(BuysInParts)
    cerebro.addanalyzer(OrderLog)
    (order,) = cerebro.run()[0].analyzers.orderlog.frame.itertuples()
    assert (order.status, order.size, order.filled, order.filled_on) == ("Canceled", 100, 40, bars.index[2])


def test_every_trade_is_logged_from_opening_to_closing(stock_run, at_prices):
    index = at_prices(range(7)).index
    (trade,) = stock_run.tradelog.frame.itertuples(index=False)
    assert trade[:3] == (1, "long", 10)
    assert (trade.opened, trade.closed, trade.bars) == (index[2], index[5], 3)
    assert (trade.entry, trade.gross) == (11.0, 30.0)
    assert trade.net == pytest.approx(30.0 - 1.1 - 1.4)
    assert stock_run.tradelog.get_analysis() == {"trades": 1, "closed": 1}


def test_a_position_held_at_the_end_is_an_open_trade(at_prices, scripted):
    result = run_backtest(at_prices([10, 10, 12, 12]), scripted, start=1, cash=100.0, cost=0.0, script=[0, 1, 1])
    trades = result.trades
    assert trades["side"].tolist() == ["short", "long"]
    assert trades["closed"].isna().tolist() == [False, True]
    assert trades["gross"].iloc[0] == pytest.approx(-20.0)
    assert np.isnan(trades["net"].iloc[1])


def test_the_logs_of_a_run_without_orders_are_empty_tables_of_the_same_columns(make_bars):
    result = run_backtest(make_bars(20), BuyAndHold)
    full = run_backtest(make_bars(40), BuyAndHold)
    assert result.orders.columns.equals(full.orders.columns)
    assert result.trades.columns.equals(full.trades.columns)
    assert len(result.orders) == len(result.trades) == result.trade_count == 0


def test_analyzers_can_be_sent_between_processes_once_the_run_is_over(stock_run):
    for analyzer in stock_run:
        analyzer.strategy = analyzer._parent = None
        for name in dir(analyzer):
            if name.startswith("data"):
                setattr(analyzer, name, None)
        assert pickle.loads(pickle.dumps(analyzer)).get_analysis() == analyzer.get_analysis()
