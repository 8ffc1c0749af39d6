"""Other futures have the same past."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sample_bars
from llmguide.audit.futures import CHANGES, Future, Inputs, Table, other_future
from llmguide.errors import DataError

BARS = sample_bars(years=1)
PRICES = ["open", "high", "low", "close"]


@given(t=st.integers(0, len(BARS) - 2), how=st.sampled_from(CHANGES), seed=st.integers(0, 5), keep_open=st.booleans())
def test_bars_up_to_t_stay_and_all_later_closes_change(t, how, seed, keep_open):
    before = BARS.copy()
    changed = other_future(Inputs(BARS), Future(t, how, keep_open), seed=seed).bars
    pd.testing.assert_frame_equal(BARS, before)
    pd.testing.assert_frame_equal(changed.iloc[: t + 1], BARS.iloc[: t + 1])
    assert changed.index.equals(BARS.index)
    later = changed.iloc[t + 1 :]
    assert (later[PRICES] > 0.0).all(axis=None)
    assert (later["high"] == later[PRICES].max(axis=1)).all()
    assert (later["low"] == later[PRICES].min(axis=1)).all()
    assert later["close"].iloc[0] != BARS["close"].iloc[t + 1]
    assert (later["volume"] != BARS["volume"].iloc[t + 1 :]).all()
    assert (later["open"].iloc[0] == BARS["open"].iloc[t + 1]) == keep_open


@given(t=st.integers(0, len(BARS) - 2))
def test_a_mirrored_future_falls_where_it_rose(t):
    mirrored = other_future(Inputs(BARS), Future(t, "mirrored"), seed=0).bars["close"]
    np.testing.assert_allclose(np.diff(np.log(mirrored.iloc[t:])), -np.diff(np.log(BARS["close"].iloc[t:])), atol=1e-12)


def test_the_cut_is_the_beginning_and_nothing_else():
    cut = other_future(Inputs(BARS), Future(99, "cut"), seed=0).bars
    pd.testing.assert_frame_equal(cut, BARS.iloc[:100])


def test_a_table_holds_what_was_known_before_the_next_bar():
    known = pd.DatetimeIndex([BARS.index[10], BARS.index[10] + pd.Timedelta(hours=18), BARS.index[11]])
    table = Table(pd.DataFrame({"published": known, "text": ["a", "b", "c"]}), "published")
    for how in ("cut", "raised"):
        seen = other_future(Inputs(BARS, {"news": table}), Future(10, how), seed=0)
        assert list(seen.frames["news"]["text"]) == ["a", "b"]


def test_a_table_needs_a_column_of_dates():
    frame = pd.DataFrame({"published": ["2020-01-01"], "when": [pd.NaT]})
    with pytest.raises(DataError, match="no column 'publishd'; it has published, when"):
        Table(frame, "publishd")
    for column in ("published", "when"):
        with pytest.raises(DataError, match="naive dates, one in each row"):
            Table(frame, column)
