"""Bars per year, against calendars worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide import read_bars, sharpe_ratio, sweep
from llmguide.backtest import run_backtest
from llmguide.errors import DataError
from llmguide.periods import calendar_of, check_periods, periods_of
from llmguide.strategies import BuyAndHold


def hours(days, first=9, last=16):
    return pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(first, last)])


def currencies():
    """Hours from Sunday 22:00 to Friday 22:00, as currencies trade."""
    index = pd.date_range("2018-01-07 22:00", "2018-03-01", freq="h")
    weekday, hour = index.day_of_week, index.hour
    return index[(weekday < 4) | ((weekday == 4) & (hour < 22)) | ((weekday == 6) & (hour >= 22))]


def tel_aviv():
    index = pd.date_range("2018-01-07", "2018-06-01", freq="D")
    return index[~index.day_of_week.isin([4, 5])]


@pytest.mark.parametrize(
    ("dates", "periods"),
    [
        (pd.bdate_range("2018-01-01", periods=500), 252),
        (pd.bdate_range("2018-01-01", periods=5), 252),
        (pd.bdate_range("2018-01-01", periods=60).delete(range(5, 45)), 252),
        (tel_aviv(), 252),
        (pd.date_range("2018-01-01", periods=40, freq="D"), 365),
        (pd.date_range("2018-01-05", periods=30, freq="W-FRI"), 52),
        (pd.date_range("2018-01-05", periods=12, freq="ME"), 12),
        (pd.date_range("2018-01-05", periods=12, freq="QE"), 4),
        (pd.date_range("2000-01-05", periods=12, freq="YE"), 1),
        (pd.date_range("2018-01-01", periods=50, freq="2D"), 183),
        (hours(pd.bdate_range("2018-01-01", periods=60)), 7 * 252),
        (hours(pd.bdate_range("2018-01-01", periods=60))[3:-2], 7 * 252),
        (pd.date_range("2005-01-07", periods=150, freq="h"), 24 * 365),
        (pd.date_range("2018-01-01", periods=3000, freq="15min"), 96 * 365),
        (currencies(), 24 * 252),
        (hours(pd.bdate_range("2018-01-01", periods=60)).tz_localize("America/New_York"), 7 * 252),
    ],
)
def test_a_calendar_is_read_from_its_dates(dates, periods):
    assert calendar_of(dates).periods == periods
    assert periods_of(pd.Series(0.0, index=dates)) == periods


def test_half_holidays_and_single_sunday_sessions_change_nothing():
    days = pd.bdate_range("2018-01-01", periods=80)
    full = hours(days)
    half = full[~((full.normalize() == days[20]) & (full.hour > 11))]
    assert calendar_of(half).periods == 7 * 252
    assert calendar_of(days.append(pd.DatetimeIndex(["2018-02-04"])).sort_values()).periods == 252


def test_numbers_without_dates_and_two_dates_count_as_trading_days():
    assert periods_of([0.1, 0.2]) == periods_of(pd.Series([0.1, 0.2])) == 252
    assert calendar_of(pd.DatetimeIndex(["2018-01-01", "2018-02-01"])).periods == 252


def test_given_periods_win_and_impossible_ones_are_refused():
    weekly = pd.Series([0.1, 0.2, 0.0], index=pd.date_range("2018-01-05", periods=3, freq="W-FRI"))
    assert periods_of(weekly) == 52
    assert periods_of(weekly, 260.5) == 260.5
    for wrong in (0, -1, float("nan"), float("inf"), "many"):
        with pytest.raises(DataError, match="periods is the number of bars in a year"):
            check_periods(wrong)
    with pytest.raises(DataError, match="expected dates"):
        calendar_of(["no", "date"])


@given(st.integers(3, 400), st.integers(0, 3000), st.floats(0.0, 0.4), st.integers(0, 9))
def test_daily_bars_of_an_exchange_are_252_a_year_wherever_they_begin_and_whatever_is_missing(n, offset, share, seed):
    days = pd.bdate_range(pd.Timestamp("2010-01-01") + pd.Timedelta(days=offset), periods=max(n, 40))
    kept = days[np.random.default_rng(seed).random(len(days)) >= share]
    if np.quantile(np.diff(kept.to_numpy()) / np.timedelta64(1, "D"), 0.25) < 2:
        assert calendar_of(kept).periods == 252


@pytest.mark.slow
@pytest.mark.parametrize(("freq", "periods"), [("W-FRI", 52), ("ME", 12), ("D", 365), ("h", 8760)])
def test_every_door_annualises_by_the_same_calendar(freq, periods):
    n = 150
    close = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.003, 0.02, n)))
    index = pd.date_range("2005-01-07", periods=n, freq=freq)
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1e3}, index=index)
    bars = read_bars(frame)
    result = run_backtest(bars, BuyAndHold)
    returns = result.returns.to_numpy()
    expected = np.sqrt(periods) * returns.mean() / returns.std(ddof=1)
    assert result.sharpe == pytest.approx(expected, rel=1e-12)
    assert sharpe_ratio(result.returns) == pytest.approx(expected, rel=1e-12)
    assert run_backtest(bars, BuyAndHold, periods=100).sharpe == pytest.approx(expected * (100 / periods) ** 0.5)
    for engine in ("stream", "vbt"):
        swept = sweep(bars, np.ones((n - 30, 1), dtype=np.int8), engine=engine)
        assert swept.frame["sharpe"].iloc[0] == pytest.approx(expected, rel=1e-9)
