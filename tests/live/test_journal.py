"""The journal against a slow twin in memory, cut off at any point; names of orders; reports in any order."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_market import journal_folder

from llmguide.errors import JournalError
from llmguide.live.fills import fill_price
from llmguide.live.journal import Journal
from llmguide.live.orders import Intent, Report, Wanted, client_id
from llmguide.live.tape import Bar

WANTED = Wanted("S", "X", 10.0, "market", None, None)
STAMP = datetime(2024, 1, 5)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
REPORTS = st.builds(
    Report,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["open", "filled", "canceled", "expired", "rejected"]),
    st.integers(0, 10).map(float),
    NUMBERS,
    NUMBERS,
)


class Cut(BaseException):
    """The process is gone."""


@contextmanager
def cut_off(transaction):
    """A transaction of which all is written when the process goes, and nothing has been kept."""
    with transaction():
        yield
        raise Cut


def acts():
    """What a trader writes, in any order; each act is one transaction."""
    return st.one_of(
        st.tuples(st.just("begin"), st.lists(st.lists(NUMBERS, min_size=3, max_size=3), max_size=3), NUMBERS),
        st.tuples(st.just("finish")),
        st.tuples(st.just("intend"), st.text("abcdef", min_size=1, max_size=2), st.sampled_from(["", "too many"])),
        st.tuples(st.just("hear"), st.lists(REPORTS, max_size=3)),
        st.tuples(st.just("cancel"), st.sampled_from("abc"), st.none() | REPORTS),
        st.tuples(st.just("trip"), st.text(min_size=1)),
        st.tuples(st.just("reset"), st.text(min_size=1)),
        st.tuples(st.just("note"), st.text()),
    )


class Twin:
    """The journal as lists."""

    def __init__(self):
        self.steps, self.intents, self.heard, self.cancels, self.switch, self.notes = [], {}, [], {}, "", []

    def state(self):
        newest = {}
        answers = [answer for answer in self.cancels.values() if answer is not None]
        for report in [report for _, report in self.heard] + answers:
            if report.follows(newest.get(report.id)):
                newest[report.id] = report
        steps = [
            (
                number,
                step["cash"],
                step["done"],
                [report for at, report in self.heard if at == number],
                [id for id, (at, _) in self.intents.items() if at == number],
                [(id, answer) for (at, id), answer in self.cancels.items() if at == number],
            )
            for number, step in enumerate(self.steps, 1)
        ]
        bars = [(number, bar) for number, step in enumerate(self.steps, 1) for bar in step["bars"]]
        return steps, bars, newest, self.switch, self.notes


def state_of(journal):
    steps = []
    for number in range(1, journal.last_step + 1):
        step = journal.step(number)
        intents, cancels = [intent.id for intent in step.intents], [tuple(cancel) for cancel in step.cancels]
        steps.append((step.step, step.cash, step.done, step.reports, intents, cancels))
    notes = [(note.step, note.text) for note in journal.notes()]
    return steps, list(journal.bars("X")), journal.last_reports(), journal.tripped(), notes


def act_on(journal, twin, act):
    """Do the same to both; the twin only where the journal's transaction was not cut off."""
    kind, *what = act
    now = len(twin.steps)
    if kind == "begin":
        rows, cash = what
        bars = [Bar(0, 5, row) for row in rows]
        journal.begin(
            now + 1, day="2024-01-05", bars=[("X", bar) for bar in bars], reports=[], cash=cash, value=cash, keep={}
        )
        if twin.steps:
            twin.steps[-1]["done"] = True
        twin.steps.append({"cash": cash, "bars": bars, "done": False})
    elif kind == "finish":
        journal.finish(now)
        if twin.steps:
            twin.steps[-1]["done"] = True
    elif kind == "intend":
        id, refused = what
        intent = Intent(id, now, WANTED, 1.0, "2024-01-05", refused)
        if id in twin.intents:
            with pytest.raises(JournalError, match="not sent again"):
                journal.intend(intent)
            return
        journal.intend(intent)
        twin.intents[id] = now, intent
    elif kind == "hear":
        journal.hear(now + 1, what[0])
        twin.heard += [(now + 1, report) for report in what[0]]
    elif kind == "cancel":
        if (now, what[0]) not in twin.cancels:
            journal.cancel(now, *what)
            twin.cancels[now, what[0]] = what[1]
    elif kind == "note":
        journal.note(now, what[0])
        twin.notes.append((now, what[0]))
    else:
        getattr(journal, kind)(what[0])
        twin.switch = what[0] if kind == "trip" else ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=st.lists(st.tuples(acts(), st.booleans()), max_size=12))
def test_a_journal_that_was_cut_off_holds_whole_acts_and_no_part_of_one(script):
    folder, twin = journal_folder(), Twin()
    journal = Journal(folder / "journal")
    for act, cut in script:
        if not cut:
            act_on(journal, twin, act)
            continue
        journal._transaction = partial(cut_off, journal._transaction)
        shadow = Twin()
        shadow.__dict__.update({name: type(value)(value) for name, value in vars(twin).items()})
        shadow.steps = [dict(step) for step in twin.steps]
        with suppress(Cut):
            act_on(journal, shadow, act)
        journal.close()
        journal = Journal(folder / "journal")
        assert state_of(journal) == twin.state()
    assert state_of(journal) == twin.state()
    assert [intent.id for intent in journal.intents()] == list(twin.intents)
    unrefused = sum(not intent.refused for _, intent in twin.intents.values())
    assert journal.sent_on("2024-01-05") == unrefused
    assert journal.sent_on("2024-01-06") == 0
    journal.close()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


@given(reports=st.lists(REPORTS, min_size=1, max_size=8), order=st.randoms(use_true_random=False))
def test_reports_that_come_twice_change_nothing(reports, order):
    def newest(many):
        known = {}
        for report in many:
            if report.follows(known.get(report.id)):
                known[report.id] = report
        return known

    assert newest([*reports, *reports]) == newest(reports)
    shuffled = list(reports)
    order.shuffle(shuffled)
    for id, report in newest(shuffled).items():
        mine = [other for other in reports if other.id == id]
        assert report.over == any(other.over for other in mine)


def test_the_value_before_a_day_is_that_of_the_last_step_of_the_days_before(folder):
    journal = Journal(folder / "journal")
    assert journal.value_before("2024-01-01") is None
    for step, (day, value) in enumerate([("01", 7.0), ("01", 8.0), ("02", 9.0), ("02", 10.0), ("04", 11.0)], 1):
        journal.begin(step, day=f"2024-01-{day}", bars=[], reports=[], cash=0.0, value=value, keep={})
    found = [journal.value_before(f"2024-01-{day}") for day in ("01", "02", "03", "04", "09")]
    assert found == [7.0, 8.0, 10.0, 10.0, 11.0]
    journal.close()


def test_a_journal_of_another_version_is_refused(folder):
    journal = Journal(folder / "journal")
    journal.keep(schema=99)
    journal.close()
    with pytest.raises(JournalError, match=r"another version of llmguide \(99, this one writes 1\)"):
        Journal(folder / "journal")


def test_numbers_that_are_not_finite_are_not_believed(folder):
    journal = Journal(folder / "journal")
    with pytest.raises(JournalError, match="not finite"):
        journal.hear(1, [Report("a", "filled", 1.0, float("nan"))])
    assert journal.reports(1) == []
    journal.close()


def test_the_name_of_an_order_follows_from_what_it_is_for_and_fits_everywhere():
    name = client_id("", WANTED, STAMP, 0)
    assert name == client_id("", WANTED._replace(size=-5.0, kind="limit", price=1.0), STAMP, 0)  # of the same slot
    others = {
        client_id("other", WANTED, STAMP, 0),
        client_id("", WANTED._replace(strategy="T"), STAMP, 0),
        client_id("", WANTED._replace(feed="Y"), STAMP, 0),
        client_id("", WANTED, datetime(2024, 1, 8), 0),
        client_id("", WANTED, STAMP, 1),
    }
    assert len(others | {name}) == 6
    assert name.startswith("lg-20240105000000-0-")
    assert all(len(other) <= 36 and other.replace("-", "").isalnum() for other in others)


@pytest.mark.parametrize(
    ("kind", "size", "price", "expected"),
    [
        ("market", 1, None, 10.0),
        ("market", -1, None, 10.0),
        ("limit", 1, 11.0, 10.0),  # better than its price at the open
        ("limit", 1, 9.5, 9.5),
        ("limit", 1, 8.9, None),
        ("limit", -1, 9.0, 10.0),
        ("limit", -1, 11.5, 11.5),
        ("limit", -1, 12.1, None),
        ("stop", 1, 9.5, 10.0),  # beyond its price at the open
        ("stop", 1, 11.0, 11.0),
        ("stop", 1, 12.1, None),
        ("stop", -1, 10.5, 10.0),
        ("stop", -1, 9.2, 9.2),
        ("stop", -1, 8.9, None),
    ],
)
def test_fills_by_hand(kind, size, price, expected):
    assert fill_price(kind, size, price, open=10.0, high=12.0, low=9.0) == expected
