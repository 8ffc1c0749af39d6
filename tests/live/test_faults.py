"""Lost connections, lost acknowledgments, bars that come twice, late or broken, fills in parts, feeds that stream."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import backtrader as bt
import numpy as np
import pytest
from live_market import Eager, Faulty, executed, made_bars, running, trade

from llmguide.backtest import BarsData
from llmguide.errors import LlmguideError
from llmguide.live import Journal, Limits, attach, settle, status
from llmguide.live.paper_exchange import PaperExchange
from llmguide.live.paper_store import PaperBroker, PaperStore

BARS = made_bars(24, seed=4)


@pytest.fixture(scope="module")
def faultless(tmp_path_factory):
    market = PaperExchange({"X": BARS}, history=3, share=0.6)
    with running(market) as port:
        ran, _ = trade(port, tmp_path_factory.mktemp("faultless") / "journal")
    return market, ran


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_lost_requests_and_answers_and_repeated_bars_change_nothing(folder, faultless, seed):
    whole, undisturbed = faultless
    market, faults = PaperExchange({"X": BARS}, history=3, share=0.6), Faulty(seed, often=0.15)
    with running(market, faults) as port:
        ran, _ = trade(port, folder / "journal")
    assert min(faults.made[kind] for kind in ("lost request", "lost answer", "repeated")) > 0
    assert executed(market) == executed(whole)
    assert (market.cash, market.positions) == (whole.cash, whole.positions)
    assert ran.decision_log == undisturbed.decision_log


def test_an_order_whose_acknowledgment_was_lost_is_found_by_its_name_and_not_sent_again(folder, faultless):
    whole, _ = faultless
    sends, lost = [], []

    def lose(request, answer):
        told = answer()
        if request["do"] == "send":
            sends.append(request["id"])
            if len(lost) < 3:
                lost.append(request["id"])
                return None
        return told

    market = PaperExchange({"X": BARS}, history=3, share=0.6)
    with running(market, lose) as port:
        trade(port, folder / "journal")
    assert len(lost) == 3
    assert len(sends) == len(set(sends))
    assert executed(market) == executed(whole)


@pytest.mark.slow
def test_an_order_that_never_arrived_is_given_up_once_its_bar_is_over_and_is_not_taken_late(folder):
    def deaf(request, answer):
        return None if request["do"] in ("send", "find") and market.told_now() < market.deaf_until else answer()

    market = PaperExchange({"X": BARS}, history=3)
    market.told_now = lambda: market._times[market._at]
    market.deaf_until, notes = market._times[9], []
    with running(market, deaf) as port:
        trade(port, folder / "journal", Eager, notes=notes)
        told = status(folder / "journal", notes=99)
        lost = [note.text.split()[0] for note in told.notes if "never reached the broker" in note.text]
        assert lost
        store = PaperStore(port=port)
        late = store.ask(do="send", id=lost[0], symbol="X", size=10.0, kind="market", price=None, valid=None)
        assert late["order"]["status"] == "canceled"
        store.stop()
    assert told.unknown == []
    assert any(note.startswith("it is not known whether lg-") for note in notes)
    assert any("it is not known whether" in note and note.startswith("refused") for note in notes)
    filled = {order[0] for order in executed(market)}
    assert filled
    assert not filled & set(lost)


def test_what_a_broker_that_knows_no_names_did_with_an_order_a_person_must_say(folder, monkeypatch):
    monkeypatch.setattr(PaperBroker, "knows_client_ids", False)
    market, lost, notes = PaperExchange({"X": BARS}, history=3), [], []

    def lose_one(request, answer):
        told = answer()
        if request["do"] == "send" and not lost:
            lost.append(request["id"])
            return None
        return told

    with running(market, lose_one) as port:
        trade(port, folder / "journal", Eager, notes=notes)
    (unheard,) = status(folder / "journal").unknown
    assert len(market.orders) == 1  # nothing was sent after it
    (order,) = market.orders.values()
    assert any(note.startswith("refused: Eager: ") and unheard.id in note for note in notes)
    with pytest.raises(Exception, match="sent no order 'lg-1'"):
        settle(folder / "journal", "lg-1")
    with pytest.raises(Exception, match="give the price"):
        settle(folder / "journal", unheard.id, filled=3)
    settle(folder / "journal", unheard.id, filled=order.filled, price=order.mean, fee=order.fee)
    with pytest.raises(Exception, match=r".* is already settled: filled"):
        settle(folder / "journal", unheard.id)
    assert status(folder / "journal").unknown == []
    assert status(folder / "journal").positions == {"X": order.filled}


class Scripted(BarsData):
    """Brings rows in the order of a script."""

    params = (("script", None),)

    def islive(self):
        return True

    def start(self):
        super().start()
        self._rows = iter(self.p.script)

    def _load(self):
        row = next(self._rows, False)
        if not row:
            return row
        lines = self.lines
        stamp, lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = row
        lines.datetime[0], lines.openinterest[0] = bt.date2num(stamp), float("nan")
        return True


class Keeps(bt.Strategy):
    def __init__(self):
        self.seen = []

    def next(self):
        self.seen.append((self.data.datetime.datetime(0), self.data.close[0]))


def watch(folder, script, *, timeframe=bt.TimeFrame.Days, name="journal"):
    cerebro, notes = bt.Cerebro(stdstats=False), []
    cerebro.adddata(Scripted(dataname=BARS, script=script, timeframe=timeframe), name="X")
    cerebro.addstrategy(Keeps)
    attach(cerebro, journal=folder / name, on_note=notes.append)
    (ran,) = cerebro.run()
    return ran.seen, notes


def row(day, close=10.0, **changed):
    values = {"open": close, "high": close, "low": close, "close": close, "volume": 1.0} | changed
    return (datetime(2024, 1, 1) + timedelta(days=day), *values.values())


def test_bars_are_seen_once_in_order_and_whole(folder):
    script = [row(0), row(1, 11.0), None, row(1, 11.0), row(3, 12.0), row(2, 99.0), row(3, 12.5)]
    script += [row(4, float("nan")), row(4, 13.0, low=0.0), row(4, 14.0), row(9, 15.0)]
    seen, notes = watch(folder, script)
    assert [(stamp.day, close) for stamp, close in seen] == [(1, 10.0), (2, 11.0), (4, 12.0), (5, 14.0), (10, 15.0)]
    told = "\n".join(notes)
    assert notes[0] == "X: no bar on 1 weekdays between 2024-01-02 00:00:00 and 2024-01-04 00:00:00"
    assert "the bar of 2024-01-03 00:00:00 came after that of 2024-01-04 00:00:00 and is left out" in told
    assert "brings the bar of 2024-01-04 00:00:00 a second time with other values" in told
    assert "the bar of 2024-01-05 00:00:00 is left out, its open, high, low, close is no price above 0" in told
    assert "its low is no price above 0" in told
    assert "no bar on 2 weekdays between 2024-01-05 00:00:00 and 2024-01-10" in told
    assert len(notes) == 6


def test_a_feed_that_brings_its_history_again_after_a_restart_is_heard_from_where_it_was(folder):
    script = [row(day, 10.0 + day) for day in (7, 8, 9, 10, 11)]
    first, _ = watch(folder, script[:3])
    again, notes = watch(folder, [row(4), *script])
    assert first == again[:3]
    assert [stamp.day for stamp, _ in again] == [8, 9, 10, 11, 12]
    assert notes == []


def test_bars_that_are_missing_within_a_day_are_told(folder):
    stamps = [datetime(2024, 1, 2, 10, minute) for minute in (0, 1, 4)] + [datetime(2024, 1, 3, 9, 30)]
    script = [(stamp, 1.0, 1.0, 1.0, 1.0, 1.0) for stamp in stamps]
    seen, notes = watch(folder, script, timeframe=bt.TimeFrame.Minutes)
    assert len(seen) == 4
    assert notes == ["X: 2 bars are missing between 2024-01-02 10:01:00 and 2024-01-02 10:04:00"]


class Listens(bt.Strategy):
    """Buys ten shares on its second live bar; keeps what it is told."""

    def __init__(self):
        self.feed_says, self.orders, self.stamps, self.live = [], [], [], 0

    def notify_data(self, data, status, *args, **kwargs):
        self.feed_says.append(data._getstatusname(status))

    def notify_order(self, order):
        self.orders.append((order.getstatusname(), order.executed.size))

    def next(self):
        self.stamps.append(self.data.datetime.date(0))
        self.live += self.data._laststatus == self.data.LIVE
        if self.live == 2:
            self.live += 1
            self.buy(size=10)


def test_a_market_that_does_not_wait_streams_its_bars_and_a_line_that_breaks_is_set_up_again(folder):
    broken = []

    def breaks(request, answer):
        if request["do"] == "bars" and (market._at or 0) > 12 and len(broken) < 5:
            broken.append(time.monotonic())
            return None
        return answer()

    market = PaperExchange({"X": BARS}, history=6, interval=0.1)
    with running(market, breaks) as port:
        ran, _ = trade(port, folder / "journal", Listens)
    assert ran.stamps == [stamp.date() for stamp in BARS.index]
    assert ran.feed_says[:2] == ["DELAYED", "LIVE"]
    at = ran.feed_says.index("DISCONNECTED")
    assert ran.feed_says[at - 1 : at + 2] == ["LIVE", "DISCONNECTED", "DELAYED"]
    assert ran.feed_says[-1] == "LIVE"
    assert [status for status, _ in ran.orders] == ["Submitted", "Accepted", "Completed"]
    assert ran.position.size == 10 == market.positions["X"][0]


def test_a_fill_in_parts_is_told_in_parts_and_the_rest_is_cancelled(folder):
    class BuysMuch(Listens):
        def next(self):
            self.stamps.append(self.data.datetime.date(0))
            if len(self) == 5:
                self.order = self.buy(size=int(BARS.volume.iloc[5:7].sum() * 0.5) + 500)
            if len(self) == 7:
                self.cancel(self.order)

    market = PaperExchange({"X": BARS}, history=3, share=0.5)
    with running(market) as port:
        ran, _ = trade(port, folder / "journal", BuysMuch, limits=Limits(leverage=None))
    parts = [np.floor(0.5 * volume) for volume in BARS.volume.iloc[5:7]]
    assert ran.orders == [
        ("Submitted", 0),
        ("Accepted", 0),
        ("Partial", parts[0]),
        ("Partial", sum(parts)),
        ("Canceled", sum(parts)),
    ]
    assert market.positions["X"][0] == sum(parts) == ran.position.size
    mean = np.average(BARS.open.iloc[5:7], weights=parts)
    assert ran.position.price == pytest.approx(mean, rel=1e-12)
    assert market.cash == pytest.approx(100_000.0 - 1.001 * mean * sum(parts), rel=1e-12)


def test_a_market_that_is_away_for_a_while_holds_orders_back(folder):
    def away(request, answer):
        return None if request["do"] == "account" and market._at in (10, 11) else answer()

    market, notes = PaperExchange({"X": BARS}, history=3), []
    with running(market, away) as port:
        trade(port, folder / "journal", Eager, notes=notes)
    assert [note for note in notes if note.startswith("the broker cannot be reached")]
    assert any(note.startswith("refused") and "the broker cannot be reached" in note for note in notes)
    days = {str(order[0])[3:11] for order in executed(market)}
    assert not days & {f"{BARS.index[at]:%Y%m%d}" for at in (10, 11)}
    assert max(days) > f"{BARS.index[12]:%Y%m%d}"


def test_a_market_that_was_never_there_is_named(folder):
    with pytest.raises(LlmguideError, match="must be reachable when a journal is created: the exchange on port 1"):
        trade(1, folder / "journal", prepare=lambda cerebro, guard: cerebro.adddata(BarsData(dataname=BARS), name="Y"))


def test_positions_that_somebody_else_changed_hold_orders_back_until_they_agree(folder):
    def meddle(request, answer):
        told = answer()
        if request["do"] == "account" and 10 <= market._at <= 12:
            told = {**told, "positions": {"X": [777.0, 50.0]}}
        return told

    market, notes = PaperExchange({"X": BARS}, history=3), []
    with running(market, meddle) as port:
        trade(port, folder / "journal", Eager, notes=notes)
    differ = [note for note in notes if note.startswith("positions differ")]
    assert differ
    assert "777 by its account; no orders until they agree" in differ[0]
    days = {str(order[0])[3:11] for order in executed(market)}
    assert not days & {f"{BARS.index[at]:%Y%m%d}" for at in (10, 11, 12)}


def test_shares_that_the_account_has_already_are_taken_over(folder):
    market, notes = PaperExchange({"X": BARS}, history=3), []
    market.positions["X"] = [100.0, 40.0]
    for _ in range(2):
        with running(market) as port:
            ran, _ = trade(port, folder / "journal", Listens, notes=notes)
        assert ran.position.size == 110
        assert market.positions["X"][0] == 110
    assert notes == ["the account holds 100 X at the start: they are the strategy's from now on"]


@pytest.mark.slow
def test_two_traders_cannot_use_one_journal(folder):
    import subprocess
    import sys

    journal = folder / "journal"
    Journal(journal).close()
    hold = "import sys; from pathlib import Path; from llmguide.live.sending import journal_lock; "
    hold += "lock = journal_lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(journal)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with running(PaperExchange({"X": BARS})) as port, pytest.raises(Exception, match=rf"number {other.pid} on"):
            trade(port, journal)
        other.kill()


def test_the_exchange_takes_requests_at_the_same_time():
    market = PaperExchange({"X": BARS})

    def send(number):
        market.handle(
            {
                "do": "send",
                "id": f"o{number % 50}",
                "symbol": "X",
                "size": 1.0,
                "kind": "market",
                "price": None,
                "valid": None,
            }
        )

    threads = [threading.Thread(target=send, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    market.handle({"do": "bars", "symbol": "X", "after": market._times[0]})
    assert market.positions["X"][0] == 50.0


def test_the_store_is_one_of_backtraders_also_without_a_guard(faultless):
    _, guarded = faultless
    market = PaperExchange({"X": BARS}, history=1, share=0.6)
    with running(market) as port:
        store = PaperStore(port=port)
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.broker = store.getbroker()
        cerebro.broker.setcommission(commission=0.001)
        cerebro.adddata(store.getdata(dataname="X", qcheck=0.005), name="X")
        cerebro.addstrategy(type(guarded))
        (ran,) = cerebro.run()
        store.stop()
    assert ran.position.size == market.positions["X"][0] != 0.0
    assert ran.broker.getvalue() == pytest.approx(market.cash + ran.position.size * BARS.close.iloc[-1], rel=1e-12)
    assert len(executed(market)) > 5
