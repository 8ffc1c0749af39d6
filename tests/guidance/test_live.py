"""Live guidance sees each bar once it is there, asks on the schedule, and never about the bar itself."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide import guide, sample_bars
from llmguide.errors import DataError, GuidanceError
from llmguide.guidance.live import COLUMNS, LiveGuidance, open_live

BARS = sample_bars(years=1, seed=3).iloc[:120]


def says(known, issued_at):
    """A row that depends on every price it was given."""
    value = float(np.log(known["close"]).sum())
    return {"issued_at": issued_at, "direction": int(value * 1e6) % 2, "confidence": 1 + int(value * 1e3) % 3}


def feed(live, bars):
    """Show the bars one by one; return the row that each of them may see."""
    return [
        live.see(number, stamp.to_pydatetime(), tuple(row))
        for number, (stamp, row) in enumerate(zip(bars.index, bars[list(COLUMNS)].to_numpy(), strict=True))
    ]


def table_of(bars, every=20, first=30):
    from llmguide.guidance import Guidance

    rows = tuple(says(bars.iloc[:i], bars.index[i]) for i in range(first, len(bars), every))
    return Guidance(rows).made_from(bars)


@pytest.mark.slow
@settings(max_examples=25)
@given(every=st.integers(1, 40), first=st.integers(1, 60), cut=st.integers(0, 119))
def test_a_live_run_says_what_a_table_over_all_bars_says(every, first, cut):
    history = BARS.iloc[:cut] if cut else None
    live = LiveGuidance(says, history=history, every=every, first=first)
    seen = feed(live, BARS.iloc[cut:])
    table = table_of(BARS, every, first)
    assert live.table == table
    assert seen == [table.at(day) for day in BARS.index[cut:]]


def test_a_bar_that_grows_is_asked_about_when_it_is_complete():
    asked = []
    live = LiveGuidance(lambda known, at: asked.append((known, at)) or says(known, at))
    for number, (stamp, row) in enumerate(zip(BARS.index, BARS[list(COLUMNS)].to_numpy(), strict=True)):
        for part in (0.5, 0.8, 1.0):
            live.see(number, stamp.to_pydatetime(), tuple(row * part))
    assert live.table == table_of(BARS)
    assert [at for _, at in asked] == list(BARS.index[30::20])
    for i, (known, _) in zip(range(30, 120, 20), asked, strict=True):
        np.testing.assert_array_equal(known.to_numpy(), BARS[list(COLUMNS)].iloc[:i].to_numpy())


def test_what_a_provider_does_to_its_bars_changes_nothing():
    def careless(known, issued_at):
        row = says(known, issued_at)
        known.iloc[:] = 1.0
        return row

    live = LiveGuidance(careless, history=BARS.iloc[:70].copy())
    feed(live, BARS.iloc[70:])
    assert live.table == table_of(BARS)


def test_the_rows_of_a_function_are_checked_like_those_of_a_table():
    live = LiveGuidance(lambda known, at: {"issued_at": at, "direction": 1, "confidence": 4})
    with pytest.raises(GuidanceError, match=r"row 0 .*column 'confidence'"):
        feed(live, BARS)


def test_a_row_that_is_issued_later_is_not_seen_before():
    late = LiveGuidance(
        lambda known, at: {"issued_at": at + pd.Timedelta(days=8), "direction": 1, "confidence": 3}, every=200
    )
    seen = feed(late, BARS)
    first = next(i for i, row in enumerate(seen) if row is not None)
    assert BARS.index[first] >= BARS.index[30] + pd.Timedelta(days=8)
    assert BARS.index[first - 1] < BARS.index[30] + pd.Timedelta(days=8)


def test_rules_and_functions_by_open_live_are_their_tables():
    live = open_live("rules")
    feed(live, BARS)
    assert live.table == guide(BARS, "rules")
    live = open_live(says)
    feed(live, BARS)
    assert live.table == table_of(BARS)


@pytest.mark.parametrize(
    ("bars", "error", "message"),
    [
        (BARS.iloc[60:61], GuidanceError, "ends before the first bar"),
        (BARS.iloc[::-1], DataError, "unique, increasing"),
        (BARS.drop(columns="volume"), DataError, r"none of \['volume'\]; use read_bars"),
        (BARS.tz_localize("UTC"), DataError, "naive dates"),
        ("train.csv", DataError, "use read_bars"),
        (BARS.iloc[:0], DataError, "use read_bars"),
    ],
)
def test_a_history_that_cannot_be_one_is_refused(bars, error, message):
    with pytest.raises(error, match=message):
        feed(LiveGuidance(says, history=bars), BARS.iloc[60:])


def test_bars_out_of_order_or_not_from_the_first_are_refused():
    live = LiveGuidance(says)
    with pytest.raises(GuidanceError, match="start from the first"):
        live.see(1, datetime(2018, 1, 2), (1.0,) * 5)
    live.see(0, datetime(2018, 1, 2), (1.0,) * 5)
    with pytest.raises(GuidanceError, match=r"expected a bar later than .*timeframe="):
        live.see(1, datetime(2018, 1, 2), (1.0,) * 5)


@pytest.mark.parametrize("settings", [{"every": 0}, {"first": 0}])
def test_a_schedule_without_bars_is_refused(settings):
    with pytest.raises(GuidanceError, match=">= 1"):
        LiveGuidance(says, **settings)
