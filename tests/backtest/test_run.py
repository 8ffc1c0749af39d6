"""One call from bars to result."""

from __future__ import annotations

import dataclasses

import backtrader as bt
import numpy as np
import pytest

from llmguide import max_drawdown
from llmguide.backtest import make_cerebro, run_backtest
from llmguide.errors import DataError, LlmguideError
from llmguide.strategies import BuyAndHold, SellAndHold


@pytest.mark.real_bars
def test_buy_and_hold_apple_has_the_published_sharpe_ratio_and_drawdown(real_bars):
    result = run_backtest(real_bars("AAPL", "test"), BuyAndHold)
    assert result.sharpe == pytest.approx(1.238666, abs=1e-6)
    assert max_drawdown(result.values, convention="tdqn") == pytest.approx(0.385081, abs=1e-6)


def test_the_result_holds_every_bar_by_its_date(make_bars):
    bars = make_bars(70)
    result = run_backtest(bars, SellAndHold)
    for series in (result.values, result.returns, result.sides, result.account):
        assert series.index.equals(bars.index)
    assert result.decisions.index.equals(bars.index[30:])
    assert result.exposure == pytest.approx(40 / 70)
    assert result.trade_count == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.sharpe = 2.0


def test_intraday_bars_keep_their_times(make_bars):
    bars = make_bars(50)
    bars.index = bars.index.normalize() + np.timedelta64(15 * 60 + 59, "m")
    result = run_backtest(bars, BuyAndHold)
    assert result.account.index.equals(bars.index)
    assert result.orders["date"].iloc[0] == bars.index[30]


def test_the_same_run_twice_gives_the_same_result(make_bars):
    bars = make_bars(50)
    first, second = (run_backtest(bars, SellAndHold) for _ in range(2))
    assert first.account.equals(second.account)
    assert first.orders.equals(second.orders)
    assert first.trades.equals(second.trades)


def test_bars_are_not_changed(make_bars):
    bars = make_bars(50)
    before = bars.copy()
    run_backtest(bars, BuyAndHold)
    assert bars.equals(before)


def test_a_foreign_strategy_has_an_account_and_no_decisions(make_bars):
    class Foreign(bt.Strategy):
        def next(self):
            if len(self) == 5:
                self.buy(size=100)

    result = run_backtest(make_bars(20), Foreign)
    assert len(result.decisions) == 0
    assert result.account["shares"].tolist() == [0] * 4 + [100] * 16
    assert result.trade_count == 1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"fill": "closing"},
            LlmguideError,
            "'close' or 'next_open', got 'closing'; did you mean 'close'",
        ),
        ({"strat": 4}, LlmguideError, "BuyAndHold has no parameter 'strat'.*did you mean 'start'"),
        ({"cash": -5}, DataError, "cash must be a positive number"),
        ({"cost": 10}, DataError, "cost must be a fraction"),
        ({"start": 80}, DataError, "start must lie between 1 and 49 for 50 bars"),
    ],
)
def test_impossible_settings_are_refused(make_bars, settings, error, message):
    with pytest.raises(error, match=message):
        run_backtest(make_bars(50), BuyAndHold, **settings)


def test_a_cerebro_that_is_ready_can_be_added_to(make_bars):
    cerebro = make_cerebro(make_bars(50), BuyAndHold, fill="next_open", cost=0.0)
    cerebro.addanalyzer(bt.analyzers.TimeReturn)
    (ran,) = cerebro.run()
    assert isinstance(ran.broker, bt.brokers.BackBroker)
    assert len(ran.analyzers.timereturn.get_analysis()) == 50
