"""A dry run is the backtest of Backtrader's own broker, one bar at a time; and so is one that was restarted."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from live_market import made_bars
from text_policy import TextPolicy

from llmguide.backtest import BarsData, OrderLog, SharpeDrawdown
from llmguide.errors import JournalError, LlmguideError
from llmguide.guidance import Guidance
from llmguide.live import Limits, attach, remembered, status
from llmguide.mixture import FollowProvider, Prior
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.states.text import read_state_template
from llmguide.strategies import DQN, FlagTrader, LLMOnly, MixtureOfExperts, SizedStrategy, TrendFollowing

BARS = made_bars(70, seed=8)


class Arriving(BarsData):
    """Bars that arrive one by one, until the day of one of `BARS`."""

    params = (("until", None),)

    def islive(self):
        return True

    def _load(self):
        loaded = super()._load()
        return loaded and (self.p.until is None or self.datetime.date(0) <= BARS.index[self.p.until - 1].date())


class Momentum(SizedStrategy):
    """A user's own, with indicators of Backtrader."""

    params = (("start", 6),)

    def __init__(self):
        super().__init__()
        self.change = bt.ind.PctChange(self.traded.close(-1), period=5)

    def decide(self):
        return max(-1.0, min(1.0, 20.0 * self.change[0]))


class WithNotes(bt.Strategy):
    """A user's own that knows nothing of llmguide: limit and stop orders, and what it was told of them."""

    def __init__(self):
        self.mean = bt.ind.SMA(period=4)
        self.told, self.trades, self.order = [], [], None

    def notify_order(self, order):
        self.told.append((len(self), order.getstatusname(), order.executed.size, round(order.executed.price, 9)))
        if not order.alive():
            self.order = None

    def notify_trade(self, trade):
        self.trades.append((len(self), trade.size, round(trade.pnl, 6), round(trade.pnlcomm, 6)))

    def next(self):
        if self.order is not None:
            if len(self) % 7 == 0:
                self.cancel(self.order)
            return
        close = self.data.close[0]
        if not self.position:
            self.order = self.buy(size=100, exectype=bt.Order.Limit, price=close * 0.995, valid=self._in_days(4))
        elif close < self.mean[0]:
            self.order = self.sell(size=150, exectype=bt.Order.Stop, price=close * 0.99)
        elif self.position.size < 0:
            self.order = self.close()

    def _in_days(self, days):
        return self.data.datetime.date(0) + pd.Timedelta(days=days)


def asked(known, issued_at):
    return {"issued_at": issued_at, "direction": int(known["close"].sum() * 100) % 2, "confidence": 2}


STRATEGIES = {
    "trend": (TrendFollowing, {"short": 2, "long": 6, "start": 7}),
    "sized": (Momentum, {}),
    "user's own": (WithNotes, {}),
    "guided live": (LLMOnly, {"provider": asked, "history": made_bars(60, seed=1, start="2023-06-01"), "start": 3}),
    "mixture": (
        MixtureOfExperts,
        {
            "experts": {"hold": "hold", "asked": FollowProvider(asked, prior=Prior(0.05, 100))},
            "history": made_bars(90, seed=2, start="2023-06-01"),
            "start": 2,
        },
    ),
}


def run(strategy, params, *, journal=None, until=None, notes=None, limits=None, **options):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Arriving(dataname=BARS, until=until), name="X")
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    cerebro.addstrategy(strategy, **params)
    for analyzer in (OrderLog, SharpeDrawdown):
        cerebro.addanalyzer(analyzer)
    if journal is not None:
        attach(
            cerebro,
            journal=journal,
            clock=lambda: datetime(2024, 1, 1),
            limits=limits or Limits(leverage=None, orders_per_day=999),
            on_note=[].append if notes is None else notes.append,
            **options,
        )
    (ran,) = cerebro.run()
    return ran


def lived(ran):
    """All that a strategy has done and been told."""
    account = ran.analyzers.sharpedrawdown.account
    own = [getattr(ran, name, None) for name in ("decision_log", "told", "trades")]
    return account["value"].to_numpy(), [*own, repr(getattr(ran, "weight_log", None))]


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_dry_run_decides_trades_and_tells_what_a_backtest_does(folder, name):
    value, logs = lived(run(*STRATEGIES[name]))
    dry_value, dry_logs = lived(run(*STRATEGIES[name], journal=folder / "journal"))
    np.testing.assert_allclose(dry_value, value, rtol=1e-12)
    assert np.ptp(value) > 0.0
    assert dry_logs == logs


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_that_is_stopped_and_started_again_is_the_one_that_was_not(folder, name):
    whole = run(*STRATEGIES[name], journal=folder / "whole")
    for until in (30, 31, 55):
        run(*STRATEGIES[name], journal=folder / "journal", until=until)
    again = run(*STRATEGIES[name], journal=folder / "journal")
    assert lived(again)[0].tolist() == lived(whole)[0].tolist()
    assert lived(again)[1] == lived(whole)[1]
    assert status(folder / "journal").sent == status(folder / "whole").sent >= 2


def test_the_account_that_a_policy_read_comes_back(folder):
    policy = TrainedPolicy(TextPolicy(3), FlagConfig(), read_state_template("flag"), 3, {})
    params = {"model": policy, "start": 20}
    whole = run(FlagTrader, params, journal=folder / "whole")
    for until in (25, 26, 50):
        run(FlagTrader, params, journal=folder / "journal", until=until)
    again = run(FlagTrader, params, journal=folder / "journal")
    assert again.action_log == whole.action_log
    assert {acted.action for acted in again.action_log} > {"hold"}


def test_an_agent_and_its_state_come_back(folder, random_agent):
    agent = random_agent(BARS, guided=False, seed=2)
    whole = run(DQN, {"model": agent}, journal=folder / "whole")
    run(DQN, {"model": agent}, journal=folder / "journal", until=50)
    again = run(DQN, {"model": agent}, journal=folder / "journal")
    assert again.decision_log == whole.decision_log
    assert again.side == whole.side


def test_a_function_is_asked_once_for_each_date_over_all_restarts(folder):
    questions = []

    def counting(known, issued_at):
        questions.append(issued_at)
        return asked(known, issued_at)

    strategy, params = STRATEGIES["guided live"]
    for until in (30, 40, None):
        again = run(
            strategy,
            {**params, "provider": remembered(counting, folder / "journal")},
            journal=folder / "journal",
            until=until,
        )
    assert len(questions) == len(set(questions)) > 3
    assert again.guidance.table == run(strategy, params).guidance.table


def test_an_answer_is_kept_for_its_bars_alone(folder):
    ask = remembered(asked, folder / "journal")
    for bars in (BARS.iloc[:9], BARS.iloc[:12], BARS.iloc[:9] * 1.01):
        assert ask(bars, datetime(2024, 3, 1)) == asked(bars, datetime(2024, 3, 1))
    again = remembered(lambda known, issued_at: pytest.fail("asked again"), folder / "journal")
    assert again(BARS.iloc[:9], datetime(2024, 3, 1)) == asked(BARS.iloc[:9], datetime(2024, 3, 1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"short": 3, "long": 9}, r"on the bar of X 2024-01-\d\d .* departs from .*journal: .*(now wants|the journal)"),
        ({"short": 2, "long": 6, "start": 20}, "the journal has TrendFollowing: "),
    ],
)
def test_a_strategy_that_would_now_decide_otherwise_is_stopped_at_that_bar(folder, changed, message):
    strategy, params = STRATEGIES["trend"]
    run(strategy, params, journal=folder / "journal", until=40)
    sent = status(folder / "journal").sent
    with pytest.raises(JournalError, match=message):
        run(strategy, {**params, **changed}, journal=folder / "journal")
    assert status(folder / "journal").sent == sent


def test_later_bars_change_no_order_before_them(folder):
    strategy, params = STRATEGIES["sized"]
    whole = run(strategy, params, journal=folder / "whole")
    for cut in (12, 33, 60):
        run(strategy, params, journal=folder / f"cut {cut}", until=cut)
        ran = run(strategy, params, until=cut)
        assert whole.decision_log[: len(ran.decision_log)] == ran.decision_log


def test_two_feeds_and_two_strategies_come_back_too(folder):
    def both(journal, until):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(Arriving(dataname=BARS.iloc[::2], until=until), name="Y")
        cerebro.adddata(Arriving(dataname=BARS, until=until), name="X")
        cerebro.broker.setcommission(commission=0.001)
        for feed in ("X", "Y"):
            cerebro.addstrategy(Momentum, feed=feed, max_leverage=0.3)
        attach(cerebro, journal=journal, clock=lambda: datetime(2024, 1, 1), limits=Limits(orders_per_day=999))
        return [ran.decision_log for ran in cerebro.run()]

    whole = both(folder / "whole", None)
    for until in (11, 20, 30):
        both(folder / "journal", until)
    assert both(folder / "journal", None) == whole
    assert len(whole[1]) > 20


def test_the_commission_is_that_of_the_broker_behind_also_where_it_is_set_late(folder):
    class Looks(bt.Strategy):
        def next(self):
            self.seen = self.broker.get_cash(), self.broker.get_value(), self.broker.getvalue([self.data])
            if len(self) == 1:
                self.buy(size=10)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Arriving(dataname=BARS, until=2), name="X")
    cerebro.addstrategy(Looks)
    attach(cerebro, journal=folder / "journal", clock=lambda: datetime(2024, 1, 1), cash=5_000.0)
    cerebro.broker.setcommission(commission=0.01)
    (ran,) = cerebro.run()
    paid, worth = 10 * BARS.open.iloc[1] * 1.01, 10 * BARS.close.iloc[1]
    assert ran.seen == pytest.approx((5_000.0 - paid, 5_000.0 - paid + worth, worth), rel=1e-12)


def test_what_cannot_run_live_is_refused_with_the_reason(folder):
    def cerebro():
        made = bt.Cerebro(stdstats=False)
        made.adddata(Arriving(dataname=BARS), name="X")
        made.addstrategy(WithNotes)
        return made

    with pytest.raises(LlmguideError, match="only simulates"):
        attach(cerebro(), journal=folder / "a", dry_run=False)
    twice = cerebro()
    attach(twice, journal=folder / "a")
    with pytest.raises(LlmguideError, match="has a guard already"):
        attach(twice, journal=folder / "a")
    twice.broker = bt.brokers.BackBroker()
    with pytest.raises(LlmguideError, match=r"call attach\(\) last"):
        twice.run()
    two = cerebro()
    two.adddata(Arriving(dataname=BARS), name="X")
    attach(two, journal=folder / "b")
    with pytest.raises(LlmguideError, match="a name of its own"):
        two.run()
    assert folder / "b" not in {path.resolve() for path in Path("/proc/self/fd").glob("*")}, "left open"
    run(WithNotes, {}, journal=folder / "c", until=5)
    with pytest.raises(JournalError, match="was created with account='', and it is now 'other'"):
        run(WithNotes, {}, journal=folder / "c", account="other")
    (folder / "text").write_text("no journal " * 200, encoding="utf-8")
    with pytest.raises(JournalError, match="is not a journal"):
        run(WithNotes, {}, journal=folder / "text")


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"exectype": bt.Order.StopTrail, "trailamount": 1.0}, "trailamount= is not supported live"),
        ({"exectype": bt.Order.Close}, "orders of the type Close are not supported live"),
        ({"exectype": bt.Order.Limit}, "a limit order needs price="),
        ({"transmit": False}, "every order is sent at once"),
    ],
)
def test_orders_that_cannot_be_sent_one_by_one_are_refused_at_once(folder, order, message):
    class Buys(bt.Strategy):
        def next(self):
            self.buy(size=1, **order)

    with pytest.raises(LlmguideError, match=message):
        run(Buys, {}, journal=folder / "journal")
    assert status(folder / "journal").sent == 0


def test_the_guidance_that_was_in_force_is_part_of_what_comes_back(folder):
    strategy, params = STRATEGIES["guided live"]
    run(strategy, params, journal=folder / "journal", until=40)
    again = run(strategy, params, journal=folder / "journal")
    whole = run(strategy, params)
    assert isinstance(again.guidance.table, Guidance)
    assert again.guidance.table == whole.guidance.table


def test_a_resampled_feed_comes_back_with_the_bars_that_were_traded(folder):
    minutes = made_bars(240, seed=5)
    minutes.index = pd.date_range("2024-01-02 10:00", periods=240, freq="min", name="date")

    class Minutes(Arriving):
        def _load(self):
            loaded = BarsData._load(self)
            return loaded and (self.p.until is None or self.datetime.datetime(0) <= minutes.index[self.p.until - 1])

    def resampled(journal, until=None):
        cerebro = bt.Cerebro(stdstats=False)
        feed = Minutes(dataname=minutes, until=until, timeframe=bt.TimeFrame.Minutes, sessionend=None)
        cerebro.resampledata(feed, name="X", timeframe=bt.TimeFrame.Minutes, compression=5)
        cerebro.broker.setcommission(commission=0.001)
        cerebro.addstrategy(Momentum)
        if journal is not None:
            attach(cerebro, journal=journal, clock=lambda: datetime(2024, 1, 1), limits=Limits(orders_per_day=999))
        (ran,) = cerebro.run()
        return ran.decision_log

    whole = resampled(folder / "whole")
    assert whole == resampled(None)[: len(whole)]
    assert len(whole) > 35
    for until in (50, 123, 200):
        resampled(folder / "journal", until)
    assert resampled(folder / "journal") == whole
