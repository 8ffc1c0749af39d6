"""Training bars end where they are cut; the years drawn from them do not overlap, and see nothing behind them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sample_bars
from llmguide.errors import DataError, GuidanceError
from llmguide.guidance.strategist import Subject
from llmguide.guidance.tuning.training import HeldOut, TrainingBars, split_subject
from llmguide.guidance.tuning.windows import draw_windows

BARS = sample_bars(years=6, seed=3)
TRAINING = TrainingBars(Subject("ACME", BARS))


def test_a_cut_leaves_no_later_bar_and_no_later_row_of_a_table_with_the_training(make_tables):
    day = BARS.index[1000]
    training, held_out = split_subject(Subject("ACME", BARS, make_tables(BARS)), day)
    assert training.bars.index[-1] < day == held_out.subject.bars.index[held_out.first]
    assert len(held_out.subject.bars) == len(BARS)
    for _, frame in training.subject.tables.items():
        assert (frame["published_at"] < day).all()
    assert held_out.subject.since == day.date()
    assert training.subject.since is None


@pytest.mark.parametrize("day", ["1990-01-01", "2090-01-01"])
def test_a_cut_that_leaves_nothing_on_a_side_is_refused(day):
    with pytest.raises(DataError, match="expected bars before and after"):
        split_subject(Subject("ACME", BARS), day)


def test_test_bars_are_refused_by_their_type():
    _, held_out = split_subject(Subject("ACME", BARS), BARS.index[1000])
    for wrong in (held_out, Subject("ACME", BARS), BARS):
        with pytest.raises(DataError, match="expected TrainingBars, got"):
            draw_windows(wrong, count=1, length=50, first=30, seed=0)
    assert not hasattr(HeldOut, "until")


@given(count=st.integers(1, 6), length=st.integers(2, 240), first=st.integers(1, 60), seed=st.integers(0, 10**6))
def test_windows_never_overlap_and_lie_within_the_training(count, length, first, seed):
    windows = draw_windows(TRAINING, count=count, length=length, first=first, seed=seed)
    assert len(windows) == count
    placed = sorted((window.first, window.end) for window in windows)
    assert all(end - start == length for start, end in placed)
    assert first <= placed[0][0]
    assert placed[-1][1] <= len(BARS)
    assert all(before[1] <= after[0] for before, after in pairwise(placed))


def test_every_placement_is_drawn_about_equally_often():
    short = TrainingBars(Subject("ACME", BARS.iloc[:12]))
    drawn = [
        tuple(sorted(window.first for window in draw_windows(short, count=2, length=3, first=2, seed=seed)))
        for seed in range(3000)
    ]
    # Two windows of 3 in the 10 bars from bar 2 on: 5 orders of 2 windows and 4 free bars, taken 2 of 6.
    counts = pd.Series(drawn).value_counts()
    assert len(counts) == 15
    assert counts.min() > 0.7 * 200
    assert counts.max() < 1.3 * 200


def test_windows_depend_on_the_symbol_and_the_seed_and_on_no_price():
    def places(training, seed=0):
        return [w.first for w in draw_windows(training, count=3, length=100, first=30, seed=seed)]

    other = BARS.copy()
    other[["open", "high", "low", "close"]] *= np.linspace(1.0, 3.0, len(BARS))[:, None]
    assert places(TRAINING) == places(TrainingBars(Subject("ACME", other)))
    assert places(TRAINING) != places(TRAINING, seed=1)
    assert places(TRAINING) != places(TrainingBars(replace(TRAINING.subject, symbol="BETA")))


def test_a_window_sees_no_bar_behind_its_last_one():
    (window,) = draw_windows(TRAINING, count=1, length=100, first=30, seed=0)
    assert window.subject.bars.index[-1] == window.dates[-1]
    assert window.subject.since == window.dates[0].date()


def test_too_few_bars_are_refused_with_what_to_do():
    with pytest.raises(GuidanceError, match=r"7 windows of 252 bars .* need 1794 .* ask for fewer repeats"):
        draw_windows(TRAINING, count=7, length=252, first=30, seed=0)
