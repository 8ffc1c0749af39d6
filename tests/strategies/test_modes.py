"""Whatever way Backtrader is made to run, the decisions and the account are the same.

The oracle is not another run of Cerebro: decisions come from `Agent.decide` over the whole frame, and the account from
`simulate`.
"""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from live_feed import LiveBars
from momentum import Momentum
from ways_to_run import WAYS, Way

from llmguide import simulate
from llmguide.backtest import BarsData, CloseFillBroker, SharpeDrawdown
from llmguide.strategies import DQN, AccountStrategy, LLMGuidedDQN, LLMOnly

COST = 0.001


def run(feeds, strategy, *, stdstats=False, broker=None, cerebro=None, **params):
    """Run with close fills and return the strategy and its account."""
    cerebro = cerebro or bt.Cerebro()
    cerebro.p.stdstats = stdstats
    cerebro.broker = broker or CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=COST)
    for name, feed in feeds.items():
        cerebro.adddata(feed, name=name)
    cerebro.addstrategy(strategy, **params)
    cerebro.addanalyzer(SharpeDrawdown)
    (ran,) = cerebro.run()
    return ran, ran.analyzers.sharpedrawdown.account


def decisions_of(strategy):
    return np.array([decided.decision for decided in strategy.decision_log])


@pytest.fixture(scope="module")
def case(make_bars, make_agent, make_guidance):
    bars = make_bars(110, 4)
    guidance = make_guidance(bars)
    agent = make_agent(bars, guidance.tau(bars.index))
    decisions = agent.decide(bars, guidance.tau(bars.index))
    return bars, agent, guidance, decisions, simulate(bars, decisions, cost=COST)


@pytest.mark.parametrize(
    ("runonce", "preload", "exactbars", "live"),
    WAYS,
)
def test_decisions_and_values_do_not_depend_on_how_cerebro_runs(case, runonce, preload, exactbars, live):
    bars, agent, guidance, decisions, account = case
    cerebro = bt.Cerebro(runonce=runonce, preload=preload, exactbars=exactbars)
    feed = (LiveBars if live else BarsData)(dataname=bars)
    ran, values = run({"a": feed}, LLMGuidedDQN, cerebro=cerebro, model=agent, guidance=guidance)
    assert decisions_of(ran).tolist() == decisions.tolist()
    np.testing.assert_allclose(values["value"], account["value"], rtol=1e-12)
    assert values["shares"].tolist() == account["shares"].tolist()
    assert [decided.date for decided in ran.decision_log] == bars.index[30:].to_pydatetime().tolist()
    as_run = Way(runonce, preload, exactbars, live).as_run()
    assert (cerebro._dopreload, cerebro._dopreload and cerebro._dorunonce) == (as_run.preload, as_run.runonce)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}, {"exactbars": -2}])
def test_weights_and_values_do_not_depend_on_how_cerebro_runs(make_bars, mode, live):
    bars = make_bars(110, 4)
    known = bars["close"].shift(1)
    weights = (10.0 * (known / known.shift(5) - 1.0)).clip(-1.0, 1.0)[30:]
    feed = (LiveBars if live else BarsData)(dataname=bars)
    ran, values = run({"a": feed}, Momentum, cerebro=bt.Cerebro(**mode))
    np.testing.assert_allclose(decisions_of(ran), weights, rtol=1e-12, atol=1e-14)
    account = simulate(bars, weights=weights, cost=COST)
    np.testing.assert_allclose(values["value"], account["value"], rtol=1e-12)
    assert values["shares"].tolist() == account["shares"].tolist()


@pytest.mark.parametrize(("lookback", "smoothing"), [(30, 0), (30, 1), (12, 5), (12, 20), (2, 3)])
@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}, {"runonce": False}])
def test_any_lookback_and_smoothing_sees_the_same_bars_in_every_mode(make_bars, make_agent, lookback, smoothing, mode):
    bars = make_bars(80, 8)
    agent = make_agent(bars, lookback=lookback, smoothing=smoothing)
    ran, _ = run({"a": BarsData(dataname=bars)}, DQN, cerebro=bt.Cerebro(**mode), model=agent, start=1)
    assert decisions_of(ran).tolist() == agent.decide(bars).tolist()


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": 1}, {"exactbars": -2}, {"preload": False}])
@pytest.mark.parametrize("position", [0, 1])
def test_another_feed_changes_nothing(case, make_bars, mode, position):
    bars, agent, guidance, decisions, account = case
    if mode.get("exactbars") == 1:
        # Backtrader's own indicators fail in this mode when feeds have different days (islice of a negative index).
        other = make_bars(len(bars), 9)
    else:
        # Trades on other days too, not on all of ours, begins later and goes on for longer.
        other = make_bars(200, 9)
        other.index = pd.date_range(bars.index[50], periods=200, freq="36h", name="date").normalize()
    feeds = {"other": BarsData(dataname=other), "ours": BarsData(dataname=bars)}
    if position == 0:
        feeds = dict(reversed(feeds.items()))
    ran, values = run(feeds, LLMGuidedDQN, cerebro=bt.Cerebro(**mode), feed="ours", model=agent, guidance=guidance)
    assert decisions_of(ran).tolist() == decisions.tolist()
    np.testing.assert_allclose(values["value"], account["value"], rtol=1e-12)
    assert values.index.equals(bars.index)


def weekly(bars):
    """The bars that Backtrader's resampler makes of weeks: dated by their last day."""
    weeks = bars.groupby([bars.index.isocalendar().year, bars.index.isocalendar().week])
    frame = weeks.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    frame.index = pd.DatetimeIndex(weeks.apply(lambda week: week.index[-1]), name="date")
    return frame


@pytest.fixture(scope="module")
def weeks(make_bars, make_agent, make_guidance):
    days = make_bars(5 * 70, 5).drop(pd.bdate_range("2018-02-01", periods=3))
    bars = weekly(days)
    guidance = make_guidance(bars, every=5)
    agent = make_agent(bars, guidance.tau(bars.index))
    return days, bars, agent, guidance


MODES = [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}, {"exactbars": -1}]


@pytest.mark.parametrize("mode", MODES)
def test_a_resampled_feed_gives_what_bars_resampled_before_give(weeks, mode):
    days, bars, agent, guidance = weeks
    cerebro = bt.Cerebro(**mode)
    cerebro.resampledata(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks, name="weeks")
    ran, values = run({}, LLMGuidedDQN, cerebro=cerebro, model=agent, guidance=guidance)
    expected = agent.decide(bars, guidance.tau(bars.index))
    assert decisions_of(ran).tolist() == expected.tolist()
    np.testing.assert_allclose(values["value"], simulate(bars, expected, cost=COST)["value"], rtol=1e-12)
    assert values.index.equals(bars.index)


@pytest.mark.parametrize("mode", MODES)
def test_weeks_can_be_traded_beside_the_days_that_they_are_made_of(weeks, mode):
    days, bars, agent, guidance = weeks
    cerebro = bt.Cerebro(**mode)
    daily = BarsData(dataname=days)
    cerebro.adddata(daily, name="days")
    cerebro.resampledata(daily, timeframe=bt.TimeFrame.Weeks, name="weeks")
    ran, _ = run({}, LLMGuidedDQN, cerebro=cerebro, feed="weeks", model=agent, guidance=guidance)
    # Without preloading a resampled bar arrives with the first day after it; the last week may never arrive.
    expected = agent.decide(bars, guidance.tau(bars.index))[: len(ran.decision_log)]
    assert len(ran.decision_log) >= len(bars) - 31
    assert decisions_of(ran).tolist() == expected.tolist()


@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}, {"exactbars": -2}])
def test_a_replayed_bar_is_acted_on_once_at_its_first_tick_from_complete_bars(weeks, make_agent, mode):
    days, bars, _, _ = weeks
    agent = make_agent(bars)
    cerebro = bt.Cerebro(**mode)
    cerebro.replaydata(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks)
    ran, values = run({}, DQN, cerebro=cerebro, model=agent)
    # The weeks before this one are complete, so the Q-values are those of resampled weeks ...
    assert decisions_of(ran).tolist() == agent.decide(bars).tolist()
    # ... and the price is that of the week's first day.
    first_days = days.groupby([days.index.isocalendar().year, days.index.isocalendar().week])["close"]
    acted = [decided.date for decided in ran.decision_log]
    assert acted == first_days.apply(lambda week: week.index[0]).tolist()[30:]
    assert values.index.equals(bars.index)


class GuidanceOnly(LLMOnly):
    """Keeps what it saw."""

    def start(self):
        super().start()
        self.seen = []

    def decide(self):
        self.seen.append((self.traded.datetime.date(0), self.guidance.lines.tau[0]))
        return super().decide()


def test_guidance_under_replay_is_that_of_the_day_of_acting(weeks):
    days, _, _, guidance = weeks
    cerebro = bt.Cerebro()
    cerebro.replaydata(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks)
    ran, _ = run({}, GuidanceOnly, cerebro=cerebro, guidance=guidance)
    dates = pd.DatetimeIndex([date for date, _ in ran.seen])
    assert [tau for _, tau in ran.seen] == guidance.tau(dates).tolist()
    assert len(set(guidance.tau(dates))) > 4


class CountsBars(AccountStrategy):
    """A user's subclass with a slow indicator of its own."""

    def __init__(self):
        super().__init__()
        self.slow = bt.ind.SMA(self.traded, period=45)
        self.averages = []

    def decide(self):
        self.averages.append(self.slow[0])
        return int(self.traded.close[0] > self.slow[0])


def test_a_subclass_waits_for_its_own_indicators_and_for_no_other_feed(make_bars):
    ours, late = make_bars(90, 1), make_bars(30, 2)
    late.index = late.index + (ours.index[70] - late.index[0])
    ran, _ = run({"ours": BarsData(dataname=ours), "late": BarsData(dataname=late)}, CountsBars)
    assert len(ran.decision_log) == 90 - 44
    assert ran.averages == pytest.approx(ours["close"].rolling(45).mean().dropna().tolist())
