"""Which bars are learned from, and which are traded: worked by hand, and as laws."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sample_bars
from llmguide.errors import DataError, LlmguideError
from llmguide.experiments.walk_forward.windows import Span, lay_windows

DAYS = pd.date_range("2019-12-30", "2020-03-31", freq="B", name="date")  # Monday; 67 weekdays
BARS = pd.DataFrame({"close": 1.0}, index=DAYS)
MORE = pd.DataFrame({"close": 1.0}, index=pd.date_range("2019-12-30", "2020-04-30", freq="B", name="date"))
LONG = sample_bars(years=2, seed=1)


def days(bars):
    return f"{bars.index[0]:%m-%d} {bars.index[-1]:%m-%d}"


def test_anchored_windows_learn_from_all_bars_before_them():
    windows = lay_windows(BARS, start="2020-02-01", window="1m")
    assert [window.name for window in windows] == ["2020-02-01", "2020-03-01"]
    # The first of February and of March 2020 are at a weekend: trading begins on the Mondays after it.
    assert [days(window.traded(BARS)) for window in windows] == ["02-03 02-28", "03-02 03-31"]
    assert [days(window.training(BARS)) for window in windows] == ["12-30 01-31", "12-30 02-28"]


def test_rolling_windows_learn_from_the_last_months_alone():
    windows = lay_windows(BARS, start="2020-02-01", window="1m", train="1m")
    assert [days(window.training(BARS)) for window in windows] == ["01-01 01-31", "02-03 02-28"]


def test_lengths_in_bars_count_bars():
    first, second, last = lay_windows(BARS, start="2020-03-02", window="10b", train="5b")
    assert (first.learns, first.trades) == ((40, 45), (45, 55))
    assert (second.learns, second.trades) == ((50, 55), (55, 65))
    assert (last.learns, last.trades) == ((60, 65), (65, 67))  # the bars end within it


def test_the_last_day_is_traded_and_nothing_after_it():
    (window,) = lay_windows(BARS, start="2020-02-03", until="2020-02-20", window="2w")[:1]
    assert days(window.traded(BARS)) == "02-03 02-14"
    assert (
        days(lay_windows(BARS, start="2020-02-03", until="2020-02-20", window="2w")[-1].traded(BARS)) == "02-17 02-20"
    )


def test_a_month_after_the_last_of_january_is_the_last_of_february_and_march_is_not_cut_short_by_it():
    windows = lay_windows(MORE, start="2020-01-31", window="1m", until="2020-04-10")
    assert [window.name for window in windows] == ["2020-01-31", "2020-02-29", "2020-03-31"]
    assert [days(window.traded(MORE)) for window in windows] == ["01-31 02-28", "03-02 03-30", "03-31 04-10"]


def test_windows_that_begin_on_one_day_are_told_apart_by_the_time():
    hours = BARS[:20].set_axis(pd.date_range("2020-01-01 00:00", periods=20, freq="h", name="date"))
    assert [window.name for window in lay_windows(hours, start="2020-01-01 04:00", window="8b")] == [
        "2020-01-01T040000",
        "2020-01-01T120000",
    ]


def test_days_are_those_of_the_zone_of_the_bars():
    zoned = BARS.tz_localize("America/New_York")
    assert lay_windows(zoned, start="2020-02-01", window="1m", train="1m") == lay_windows(
        BARS, start="2020-02-01", window="1m", train="1m"
    )


@given(
    start=st.integers(70, 400),
    window=st.integers(2, 200),
    unit=st.sampled_from("bdwm"),
    train=st.sampled_from(["anchored", "60b", "2m"]),
)
def test_windows_follow_each_other_and_learn_from_nothing_at_or_after_their_beginning(start, window, unit, train):
    bars = LONG
    try:
        windows = lay_windows(bars, start=bars.index[start].date(), window=f"{window}{unit}", train=train)
    except DataError:
        return  # longer than the bars, or a single bar at the end
    assert windows[0].trades[0] == start
    assert windows[-1].trades[1] == len(bars)
    for one, after in pairwise(windows):
        assert one.trades[1] == after.trades[0]
        assert one.name < after.name
    for one in windows:
        assert one.learns[1] == one.trades[0] < one.trades[1]
        assert one.training(bars).index[-1] < one.traded(bars).index[0]
        assert one.known(bars).index[-1] == one.traded(bars).index[-1]
        if train == "anchored":
            assert one.learns[0] == 0
        if train == "60b":
            assert len(one.training(bars)) == 60


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"start": "2020-02-01", "window": "1y"}, "window of 1 year is longer than the bars from 2020-02-01 on"),
        ({"start": "2020-02-03", "window": "300b"}, "window of 300 bars is longer"),
        ({"start": "2021-01-01"}, "no bars to trade from 2021-01-01 on: they run from 2019-12-30 to 2020-03-31"),
        ({"start": "2020-02-03", "until": "2020-02-01"}, "until= is 2020-02-01"),
        ({"start": "2020-02-03", "window": "1m", "train": "3y"}, "begins on 2017-02-03, but the bars begin on"),
        ({"start": "2020-02-03", "window": "1m", "train": "26b"}, "needs more than the 25 bars"),
        ({"start": "2019-12-30", "window": "1m"}, "would train on 0 bars, and at least 2 are needed"),
        ({"start": "2020-03-02", "window": "11b"}, None),
        ({"start": "2020-03-02", "window": "21b"}, "the window from 2020-03-31 on has 1 bar"),
    ],
)
def test_bars_that_do_not_hold_the_windows_are_refused(settings, said):
    if said is None:
        assert len(lay_windows(BARS, **settings)) == 2
        return
    with pytest.raises(DataError) as error:
        lay_windows(BARS, **settings)
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["", "y", "1", "0y", "-1y", "1.5y", "1q", "1 y 2", None, 250])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(LlmguideError, match="such as 1y, 6m, 2w, 90d or 250b"):
        Span.parse(text, name="window")
    with pytest.raises(LlmguideError, match="anchored"):
        lay_windows(BARS, start="2020-02-01", window="1m", train=text)


@pytest.mark.parametrize(("text", "shown"), [("1y", "1 year"), (" 6M ", "6 months"), ("250b", "250 bars")])
def test_a_length_is_read_in_either_case(text, shown):
    assert str(Span.parse(text, name="window")) == shown
