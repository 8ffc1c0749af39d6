"""Where two runs first differ."""

from __future__ import annotations

import numpy as np

from llmguide.audit.comparing import Difference, differences
from llmguide.audit.trace import OPENING, ORDERS, Event, Trace

DAYS = np.arange("2020-01-01", "2020-01-07", dtype="datetime64[D]").astype("datetime64[us]")


def order(day, *values, channel=ORDERS, step=None):
    return Event(DAYS[day], DAYS[day], channel, values, day if step is None else step)


def trace(values, *events, steps=None, lengths=None):
    count = len(values) if steps is None else steps
    sizes = np.array(lengths if lengths is not None else [[n + 1] for n in range(count)])
    return Trace(DAYS[:count].copy(), {"line": np.array(values, dtype=float)}, tuple(events), sizes)


def test_equal_runs_have_no_difference_and_missing_values_are_equal():
    one = trace([np.nan, 1.0, 2.0], order(1, "buy", 3.0))
    assert differences(one, one) == {}
    assert differences(one, trace([np.nan, 1.0 + 1e-9, 2.0], order(1, "buy", 3.0))) == {}


def test_the_first_difference_of_a_line_is_told():
    found = differences(trace([1.0, 2.0, 3.0, 4.0]), trace([1.0, 2.0, 3.5, 4.5]))
    assert found == {"line": Difference(DAYS[2], 3.0, 3.5)}
    assert differences(trace([1.0, np.nan]), trace([1.0, 5.0]))["line"].stamp == DAYS[1]


def test_what_follows_the_bound_does_not_count():
    one, other = trace([1.0, 2.0, 3.0], order(2, "buy", 1.0)), trace([1.0, 2.0, 9.0])
    assert differences(one, other, before=DAYS[2]) == {}
    assert set(differences(one, other, before=DAYS[3])) == {"line", ORDERS}


def test_a_missing_an_added_and_another_order_are_told():
    one = trace([1.0] * 4, order(1, "buy", 1.0), order(3, "sell", 1.0))
    assert differences(one, trace([1.0] * 4, order(1, "buy", 1.0)))[ORDERS] == Difference(DAYS[3], "sell 1", "nothing")
    added = trace([1.0] * 4, order(1, "buy", 1.0), order(2, "buy", 7.0), order(3, "sell", 1.0))
    assert differences(one, added)[ORDERS] == Difference(DAYS[2], "nothing", "buy 7")
    larger = trace([1.0] * 4, order(1, "buy", 2.0), order(3, "sell", 1.0))
    assert differences(one, larger)[ORDERS] == Difference(DAYS[1], "buy 1", "buy 2")


def test_of_a_long_text_only_what_differs_is_told():
    lines = tuple(f"line {n}" for n in range(30))
    other = (*lines[:20], "another", *lines[21:])
    found = differences(Trace(events=(order(0, *lines),)), Trace(events=(order(0, *other),)))
    assert found == {}  # events of steps, in runs without steps
    one, two = (Trace(events=(Event(DAYS[0], DAYS[0], "prompt", text),)) for text in (lines, other))
    assert differences(one, two)["prompt"] == Difference(DAYS[0], "line 20", "another")


def test_a_bar_that_was_closed_early_because_the_data_ended_is_left_out():
    whole = trace([1.0, 2.0, 3.0, 4.0], lengths=[[1, 0], [2, 0], [3, 0], [4, 1]])
    early = trace([1.0, 2.0, 9.0], order(2, "buy", 1.0), lengths=[[1, 0], [2, 0], [3, 1]])
    assert differences(whole, early, before=DAYS[3], ends=True) == {}
    assert set(differences(whole, early, before=DAYS[3])) == {"line", ORDERS}
    again = trace([1.0, 2.0, 3.0, 9.0], order(2, "buy", 1.0, step=3), lengths=[[1, 0], [2, 0], [3, 0], [3, 1]])
    again.stamps[3] = DAYS[2]
    assert differences(whole, again, before=DAYS[3], ends=True) == {}


def test_an_order_at_the_open_is_compared_where_the_open_is_the_same():
    one = trace([1.0] * 4, order(2, "buy", 1.0, channel=OPENING))
    other = trace([1.0, 1.0, 5.0, 5.0])
    assert differences(one, other, before=DAYS[2]) == {}
    assert differences(one, other, before=DAYS[2], opened=DAYS[3])[OPENING] == Difference(DAYS[2], "buy 1", "nothing")


def test_what_is_said_from_earlier_bars_is_compared_only_where_it_could_be_said():
    row = Event(DAYS[1], DAYS[2], "guidance", ("long",))
    one, none = Trace(events=(row,)), Trace()
    assert set(differences(one, none, before=DAYS[2])) == {"guidance"}
    assert differences(one, none, before=DAYS[2], ends=True) == {}
