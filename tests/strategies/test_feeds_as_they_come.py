"""Feeds with holes, zones, two scales; sizers; and somebody else's strategy beside our analyzers and observer."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest

from llmguide import indicators
from llmguide.backtest import GuidanceAction, OrderLog, SharpeDrawdown, TradeLog, use_close_fills
from llmguide.errors import DataError, LlmguideError
from llmguide.strategies import BuyAndHold, LLMOnly, MeanReversion, TrendFollowing

MODES = [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}]


def cerebro_of(bars, *strategy, close=True, analyzers=(SharpeDrawdown, OrderLog, TradeLog), **params):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars), name="AAPL")
    if strategy:
        cerebro.addstrategy(*strategy, **params)
    for analyzer in analyzers:
        cerebro.addanalyzer(analyzer)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    if close:
        use_close_fills(cerebro)
    return cerebro


def always_long(known, date):
    return {"issued_at": date, "direction": 1, "confidence": 3}


def holed(bars, column, value, at):
    changed = bars.copy()
    changed.iloc[at, changed.columns.get_loc(column)] = value
    return changed


# Backtrader's broker values the account before a strategy sees the bar, and subtracts inf from inf.
@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar subtract:RuntimeWarning")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [np.nan, 0.0, -3.0, np.inf])
def test_a_close_that_is_no_price_is_refused_with_feed_bar_and_date(make_bars, mode, value):
    bars = holed(make_bars(60, 0), "close", value, 40)
    with pytest.raises(DataError, match=r"feed 'AAPL' .* on bar 40, 2018-02-26, which BuyAndHold needs"):
        cerebro_of(bars, BuyAndHold).run(**mode)


def test_a_feed_that_begins_without_prices_is_told_its_first_bar(make_bars):
    bars = make_bars(60, 0)
    bars.iloc[:12] = np.nan
    with pytest.raises(DataError, match=r"on bar 0, 2018-01-01, .* its first is that of bar 12, 2018-01-17"):
        cerebro_of(bars, BuyAndHold).run()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["Slope", "ZScore", "WeeklyReturns", "HistoricalVolatility", "VWAP", "MACDStrength"])
def test_every_indicator_refuses_a_missing_close(make_bars, mode, name):
    class Watches(bt.Strategy):
        def __init__(self):
            getattr(indicators, name)(self.data)

    with pytest.raises(DataError, match=rf"feed 'AAPL' has no close \(nan\) on bar 50, 2018-03-12, which {name} needs"):
        cerebro_of(holed(make_bars(90, 0), "close", np.nan, 50), Watches, analyzers=()).run(**mode)


def test_an_indicator_of_an_indicator_may_be_nan(make_bars):
    bars = make_bars(90, 0)
    bars.iloc[20:60, bars.columns.get_loc("close")] = 50.0  # no spread: the z-score is NaN

    class Watches(bt.Strategy):
        def __init__(self):
            self.slope = indicators.Slope(indicators.ZScore(self.data, period=5), period=3)

    (ran,) = cerebro_of(bars, Watches, analyzers=()).run()
    assert np.isnan(ran.slope.lines.slope.array[40])
    assert np.isfinite(ran.slope.lines.slope.array[80])


@pytest.mark.parametrize("mode", MODES)
def test_live_guidance_is_never_shown_a_bar_with_a_hole(make_bars, mode):
    bars = holed(make_bars(60, 0), "low", np.nan, 40)
    with pytest.raises(DataError, match=r"has no low \(nan\) on bar 40, 2018-02-26, which live guidance needs"):
        cerebro_of(
            bars, LLMOnly, provider=lambda known, date: {"issued_at": date, "direction": 1, "confidence": 3}
        ).run(**mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_feed_of_closes_only_is_traded_at_its_closes(make_bars, make_guidance, mode):
    bars = make_bars(90, 0)
    params = {
        BuyAndHold: {},
        LLMOnly: {"guidance": make_guidance(bars)},
        TrendFollowing: {"short": 3, "long": 8},
        MeanReversion: {"short": 3, "long": 8},
    }
    for strategy, own in params.items():
        (whole,) = cerebro_of(bars, strategy, **own).run(**mode)
        (closes,) = cerebro_of(bars[["close"]], strategy, **own).run(**mode)
        assert closes.analyzers.sharpedrawdown.account.equals(whole.analyzers.sharpedrawdown.account)


@pytest.mark.parametrize("mode", MODES)
def test_a_feed_of_closes_only_has_no_next_open(make_bars, mode):
    with pytest.raises(DataError, match=r"has no open \(nan\) on bar 0, .*; add open to the feed, or use"):
        cerebro_of(make_bars(60, 0)[["close"]], BuyAndHold, close=False).run(**mode)


@pytest.mark.parametrize("mode", MODES)
def test_next_open_fills_are_refused_where_only_closes_are_adjusted(make_bars, mode):
    bars = make_bars(60, 0)
    bars["close"] *= 0.8
    told = r"outside \[low, high\] by more than 0.01 % on \d+ of \d+ bars: only they are adjusted"
    with pytest.raises(DataError, match=told):
        cerebro_of(bars, BuyAndHold, close=False).run(**mode)
    (ran,) = cerebro_of(bars, BuyAndHold).run(**mode)
    assert ran.position.size > 0


def test_a_few_closes_outside_are_no_other_scale(make_bars):
    bars = make_bars(100, 0)
    bars.iloc[[20, 50, 70], bars.columns.get_loc("close")] *= 1.2
    (ran,) = cerebro_of(bars, BuyAndHold, close=False).run()
    assert ran.position.size > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
def test_a_zoned_index_moves_no_decision_and_no_date(make_bars, make_guidance, mode, zone):
    bars = make_bars(90, 0)
    guidance = make_guidance(bars)
    (plain,) = cerebro_of(bars, LLMOnly, guidance=guidance).run(**mode)
    (zoned,) = cerebro_of(bars.tz_localize(zone), LLMOnly, guidance=guidance).run(**mode)
    assert zoned.decision_log == plain.decision_log
    assert zoned.analyzers.sharpedrawdown.account.equals(plain.analyzers.sharpedrawdown.account)
    assert zoned.analyzers.orderlog.frame.equals(plain.analyzers.orderlog.frame)
    assert zoned.analyzers.tradelog.frame.equals(plain.analyzers.tradelog.frame)


def test_a_zoned_feed_that_is_resampled_is_refused(make_bars):
    cerebro = bt.Cerebro(stdstats=False)
    feed = bt.feeds.PandasData(dataname=make_bars(90, 0).tz_localize("Asia/Tokyo"))
    cerebro.resampledata(feed, timeframe=bt.TimeFrame.Weeks)
    cerebro.addstrategy(BuyAndHold)
    with pytest.raises(DataError, match="time zone Asia/Tokyo"):
        cerebro.run()


def test_a_sizer_is_refused_by_name_and_the_default_one_is_not(make_bars):
    cerebro = cerebro_of(make_bars(60, 0), BuyAndHold)
    cerebro.addsizer(bt.sizers.PercentSizer, percents=10)
    with pytest.raises(LlmguideError, match="cannot follow PercentSizer"):
        cerebro.run()
    cerebro = cerebro_of(make_bars(60, 0), BuyAndHold)
    cerebro.addsizer_byidx(1, bt.sizers.PercentSizer, percents=10)  # another strategy's
    cerebro.run()


class SmaCross(bt.SignalStrategy):
    def __init__(self):
        self.signal_add(bt.SIGNAL_LONG, bt.ind.CrossOver(bt.ind.SMA(period=5), bt.ind.SMA(period=15)))


class HoldsAQuarter(bt.Strategy):
    def next(self):
        if len(self) == 10:
            self.buy(size=0.25)


def test_the_analyzers_measure_somebody_elses_strategy(make_bars):
    cerebro = cerebro_of(make_bars(120, 0), SmaCross, close=False)
    cerebro.addobserver(GuidanceAction)
    (ran,) = cerebro.run()
    account = ran.analyzers.sharpedrawdown.account
    assert account["value"].iloc[-1] == pytest.approx(cerebro.broker.getvalue())
    assert account["shares"].dtype == np.int64
    assert account["shares"].max() == 1


def test_fractions_of_a_share_are_kept(make_bars):
    bars = make_bars(60, 0)
    (ran,) = cerebro_of(bars, HoldsAQuarter).run()
    account = ran.analyzers.sharpedrawdown.account
    assert account["shares"].tolist() == [0.0] * 9 + [0.25] * 51
    np.testing.assert_allclose(account["holdings"].iloc[9:], 0.25 * bars["close"].iloc[9:], rtol=1e-9)


def test_a_missing_price_under_somebody_elses_strategy_is_refused_with_its_bar(make_bars):
    bars = holed(make_bars(60, 0), "close", np.nan, 40)
    with pytest.raises(DataError, match=r"has no close \(nan\) on bar 40, 2018-02-26, which the account's value needs"):
        cerebro_of(bars, HoldsAQuarter).run()
