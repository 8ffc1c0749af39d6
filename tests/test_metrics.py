"""The measures against the benchmark's golden figures, hand-worked cases, pandas and scipy, and their laws."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmguide import metrics
from llmguide.errors import DataError

GOLDEN_NAMES = [
    f"{symbol}_{year}_{kind}"
    for symbol in ("AAPL", "TSLA")
    for year in (2012, 2018)
    for kind in ("long_10bp", "short_10bp", "coin_10bp", "monthly_10bp", "sticky_20bp")
]
FIELDS = {
    "pnl": "profit",
    "annual_return_pct": "annual_return",
    "annual_vol_pct": "annual_volatility",
    "sharpe": "sharpe_ratio",
    "sortino": "sortino_ratio",
    "mdd_pct": "max_drawdown_tdqn",
    "mdd_days": "drawdown_length_tdqn",
    "skew": "skewness",
    "profitability_pct": "profitability",
    "profit_loss_ratio": "profit_loss_ratio",
}

daily = arrays(np.float64, st.integers(2, 60), elements=st.floats(-0.25, 0.25, width=32))
money = arrays(np.float64, st.integers(1, 60), elements=st.floats(1.0, 1e6, width=32))


def golden_account(folder, name):
    frame = pd.read_csv(folder / f"{name}.csv", index_col="Timestamp", parse_dates=True)
    return frame.rename(columns={"Position": "side", "Money": "value", "Returns": "returns"})


@pytest.mark.real_bars
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_measure_of_the_benchmark_authors_is_reproduced(golden_folder, name):
    published = json.loads((golden_folder / "performance.json").read_text())
    assert set(published) == set(GOLDEN_NAMES)
    ours = dataclasses.asdict(metrics.performance(golden_account(golden_folder, name)))
    for key, field in FIELDS.items():
        scale = 100 if key.endswith("_pct") else 1
        assert scale * ours[field] == pytest.approx(published[name][key], rel=1e-6, abs=1e-6), key


@pytest.mark.real_bars
def test_buy_and_hold_apple_has_the_published_sharpe_ratio_and_drawdown(golden_folder):
    held = metrics.performance(golden_account(golden_folder, "AAPL_2018_long_10bp"))
    assert held.sharpe_ratio == pytest.approx(1.238666, abs=5e-7)
    assert held.max_drawdown_tdqn == pytest.approx(0.385081, abs=5e-7)
    assert held.positions == 1


@pytest.mark.real_bars
@pytest.mark.parametrize(("symbol", "tdqn", "standard"), [("JPM", 0.232, 0.326), ("NOK", 0.485, 0.686)])
def test_the_two_drawdown_conventions_differ_on_real_closes(data_folder, symbol, tdqn, standard):
    close = pd.read_csv(data_folder / f"{symbol}_2012-1-1_2018-1-1.csv")["Close"]
    assert metrics.max_drawdown(close) == pytest.approx(standard, abs=5e-4)
    assert metrics.max_drawdown(close, convention="tdqn") == pytest.approx(tdqn, abs=5e-4)


def test_sharpe_ratio_of_a_hand_worked_case():
    # mean 0.01, deviations -0.02 0 0.02, variance (0.0004 + 0.0004) / 2 = 0.0004, std 0.02: sqrt(252) / 2
    assert metrics.sharpe_ratio([-0.01, 0.01, 0.03]) == pytest.approx(math.sqrt(252) / 2)


def test_the_risk_free_rate_is_per_year():
    # 0.0252 a year is 0.0001 a bar: (0.01 - 0.0001) / 0.02
    assert metrics.sharpe_ratio([-0.01, 0.01, 0.03], risk_free=0.0252) == pytest.approx(math.sqrt(252) * 0.0099 / 0.02)
    assert metrics.sharpe_ratio([-0.01, 0.01, 0.03], periods=12, risk_free=0.12) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("returns", [[], [0.01], [0.0, 0.0, 0.0], [0.001] * 7, [1.01**0.1 - 1 + e for e in (0, 1e-16)]])
def test_an_undefined_sharpe_ratio_is_nan_and_never_infinite(returns):
    assert math.isnan(metrics.sharpe_ratio(returns))
    assert math.isnan(metrics.sortino_ratio(returns))
    assert math.isnan(metrics.skewness(returns))


def test_a_steadily_compounding_value_has_no_sharpe_ratio_although_rounding_spreads_its_returns():
    value = 100_000.0 * 1.0003 ** np.arange(500)
    returns = value[1:] / value[:-1] - 1
    assert returns.std() > 0
    assert math.isnan(metrics.sharpe_ratio(returns))


def test_sortino_ratio_of_a_hand_worked_case():
    # Mean -0.002; the negative returns -0.01 and -0.03 lie 0.01 around their mean of -0.02.
    assert metrics.sortino_ratio([0.02, -0.01, 0.01, -0.03, 0.0]) == pytest.approx(math.sqrt(252) * -0.002 / 0.01)


def test_a_single_losing_bar_has_no_deviation_and_no_sortino_ratio():
    assert math.isnan(metrics.sortino_ratio([0.02, -0.01, 0.01]))


def test_annual_return_adds_returns_and_counts_calendar_days():
    dates = pd.to_datetime(["2020-01-01", "2020-03-01", "2020-12-31"])  # 365 days: the exponent is 1
    assert metrics.annual_return([0.1, 0.2, -0.1], dates) == pytest.approx(0.2)
    half = pd.DatetimeIndex(["2021-01-01", "2021-07-02T12:00"])  # 182 whole days
    assert metrics.annual_return([0.1, 0.1], half) == pytest.approx(1.2 ** (365 / 182) - 1)


def test_annual_return_of_a_total_loss_is_minus_one_and_within_a_day_undefined():
    assert metrics.annual_return([-0.6, -0.5], ["2020-01-01", "2020-02-01"]) == -1.0
    assert math.isnan(metrics.annual_return([0.1, 0.2], ["2020-01-01T09:00", "2020-01-01T17:00"]))
    assert math.isnan(metrics.annual_return([], []))
    assert metrics.annual_return([1e6, 1e6], ["2020-01-01", "2020-01-02"]) == math.inf


def test_annual_volatility_is_undefined_for_one_bar_and_zero_for_equal_ones():
    assert math.isnan(metrics.annual_volatility([0.1]))
    assert metrics.annual_volatility([0.0, 0.0]) == 0.0
    assert metrics.annual_volatility([-0.01, 0.01, 0.03], periods=100) == pytest.approx(0.2)


def test_the_deepest_relative_fall_and_the_largest_absolute_one_are_told_apart():
    # 100 -> 40 loses 60 % of little, 1000 -> 700 loses 30 % and more money.
    value = [100.0, 40.0, 1000.0, 900.0, 700.0, 800.0]
    assert metrics.max_drawdown(value) == pytest.approx(0.6)
    assert metrics.drawdown_length(value) == 1
    assert metrics.max_drawdown(value, convention="tdqn") == pytest.approx(0.3)
    assert metrics.drawdown_length(value, convention="tdqn") == 2


@pytest.mark.parametrize("convention", ["standard", "tdqn"])
def test_a_value_that_never_falls_has_no_drawdown(convention):
    for value in ([100.0], [100.0, 100.0], [1.0, 2.0, 3.0]):
        assert metrics.max_drawdown(value, convention=convention) == 0.0
        assert metrics.drawdown_length(value, convention=convention) == 0
    assert math.isnan(metrics.max_drawdown([], convention=convention))


def test_an_insolvent_account_has_lost_more_than_everything():
    value = [100.0, 50.0, -10.0, 5.0]
    assert metrics.max_drawdown(value) == pytest.approx(1.1)
    np.testing.assert_allclose(metrics.drawdowns(value), [0.0, 0.5, 1.1, 0.95])


def test_profitability_of_hand_worked_positions():
    #        long, gains 10      short, loses 30       long, unchanged
    value = [100.0, 105.0, 110.0, 90.0, 80.0, 85.0, 80.0]
    side = [1, 1, -1, -1, 1, 1, 1]
    assert metrics.profitability(value, side) == pytest.approx(2 / 3)
    assert metrics.profit_loss_ratio(value, side) == pytest.approx(5 / 30)


def test_idle_bars_before_the_first_position_do_not_count():
    assert metrics.profitability([1.0, 50.0, 50.0, 40.0], [0, 0, 1, 1]) == 0.0
    assert metrics.profit_loss_ratio([1.0, 50.0, 50.0, 40.0], [0, 0, 1, 1]) == 0.0


def test_positions_that_never_lose_have_an_infinite_profit_loss_ratio_and_none_have_no_ratio():
    assert metrics.profit_loss_ratio([100.0, 110.0], [1, 1]) == math.inf
    assert math.isnan(metrics.profit_loss_ratio([100.0, 100.0], [0, 0]))
    assert math.isnan(metrics.profitability([100.0, 100.0], [0, 0]))


def test_performance_of_a_hand_worked_account():
    account = pd.DataFrame(
        {"side": [0, 1, 1, -1], "value": [100.0, 100.0, 120.0, 90.0], "returns": [0.0, 0.0, 0.2, -0.25]},
        index=pd.date_range("2020-01-01", periods=4),
    )
    done = metrics.performance(account)
    assert (done.profit, done.positions, done.exposure) == (-10.0, 2, 0.75)
    assert (done.max_drawdown, done.drawdown_length) == (0.25, 1)
    assert done.profitability == 0.5  # the long lost 10 up to the change, the short had no time to
    assert done.sharpe_ratio == metrics.sharpe_ratio(account["returns"])


def test_performance_of_an_account_that_never_traded_is_undefined_rather_than_zero():
    account = pd.DataFrame({"side": 0, "value": 100.0, "returns": 0.0}, index=pd.date_range("2020-01-01", periods=40))
    done = metrics.performance(account)
    assert math.isnan(done.sharpe_ratio)
    assert math.isnan(done.profitability)
    assert (done.max_drawdown, done.annual_return, done.positions, done.exposure) == (0.0, 0.0, 0, 0.0)


@given(daily)
def test_sharpe_and_skewness_agree_with_pandas_and_scipy(returns):
    assume(returns.std() > 1e-6)
    series = pd.Series(returns)
    assert metrics.sharpe_ratio(series) == pytest.approx(math.sqrt(252) * series.mean() / series.std())
    if len(series) > 2:
        assert metrics.skewness(series) == pytest.approx(scipy.stats.skew(returns, bias=False), abs=1e-9)


@given(daily, st.floats(0.01, 100.0))
def test_sharpe_ratio_does_not_depend_on_leverage(returns, leverage):
    assume(returns.std() > 1e-6)
    assert metrics.sharpe_ratio(leverage * returns) == pytest.approx(metrics.sharpe_ratio(returns), rel=1e-9, abs=1e-9)
    assert metrics.sharpe_ratio(-returns) == pytest.approx(-metrics.sharpe_ratio(returns))


@given(daily, st.permutations(range(5)))
def test_sharpe_ratio_does_not_depend_on_the_order_of_the_bars(returns, order):
    assume(returns.std() > 1e-6)
    shuffled = returns[np.argsort(np.resize(order, returns.size), kind="stable")]
    assert metrics.sharpe_ratio(shuffled) == pytest.approx(metrics.sharpe_ratio(returns), rel=1e-9, abs=1e-9)


@given(money)
def test_drawdown_of_positive_values_lies_in_the_unit_interval_and_tdqns_is_never_deeper(value):
    standard, tdqn = metrics.max_drawdown(value), metrics.max_drawdown(value, convention="tdqn")
    assert 0.0 <= tdqn <= standard < 1.0
    slow = max((value[i] - value[j]) / value[i] for i in range(len(value)) for j in range(i, len(value)))
    assert standard == pytest.approx(slow)


@given(money, st.floats(0.5, 2e6))
def test_another_bar_never_makes_the_drawdown_shallower(value, then):
    longer = np.append(value, then)
    assert metrics.max_drawdown(longer) >= metrics.max_drawdown(value)
    np.testing.assert_array_equal(metrics.drawdowns(longer)[:-1], metrics.drawdowns(value))


@given(money, st.sampled_from([0.125, 2.0, 1024.0]), st.sampled_from(["standard", "tdqn"]))
def test_drawdown_does_not_depend_on_the_currency(value, rate, convention):
    for measure in (metrics.max_drawdown, metrics.drawdown_length):
        assert measure(rate * value, convention=convention) == measure(value, convention=convention)


@given(money, st.data())
def test_profitability_and_ratio_agree_with_a_plain_loop(value, data):
    side = data.draw(arrays(np.int8, len(value), elements=st.sampled_from([-1, 0, 1])))
    gains, start, before = [], None, 0
    for at, now in enumerate(side):
        if now != before:
            gains += [] if start is None else [value[at] - start]
            start = value[at]
        before = now
    gains += [] if start is None else [value[-1] - start]
    if not gains:
        assert math.isnan(metrics.profitability(value, side))
        return
    won, lost = [g for g in gains if g >= 0], [-g for g in gains if g < 0]
    assert metrics.profitability(value, side) == pytest.approx(len(won) / len(gains))
    expected = math.inf if not lost else np.mean(won) / np.mean(lost) if won else 0.0
    assert metrics.profit_loss_ratio(value, side) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_missing_and_infinite_input_is_refused_with_its_place(bad):
    series = pd.Series([0.1, bad, 0.2], index=pd.date_range("2020-01-01", periods=3))
    for measure in (metrics.sharpe_ratio, metrics.sortino_ratio, metrics.skewness, metrics.max_drawdown):
        with pytest.raises(DataError, match=r"position 1 \(2020-01-02"):
            measure(series)
    with pytest.raises(DataError, match="at position 1 and 1 such"):
        metrics.annual_volatility([0.1, bad])


def test_input_of_the_wrong_kind_is_refused():
    with pytest.raises(DataError, match="2 dimensions"):
        metrics.sharpe_ratio(np.zeros((3, 2)))
    with pytest.raises(DataError, match="as numbers"):
        metrics.sharpe_ratio(["a", "b"])
    with pytest.raises(DataError, match="start above zero"):
        metrics.max_drawdown([0.0, 0.01])
    with pytest.raises(DataError, match="did you mean 'standard'"):
        metrics.max_drawdown([1.0], convention="standart")
    with pytest.raises(DataError, match="periods is the number of bars"):
        metrics.sharpe_ratio([0.1, 0.2], periods=0)
    with pytest.raises(DataError, match="one date per return"):
        metrics.annual_return([0.1], ["2020-01-01", "2020-01-02"])
    with pytest.raises(DataError, match="increasing dates"):
        metrics.annual_return([0.1, 0.1], ["2020-01-02", "2020-01-01"])
    with pytest.raises(DataError, match="expected dates"):
        metrics.annual_return([0.1, 0.1], ["soon", "later"])
    with pytest.raises(DataError, match="one side per value"):
        metrics.profitability([1.0, 2.0], [1])
    with pytest.raises(DataError, match="column 'side'"):
        metrics.performance(pd.DataFrame({"value": [1.0]}))
    with pytest.raises(DataError, match="at least one bar"):
        metrics.performance(pd.DataFrame({"side": [], "value": [], "returns": []}))
