"""A tearsheet from each source: the same account gives the same returns, and nothing is guessed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide.backtest import SharpeDrawdown, make_cerebro, run_backtest
from llmguide.errors import DataError
from llmguide.metrics import sharpe_ratio
from llmguide.report.accounts import account_of
from llmguide.report.seeds_page import write_seeds
from llmguide.report.tearsheet import tearsheet
from llmguide.strategies import BuyAndHold, TrendFollowing
from llmguide.trading.simulate import simulate

BARS = llmguide.sample_bars(years=1, seed=2)
HELD = simulate(BARS, np.ones(len(BARS) - 30, dtype=int))["returns"]


def held(**analyzers):
    """A Cerebro of buy and hold with these analyzers, that has run."""
    import backtrader as bt

    cerebro = bt.Cerebro()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    llmguide.backtest.use_close_fills(cerebro)
    data = bt.feeds.PandasData(dataname=BARS)
    cerebro.adddata(data)
    cerebro.addstrategy(BuyAndHold)
    for name, (kind, options) in analyzers.items():
        cerebro.addanalyzer(
            kind, _name=name, **{key: data if value == "data" else value for key, value in options.items()}
        )
    cerebro.run()
    return cerebro


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The part of a run folder that is read: two seeds of rl, and hold."""
    path = tmp_path_factory.mktemp("run")
    value = 1e5 * (1 + HELD).cumprod()
    frames = [
        pd.DataFrame({"date": BARS.index, "value": value * scale, "arm": arm, "seed": seed})
        for arm, seed, scale in (
            ("rl", 3, np.linspace(1, 2, len(BARS))),
            ("rl", 7, np.linspace(1, 0.5, len(BARS))),
            ("hold", -1, 1),
        )
    ]
    pd.concat(frames).to_parquet(path / "values.parquet")
    (path / "config.json").write_text('{"episodes": 2, "agent": {"cost": 0.001, "cash": 1e5}, "guidance": null}')
    return path


def test_a_run_of_a_cerebro_is_read_from_its_account_analyzer():
    cerebro = held(account=(SharpeDrawdown, {}))
    for source in (cerebro, cerebro.runstrats[0], cerebro.runstrats[0][0]):
        account = account_of(source)
        np.testing.assert_allclose(account.returns, HELD, rtol=1e-9, atol=1e-15)
        assert account.title == "BuyAndHold"
        assert account.parameters["start"] == 30


def test_backtraders_own_time_return_serves_too_and_that_of_a_data_is_the_benchmark():
    import backtrader as bt

    kind = bt.analyzers.TimeReturn
    account = account_of(held(account=(kind, {}), market=(kind, {"data": "data", "firstopen": False})))
    assert len(account.returns) == len(BARS)
    np.testing.assert_allclose(account.benchmark.iloc[1:], BARS["close"].pct_change().iloc[1:], rtol=1e-9)
    both = account_of(held(market=(kind, {"data": "data", "firstopen": False}), account=(SharpeDrawdown, {})))
    np.testing.assert_allclose(both.returns, HELD, rtol=1e-9, atol=1e-15)
    assert both.returns.index.equals(both.benchmark.index)


def test_returns_that_are_not_of_days_are_passed_over_and_alone_they_are_refused():
    import backtrader as bt

    kind, frames = bt.analyzers.TimeReturn, bt.TimeFrame
    months, days = (kind, {"timeframe": frames.Months}), (kind, {"timeframe": frames.Days})
    market = (kind, {"data": "data", "timeframe": frames.Months})
    expected = account_of(held(days=days))
    assert len(expected.returns) == len(BARS)
    for analyzers in ({"a": months, "b": days}, {"a": days, "b": months}, {"a": market, "b": days, "c": months}):
        found = account_of(held(**analyzers))
        assert found.returns.equals(expected.returns)
        assert found.benchmark is None
    for frame in (frames.Months, frames.Weeks, frames.Years, frames.NoTimeFrame):
        with pytest.raises(DataError, match=r"no record.*TimeReturn, timeframe=bt\.TimeFrame\.Days"):
            account_of(held(account=(kind, {"timeframe": frame})))


@pytest.mark.parametrize("told", [True, False])
def test_of_intraday_bars_the_account_is_read_bar_by_bar_or_day_by_day(told):
    import backtrader as bt

    bars = BARS.set_axis(pd.date_range("2020-01-01", periods=len(BARS), freq="4h"))
    declared = {"timeframe": bt.TimeFrame.Minutes, "compression": 240} if told else {}
    by_day = (bt.analyzers.TimeReturn, {"timeframe": bt.TimeFrame.Days})
    for kinds in ([(SharpeDrawdown, {})], [(SharpeDrawdown, {}), by_day], [by_day]):
        cerebro = bt.Cerebro()
        cerebro.adddata(bt.feeds.PandasData(dataname=bars, **declared))
        cerebro.addstrategy(BuyAndHold)
        for kind, options in kinds:
            cerebro.addanalyzer(kind, **options)
        (ran,) = cerebro.run()
        found = account_of(ran).returns
        days = pd.date_range("2020-01-01", bars.index[-1].normalize(), freq="D")
        assert found.index.equals(bars.index if (SharpeDrawdown, {}) in kinds else days)
        assert (1 + found).prod() == pytest.approx(cerebro.broker.getvalue() / 10_000)


def test_a_cerebro_without_a_record_or_before_its_run_is_refused_with_the_fix():
    import backtrader as bt

    with pytest.raises(DataError, match=r"addanalyzer\(llmguide.backtest.SharpeDrawdown\)"):
        account_of(held())
    with pytest.raises(DataError, match="has not run yet"):
        account_of(bt.Cerebro())
    cerebro = make_cerebro(BARS, BuyAndHold)
    cerebro.addstrategy(BuyAndHold)
    with pytest.raises(DataError, match="got 2; pass one element"):
        account_of(cerebro.run())


def test_a_backtest_is_read_from_its_account():
    result = run_backtest(BARS, BuyAndHold)
    np.testing.assert_allclose(account_of(result).returns, HELD, rtol=1e-9, atol=1e-15)


@pytest.mark.slow
def test_a_portfolio_of_vectorbt_gives_the_same_returns():
    import vectorbt as vbt

    account = simulate(BARS, np.ones(len(BARS) - 30, dtype=int))
    size = (account["side"] * account["shares"]).astype(float)
    portfolio = vbt.Portfolio.from_orders(
        BARS["close"], size=size, size_type="targetamount", fees=0.001, init_cash=1e5, freq="1D"
    )
    np.testing.assert_allclose(account_of(portfolio).returns, HELD, rtol=1e-8, atol=1e-12)
    several = vbt.Portfolio.from_orders(
        BARS["close"], size=pd.concat([size, -size], axis=1, keys=["up", "down"]), size_type="targetamount", freq="1D"
    )
    with pytest.raises(DataError, match=r"a Portfolio of 2: 'up', 'down'"):
        account_of(several)
    assert len(account_of(several["up"]).returns) == len(BARS)


def test_a_run_folder_gives_the_arm_and_seed_asked_for_beside_its_hold_arm(folder):
    value = 1e5 * (1 + HELD).cumprod()
    first = account_of(folder, arm="rl")
    assert first.title == "rl, seed 3"
    np.testing.assert_allclose(first.returns.iloc[1:], (value * np.linspace(1, 2, len(value))).pct_change().iloc[1:])
    np.testing.assert_allclose(first.benchmark, HELD, atol=1e-12)
    run = "seed 3, one of 2 seeds: 3, 7"
    assert first.parameters == {"Cash": 1e5, "Cost": 0.001, "Episodes": 2, "Run": run}
    assert account_of(folder, arm="rl", seed=7).returns.iloc[-1] != first.returns.iloc[-1]
    assert account_of(folder, arm="hold").benchmark is None


def test_a_run_folder_without_a_choice_or_with_a_wrong_one_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match=r"several arms, rl, hold; choose one with arm="):
        account_of(folder)
    with pytest.raises(DataError, match=r"no arm 'hodl'.*did you mean 'hold'"):
        account_of(folder, arm="hodl")
    with pytest.raises(DataError, match="no seed 4"):
        account_of(folder, arm="rl", seed=4)
    with pytest.raises(DataError, match="not a finished comparison"):
        account_of(tmp_path, arm="rl")
    with pytest.raises(DataError, match="are for a run folder"):
        account_of(HELD, arm="rl")


def test_the_page_of_a_cerebro_shows_the_strategys_name_and_parameters(tmp_path):
    cerebro = make_cerebro(BARS, TrendFollowing, short=3, long=9)
    cerebro.run()
    page = tearsheet(cerebro, tmp_path / "sheet.html", parameters={"note": "mine"}).html
    assert "<title>TrendFollowing</title>" in page
    for shown in ("short: 3", "long: 9", "note: mine"):
        assert shown in page


@pytest.mark.slow
def test_reading_a_series_loads_none_of_the_libraries_that_it_knows():
    code = (
        "import sys, pandas as pd; from llmguide.report.accounts import account_of; account_of(pd.Series([0.1]));"
        "sys.exit(any(name in sys.modules for name in ('backtrader', 'vectorbt', 'quantstats', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_of_all_seeds_has_each_seeds_own_measures_and_their_mean(folder, tmp_path):
    found = write_seeds(folder, "rl", tmp_path / "seeds.html")
    assert list(found.index) == [3, 7]
    for seed, row in found.iterrows():
        own = account_of(folder, arm="rl", seed=seed).returns
        assert row["sharpe"] == pytest.approx(sharpe_ratio(own), rel=1e-9)
    page = (tmp_path / "seeds.html").read_text(encoding="utf-8")
    for text in ("rl, all 2 seeds", "standard deviation", f"{found['sharpe'].mean():.2f}".replace("-", "−"), "hold"):
        assert text in page
    with pytest.raises(DataError, match=r"no arm 'hodl'"):
        write_seeds(folder, "hodl", tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()
