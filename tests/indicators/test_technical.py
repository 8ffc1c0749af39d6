"""The technical indicators say in a Cerebro, in every mode, what the frame version says of the same bars."""

from __future__ import annotations

import itertools

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
import talib

from llmguide.backtest import BarsData
from llmguide.errors import LlmguideError
from llmguide.features import rolling
from llmguide.features.technical import technical
from llmguide.indicators import VWAP, HistoricalVolatility, MACDStrength, Slope, WeeklyReturns, ZScore


class LiveBars(BarsData):
    def islive(self):
        return True


class Keeps(bt.Strategy):
    """A user's own strategy, which keeps what every indicator shows at every bar."""

    params = (("make", None),)

    def __init__(self):
        self.made = self.p.make(self.data)
        self.dates, self.seen = [], []

    def prenext(self):
        self.next()

    def next(self):
        self.dates.append(self.data.datetime.datetime(0))
        self.seen.append(
            {f"{name}.{k}": line[0] for name, ind in self.made.items() for k, line in enumerate(ind.lines)}
        )


def run(make, feed, *, prepare=None, **mode):
    cerebro = bt.Cerebro(stdstats=False, **mode)
    if prepare is None:
        cerebro.adddata(feed)
    else:
        prepare(cerebro, feed)
    cerebro.addstrategy(Keeps, make=make)
    (ran,) = cerebro.run()
    return pd.DataFrame(ran.seen, index=pd.DatetimeIndex(ran.dates))


def all_of_them(data):
    return {
        "slope": Slope(data, period=7),
        "zscore": ZScore(data, period=9),
        "weeks": WeeklyReturns(data),
        "volatility": HistoricalVolatility(data),
        "vwap": VWAP(data, period=11),
        "slope of a mean": Slope(bt.ind.SMA(data, period=12), period=6),
        "zscore of volume": ZScore(data.volume, period=5),
    }


def expected_of_them(bars):
    close, volume = (np.array(bars[name], dtype=np.float64) for name in ("close", "volume"))
    weeks = rolling.weekly_returns(close)
    columns = {
        "slope.0": rolling.slope(close, period=7),
        "zscore.0": rolling.zscore(close, period=9),
        **{f"weeks.{week}": weeks[:, week] for week in range(4)},
        "volatility.0": rolling.historical_volatility(close),
        "vwap.0": rolling.vwap(close, volume, period=11),
        "zscore of volume.0": rolling.zscore(volume, period=5),
    }
    return pd.DataFrame(columns, index=bars.index)


@pytest.mark.parametrize(
    ("runonce", "preload", "exactbars", "live"),
    list(itertools.product([True, False], [True, False], [False, 1, -1, -2], [False, True])),
)
def test_every_mode_shows_what_the_frame_version_does(bars, runonce, preload, exactbars, live):
    feed = (LiveBars if live else BarsData)(dataname=bars)
    seen = run(all_of_them, feed, runonce=runonce, preload=preload, exactbars=exactbars)
    expected = expected_of_them(bars)
    assert seen.index.equals(pd.DatetimeIndex(bars.index))
    warm = 20  # the longest warm-up: the strategy's own next() begins there
    np.testing.assert_array_equal(seen[expected.columns].iloc[warm:].to_numpy(), expected.iloc[warm:].to_numpy())
    means = bars["close"].rolling(12).mean().to_numpy()
    expected = rolling.slope(means, period=6)
    np.testing.assert_allclose(seen["slope of a mean.0"].iloc[warm:], expected[warm:], atol=1e-12)


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}])
def test_weeks_made_of_days_are_measured_as_weeks(bars, mode):
    def prepare(cerebro, feed):
        cerebro.resampledata(feed, timeframe=bt.TimeFrame.Weeks)

    def make(data):
        return {"slope": Slope(data, period=5), "close": bt.ind.SMA(data, period=1)}

    seen = run(make, BarsData(dataname=bars), prepare=prepare, **mode)
    assert len(seen) >= 17
    expected = rolling.slope(seen["close.0"].to_numpy(), period=5)
    np.testing.assert_array_equal(seen["slope.0"].iloc[4:], expected[4:])


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": 1}])
def test_a_replayed_bar_is_measured_again_with_every_tick(bars, mode):
    def prepare(cerebro, feed):
        cerebro.replaydata(feed, timeframe=bt.TimeFrame.Weeks)

    seen = run(lambda data: {"slope": Slope(data, period=3)}, BarsData(dataname=bars), prepare=prepare, **mode)
    week = bars.index.isocalendar().week.to_numpy()
    ends = bars["close"].groupby(week, sort=False).last().to_numpy()
    for day in (40, 41, 42, 77):
        done = int(week[day] - week[0])  # weeks before this one
        closes = np.append(ends[:done], bars["close"].iloc[day])
        assert seen["slope.0"].iloc[day] == rolling.slope(closes, period=3)[-1]


@pytest.mark.parametrize("mode", [{}, {"runonce": False}])
def test_bars_after_a_bar_change_nothing_up_to_it(bars, mode):
    changed = bars.copy()
    changed.iloc[61:] *= np.linspace(2.0, 9.0, len(bars) - 61)[:, None]
    one, two = (run(all_of_them, BarsData(dataname=frame), **mode) for frame in (bars, changed))
    pd.testing.assert_frame_equal(one.iloc[:61], two.iloc[:61], check_exact=True)
    assert not one.iloc[61:].equals(two.iloc[61:])


@pytest.fixture(scope="module")
def years() -> pd.DataFrame:
    random = np.random.default_rng(3)
    close = 80.0 * np.exp(np.cumsum(random.normal(0.0, 0.015, 420)))
    frame = pd.DataFrame({"open": close, "high": close * 1.01, "low": close * 0.985, "close": close, "volume": 1e6})
    return frame.set_index(pd.bdate_range("2015-01-01", periods=420, name="date"))


def test_backtraders_sma_rsi_and_atr_are_talibs_and_its_macd_becomes_so(years):
    def make(data):
        return {
            "sma": bt.ind.SMA(data, period=50),
            "rsi": bt.ind.RSI(data, period=14),
            "macd": bt.ind.MACD(data),
            "atr": bt.ind.ATR(data, period=14),
            "strength": MACDStrength(data),
        }

    seen = run(make, BarsData(dataname=years))
    expected = technical(years)
    for name, column in (("sma.0", "sma_50"), ("rsi.0", "rsi_14"), ("atr.0", "atr_14")):
        np.testing.assert_allclose(seen[name].iloc[49:], expected[column].iloc[49:], rtol=1e-9)
    # TA-Lib begins the fast average of the MACD together with the slow one, Backtrader 14 bars earlier.
    for name, column in (("macd.0", "macd"), ("macd.1", "macd_signal"), ("strength.0", "macd_strength")):
        difference = (seen[name] - expected[column]).abs() / expected[column].abs().mean()
        assert difference.iloc[60] > 1e-3
        assert (difference.iloc[200:] < 1e-8).all()


def test_the_strength_is_the_histogram_over_the_price_in_every_mode(years):
    def make(data):
        return {"strength": MACDStrength(data), "histogram": bt.ind.MACDHisto(data)}

    for mode in ({}, {"runonce": False}, {"exactbars": 1}):
        seen = run(make, BarsData(dataname=years), **mode)
        expected = seen["histogram.2"].to_numpy() / years["close"].to_numpy()
        np.testing.assert_array_equal(seen["strength.0"].iloc[40:], expected[40:])


def test_the_slope_is_talibs(bars):
    seen = run(lambda data: {"slope": Slope(data)}, BarsData(dataname=bars))
    expected = talib.LINEARREG_SLOPE(bars["close"].to_numpy(), timeperiod=20)
    np.testing.assert_allclose(seen["slope.0"].iloc[19:], expected[19:], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("indicator", [Slope, ZScore, HistoricalVolatility, VWAP])
def test_a_period_without_a_spread_is_refused(bars, indicator):
    with pytest.raises(LlmguideError, match=f"at least 2 bars for {indicator.__name__}, got 1"):
        run(lambda data: {"it": indicator(data, period=1)}, BarsData(dataname=bars))
