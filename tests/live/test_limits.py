"""Limits and the kill switch: what is refused, why, and who may go on."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace

import backtrader as bt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_market import Eager, executed, made_bars, running, trade

from llmguide.errors import JournalError, LlmguideError
from llmguide.live import Journal, Limits, kill, reset, status
from llmguide.live.limits import Exposure, fresh_until
from llmguide.live.paper_exchange import PaperExchange

BARS = made_bars(20, seed=6)
MONEY = st.floats(-1e6, 1e6)


def feed(stamp, timeframe=bt.TimeFrame.Days, compression=1):
    lines = SimpleNamespace(datetime=[bt.date2num(stamp)])
    return SimpleNamespace(lines=lines, _timeframe=timeframe, _compression=compression)


@pytest.mark.parametrize(
    ("exposure", "sent", "says"),
    [
        (Exposure(0.0, 900.0, 0.0, 1000.0), 4, ""),
        (Exposure(0.0, 900.0, 0.0, 1000.0), 5, "5 orders today, and orders_per_day is 5"),
        (Exposure(0.0, 901.0, 0.0, 1000.0), 0, "the position would be worth 901.00; position_value is 900"),
        (Exposure(0.0, -901.0, 0.0, 1000.0), 0, "position_value is 900"),
        (Exposure(0.0, 800.0, 900.0, 1000.0), 0, "all positions would be worth 1,700.00, the account 1,000.00"),
        (Exposure(2000.0, 1500.0, 900.0, 1000.0), 0, ""),  # smaller than before
        (Exposure(-2000.0, 0.0, 900.0, 1000.0), 0, ""),
        (Exposure(800.0, -950.0, 0.0, 1000.0), 0, "position_value is 900"),  # a flip is no reduction
        (Exposure(800.0, -800.0, 0.0, 500.0), 0, "leverage is 1.5"),
    ],
)
def test_limits_by_hand(exposure, sent, says):
    limits = Limits(orders_per_day=5, position_value=900.0, leverage=1.5)
    told = limits.refuses(exposure, sent_today=sent)
    assert says in told
    assert bool(says) == bool(told)


@given(before=MONEY, after=MONEY, others=st.floats(0.0, 1e6), account=st.floats(1.0, 1e6), sent=st.integers(0, 9))
def test_what_passes_is_within_the_limits_or_makes_a_position_smaller(before, after, others, account, sent):
    limits = Limits(orders_per_day=5, position_value=5e5, leverage=2.0)
    if limits.refuses(Exposure(before, after, others, account), sent_today=sent):
        return
    assert sent < 5
    within = abs(after) <= 5e5 * 1.00001 and abs(after) + others <= 2.00001 * account
    assert within or (abs(after) <= abs(before) and before * after >= 0.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"orders_per_day": 0}, "at least 1"),
        ({"leverage": 0.0}, "expected leverage above 0"),
        ({"position_value": -1.0}, "expected position_value above 0"),
        ({"daily_loss": 5.0}, "5 % is 0.05"),
        ({"on_kill": "sell"}, "'hold' or 'flatten'"),
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(LlmguideError, match=message):
        Limits(**wrong)


def test_a_bar_of_a_day_is_fresh_until_the_end_of_the_next_weekday():
    thursday, friday = datetime(2024, 1, 4), datetime(2024, 1, 5, 22, 0)
    assert fresh_until(feed(thursday), thursday) == datetime(2024, 1, 6)
    assert fresh_until(feed(friday), friday) == datetime(2024, 1, 9)
    assert Limits().too_old(feed(friday), datetime(2024, 1, 8, 23, 59)) == ""
    told = Limits().too_old(feed(friday), datetime(2024, 1, 9))
    assert told == "the bar of 2024-01-05 22:00:00 is old at 2024-01-09 00:00 UTC"


def test_shorter_and_longer_bars_and_an_age_of_ones_own():
    noon = datetime(2024, 1, 4, 12, 0)
    assert fresh_until(feed(noon, bt.TimeFrame.Minutes, 5), noon) == noon + timedelta(minutes=10, seconds=5)
    assert fresh_until(feed(noon, bt.TimeFrame.Weeks), noon) == noon + timedelta(days=11)
    limits = Limits(stale_after=timedelta(hours=3))
    assert limits.too_old(feed(noon), noon + timedelta(hours=2)) == ""
    assert limits.too_old(feed(noon), noon + timedelta(hours=3)) != ""


def live(folder, strategy=Eager, *, limits=None, notes=None, fault=None, market=None, **options):
    market = market or PaperExchange({"X": BARS}, history=3)
    with running(market, fault) as port:
        ran, _ = trade(port, folder / "journal", strategy, limits=limits or Limits(), notes=notes, **options)
    return ran, market


def test_orders_beyond_the_limits_of_a_run_are_refused_told_and_kept(folder):
    class Grows(bt.Strategy):
        def __init__(self):
            self.told = []

        def notify_order(self, order):
            self.told.append(order.getstatusname())

        def next(self):
            if len(self) > 3:
                self.buy(size=10)
                self.buy(size=10)

    price = float(BARS.close.iloc[5])
    notes = []
    ran, market = live(folder, Grows, limits=Limits(position_value=100 * price), notes=notes)
    assert all("position_value is" in note for note in notes[2:])
    assert 60 <= market.positions["X"][0] <= 130
    assert {"Completed", "Rejected"} < set(ran.told)
    told = status(folder / "journal")
    last = 2  # orders of the last bar, of which the next one would tell
    assert (told.sent, told.refused) == (len(market.orders), ran.told.count("Rejected") + last)
    assert len(notes) == told.refused


def test_the_most_orders_of_a_day_hold_over_a_restart_and_are_new_on_the_next_day(folder):
    class Many(bt.Strategy):
        def next(self):
            for _ in range(4):
                self.buy(size=1)

    limits = Limits(orders_per_day=3)
    _, market = live(folder, Many, limits=limits)
    days = [name[3:11] for name in market.orders]
    assert {days.count(day) for day in days} == {3}
    with running(market) as port:
        trade(port, folder / "journal", Many, limits=limits)
    assert [name[3:11] for name in market.orders] == days


def test_old_bars_that_a_feed_fills_in_are_decided_on_but_not_traded(folder):
    notes = []
    _, market = live(folder, notes=notes, market=PaperExchange({"X": BARS}, history=9))
    journal = Journal(folder / "journal")
    assert [intent.refused for intent in journal.intents("refused != ''")] == ["the feed is DELAYED"] * 8
    journal.close()
    assert notes == []
    assert min(market.orders)[3:11] == f"{BARS.index[8]:%Y%m%d}"


@pytest.mark.parametrize("on_kill", ["hold", "flatten"])
def test_the_kill_switch_of_a_run_stops_orders_at_once_and_only_a_person_turns_it_off(folder, on_kill):
    limits, notes = Limits(on_kill=on_kill), []

    def kill_in_the_middle(request, answer):
        if request["do"] == "bars" and market._at == 9 and not (folder / "journal.kill").exists():
            kill(folder / "journal", "the desk says stop")
        return answer()

    class Holds(bt.Strategy):
        """Ten shares from the third bar on, and a limit order that nobody fills."""

        def next(self):
            if len(self) == 3:
                self.buy(size=10)
                self.buy(size=10, exectype=bt.Order.Limit, price=1.0)
            if len(self) > 14:
                self.buy(size=1)

    market = PaperExchange({"X": BARS}, history=3)
    ran, _ = live(folder, Holds, limits=limits, notes=notes, fault=kill_in_the_middle, market=market)
    assert "the kill switch is on: the desk says stop" in notes
    assert status(folder / "journal").killed == "the desk says stop"
    held = 10.0 if on_kill == "hold" else 0.0
    assert (market.positions["X"][0], ran.position.size) == (held, held)
    assert sorted(order.status for order in market.orders.values() if order.price) == ["canceled"]
    assert len(market.orders) == (2 if on_kill == "hold" else 3)
    refused = [note for note in notes if note.startswith("refused: Holds: buy 1")]
    assert len(refused) == 6
    assert all(note.endswith("the kill switch is on: the desk says stop") for note in refused)

    with running(market) as port:  # a restart does not turn it off
        trade(port, folder / "journal", Holds, limits=limits)
    assert status(folder / "journal").killed == "the desk says stop"
    assert len(market.orders) == (2 if on_kill == "hold" else 3)
    with pytest.raises(JournalError, match="say why"):
        reset(folder / "journal", " ")
    reset(folder / "journal", "all clear")
    assert status(folder / "journal").killed == ""
    assert not (folder / "journal.kill").exists()
    with pytest.raises(JournalError, match="is off"):
        reset(folder / "journal", "again")


def test_a_day_that_loses_too_much_turns_the_kill_switch_on_and_flattens(folder):
    class AllIn(bt.Strategy):
        def next(self):
            if not self.position and len(self) > 2:
                self.buy(size=int(0.9 * self.broker.getvalue() / self.data.close[0]))

    crash = BARS.copy()
    crash.iloc[10:, :4] *= 0.8
    notes = []
    limits = Limits(daily_loss=0.1, on_kill="flatten")
    ran, market = live(folder, AllIn, limits=limits, notes=notes, market=PaperExchange({"X": crash}, history=3))
    (why,) = [note for note in notes if note.startswith("the kill switch is on: the account fell from")]
    assert why.endswith("in a day; daily_loss is 0.1")
    assert market.positions["X"][0] == 0.0 == ran.position.size
    sold = [order for order in executed(market) if order[2] < 0.0]
    assert [order[0][3:11] for order in sold] == [f"{crash.index[10]:%Y%m%d}"]
    assert sold[0][5] == pytest.approx(crash.open.iloc[11], rel=1e-12)
    assert len(market.orders) == 2


def test_a_dry_run_has_the_same_limits(folder):
    notes = []
    live(folder, limits=Limits(orders_per_day=1, position_value=1.0), notes=notes, dry_run=True)
    assert any("position_value is 1" in note for note in notes)
    assert status(folder / "journal").dry_run


def test_a_journal_that_is_not_there_cannot_be_stopped_or_read(folder):
    for act in (lambda path: kill(path), lambda path: reset(path, "why"), status):
        with pytest.raises(JournalError, match="there is no journal"):
            act(folder / "none")
    assert list(folder.iterdir()) == []


def test_a_kill_switch_that_was_on_before_the_start_lets_nothing_out(folder):
    Journal(folder / "journal").close()
    (folder / "journal.kill").touch()
    notes = []
    _, market = live(folder, notes=notes)
    assert market.orders == {}
    assert any(note.endswith("journal.kill is there") for note in notes)
