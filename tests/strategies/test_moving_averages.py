"""Trend following and mean reversion in Backtrader: the rule's decisions, the account's values, in every mode."""

from __future__ import annotations

import itertools

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_feed import LiveBars

from llmguide import simulate
from llmguide.backtest import BarsData, CloseFillBroker, SharpeDrawdown, run_backtest
from llmguide.errors import LlmguideError
from llmguide.strategies import MeanReversion, TrendFollowing
from llmguide.trading.moving_averages import choose_windows, decisions

BOTH = [TrendFollowing, MeanReversion]
COST = 0.001


def run(cerebro, strategy, **params):
    """Run at close fills; return the strategy and its account."""
    cerebro.p.stdstats = False
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=COST)
    cerebro.addstrategy(strategy, **params)
    cerebro.addanalyzer(SharpeDrawdown)
    (ran,) = cerebro.run()
    return ran, ran.analyzers.sharpedrawdown.account


def taken(strategy):
    return [decided.decision for decided in strategy.decision_log]


@pytest.mark.real_bars
@pytest.mark.parametrize(
    ("strategy", "train_sharpe", "test_sharpe", "final_value"),
    [(TrendFollowing, 0.784374, 1.178207, 168_737.758), (MeanReversion, -0.041258, -0.609284, 65_370.183)],
)
def test_apple_gives_the_figures_of_the_authors_search(real_bars, strategy, train_sharpe, test_sharpe, final_value):
    train, test = real_bars("AAPL", "train"), real_bars("AAPL", "test")
    short, long, _ = choose_windows(train, strategy.rule)
    assert run_backtest(train, strategy, short=short, long=long).sharpe == pytest.approx(train_sharpe, abs=5e-7)
    result = run_backtest(test, strategy, short=short, long=long)
    assert result.sharpe == pytest.approx(test_sharpe, abs=5e-7)
    assert result.values.iloc[-1] == pytest.approx(final_value, abs=5e-4)
    assert set(result.orders["status"]) == {"Completed"}


@pytest.mark.parametrize("strategy", BOTH)
@pytest.mark.parametrize(
    ("runonce", "preload", "exactbars", "live"),
    list(itertools.product([True, False], [True, False], [False, 1, -1, -2], [False, True])),
)
def test_decisions_and_values_do_not_depend_on_how_cerebro_runs(make_bars, strategy, runonce, preload, exactbars, live):
    bars = make_bars(110, 4)
    cerebro = bt.Cerebro(runonce=runonce, preload=preload, exactbars=exactbars)
    cerebro.adddata((LiveBars if live else BarsData)(dataname=bars))
    ran, account = run(cerebro, strategy, short=4, long=29)
    expected = decisions(bars, 4, 29, rule=strategy.rule)
    assert 0 < expected.mean() < 1
    assert taken(ran) == expected.tolist()
    simulated = simulate(bars, expected, cost=COST)
    np.testing.assert_allclose(account["value"], simulated["value"], rtol=1e-12)
    assert account["shares"].tolist() == simulated["shares"].tolist()


@settings(max_examples=30, deadline=None)
@given(
    closes=st.lists(st.integers(10, 13), min_size=40, max_size=60),
    windows=st.tuples(st.integers(1, 30), st.integers(1, 30)).filter(lambda pair: pair[0] < pair[1]),
    strategy=st.sampled_from(BOTH),
    exactbars=st.sampled_from([False, 1]),
)
def test_ties_are_ties_in_backtrader_too(closes, windows, strategy, exactbars):
    close = np.array(closes) / 10  # in tenths, which binary fractions miss
    bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1_000.0})
    bars.index = pd.bdate_range("2018-01-01", periods=len(bars), name="date")
    cerebro = bt.Cerebro(exactbars=exactbars)
    cerebro.adddata(BarsData(dataname=bars))
    ran, _ = run(cerebro, strategy, short=windows[0], long=windows[1])
    assert taken(ran) == decisions(bars, *windows, rule=strategy.rule).tolist()


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": 1}, {"exactbars": -2}])
def test_a_long_window_beyond_the_idle_bars_delays_the_first_decision(make_bars, mode):
    bars = make_bars(90, 1)
    cerebro = bt.Cerebro(**mode)
    cerebro.adddata(BarsData(dataname=bars))
    ran, _ = run(cerebro, TrendFollowing, short=5, long=45)
    assert ran.decision_log[0].date == bars.index[45]
    assert taken(ran) == decisions(bars, 5, 45, start=45).tolist()


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": -1}])
def test_another_feed_changes_nothing(make_bars, mode):
    bars, other = make_bars(100, 2), make_bars(160, 9)
    other.index = pd.date_range(bars.index[50], periods=160, freq="36h", name="date").normalize()
    cerebro = bt.Cerebro(**mode)
    cerebro.adddata(BarsData(dataname=other), name="other")
    cerebro.adddata(BarsData(dataname=bars), name="ours")
    ran, account = run(cerebro, MeanReversion, feed="ours", short=3, long=8)
    expected = decisions(bars, 3, 8, rule="reversion")
    assert taken(ran) == expected.tolist()
    np.testing.assert_allclose(account["value"], simulate(bars, expected, cost=COST)["value"], rtol=1e-12)


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}, {"exactbars": -1}])
@pytest.mark.parametrize("replay", [False, True])
def test_resampled_and_replayed_weeks_compare_the_closes_of_complete_weeks(make_bars, mode, replay):
    days = make_bars(5 * 60, 5)
    weeks = days.iloc[4::5]  # its close, and the day on which Backtrader dates it
    cerebro = bt.Cerebro(**mode)
    add = cerebro.replaydata if replay else cerebro.resampledata
    add(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks)
    ran, _ = run(cerebro, TrendFollowing, short=2, long=10)
    expected = decisions(weeks, 2, 10)
    assert 0 < expected.mean() < 1
    assert taken(ran) == expected.tolist()
    acted = days.iloc[::5] if replay else weeks  # a replayed week is acted on at its first day
    assert [decided.date for decided in ran.decision_log] == acted.index[30:].to_pydatetime().tolist()


@pytest.mark.parametrize("fill", ["close", "next_open"])
@pytest.mark.parametrize("strategy", BOTH)
def test_later_bars_change_nothing_before_them(make_bars, strategy, fill):
    bars = make_bars(80, 6)
    params = {"short": 3, "long": 12, "reserve": 0.9, "fill": fill}
    whole = run_backtest(bars, strategy, **params)
    for t in (30, 31, 44, 61, 78):
        changed = bars.copy()
        changed.iloc[t + 1 :] *= np.exp(np.random.default_rng(t).normal(0.0, 0.3, (len(bars) - t - 1, 1)))
        result = run_backtest(changed, strategy, **params)
        assert result.account.iloc[: t + 1].equals(whole.account.iloc[: t + 1])
        # At the close, the decision on the next bar is known as well: it is taken from closes up to t.
        known = t + 2 - 30 if fill == "close" else t + 1 - 30
        assert result.decisions.iloc[:known].equals(whole.decisions.iloc[:known])


@pytest.mark.parametrize("strategy", BOTH)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "needs short= and long=, two windows in bars; .*choose_windows"),
        ({"short": 5}, "needs short= and long="),
        ({"short": 9, "long": 9}, "1 <= short < long, got 9 and 9"),
        ({"short": 0, "long": 9}, "1 <= short < long, got 0 and 9"),
        ({"short": 2.5, "long": 9}, "whole numbers of bars .* got 2.5 and 9"),
        ({"shrot": 2, "long": 9}, "no parameter 'shrot'.*did you mean 'short'"),
    ],
)
def test_windows_that_make_no_sense_are_refused(make_bars, strategy, params, message):
    with pytest.raises(LlmguideError, match=message):
        run_backtest(make_bars(40, 0), strategy, **params)


def test_optstrategy_runs_over_windows(make_bars):
    bars = make_bars(80, 3)
    cerebro = bt.Cerebro(maxcpus=1)
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=COST)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addanalyzer(SharpeDrawdown)
    cerebro.optstrategy(TrendFollowing, short=range(1, 4), long=[10])
    found = {run.params.short: run.analyzers.sharpedrawdown.account["value"].iloc[-1] for (run,) in cerebro.run()}
    expected = {n: simulate(bars, decisions(bars, n, 10), cost=COST)["value"].iloc[-1] for n in range(1, 4)}
    assert found == pytest.approx(expected)
