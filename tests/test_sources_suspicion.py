"""What cannot be true is named with its date and size; what can be is left in peace."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.bars import sample_bars
from llmguide.sources.suspicion import find_suspicions

PRICES = ["open", "high", "low", "close"]


def market() -> pd.DataFrame:
    return sample_bars(years=2)


@pytest.mark.parametrize("ratio", [1.5, 2, 3, 4, 5, 7, 10, 20])
def test_a_split_is_named_by_its_ratio_in_either_direction(ratio: float):
    name = "3:2" if ratio == 1.5 else f"{ratio:g}:1"
    bars = market()
    for factor, expected in ((ratio, f"{name} split"), (1 / ratio, f"{':'.join(name.split(':')[::-1])} reverse split")):
        frame = bars.copy()
        frame.iloc[:200, :4] *= factor
        (found,) = find_suspicions(frame)
        assert (found.kind, found.date) == ("split", bars.index[200])
        assert found.sentence.endswith(f"looks like a {expected} that was not applied")


@pytest.mark.parametrize("ratio", [100, 1000])
def test_pence_for_pounds_is_an_error_of_unit_for_one_bar_or_for_good(ratio: int):
    frame = market()
    frame.iloc[100, :4] *= ratio
    frame.iloc[200:, :4] *= ratio
    one, rest = find_suspicions(frame)
    assert (one.kind, one.date, rest.kind, rest.date) == ("unit", frame.index[100], "unit", frame.index[200])
    assert f"fell back the next bar: looks like a unit error of {ratio}:1" in one.sentence


@pytest.mark.parametrize("columns", [["high"], ["low"], ["open", "high"]])
def test_one_wrong_high_low_or_open_is_named_while_its_close_is_right(columns: list[str]):
    frame = market()
    frame.loc[frame.index[77], columns] *= 0.01 if columns == ["low"] else 100
    (found,) = find_suspicions(frame)
    assert (found.kind, found.date) == ("price", frame.index[77])
    assert found.sentence.startswith(" and ".join(columns))


def test_a_gap_is_measured_in_the_bars_own_spacing():
    daily = market()
    (found,) = find_suspicions(daily.drop(daily.index[100:300]))
    assert (found.kind, found.size) == ("gap", 200)
    assert found.sentence == f"no bars from {daily.index[100]:%Y-%m-%d} to {daily.index[299]:%Y-%m-%d}: 200 weekdays"
    assert find_suspicions(daily.drop(daily.index[100:106])) == ()  # Golden Week 2019
    for rule, unit in (("7D", "weeks"), ("30D", "months"), ("1D", "days")):
        spaced = daily.set_axis(pd.date_range("2012-01-02", periods=len(daily), freq=rule))
        assert find_suspicions(spaced) == ()
        assert [f.sentence.split()[-1] for f in find_suspicions(spaced.drop(spaced.index[100:120]))] == [unit]


def test_a_month_of_forty_percent_is_not_suspicious():
    monthly = market().iloc[:120].set_axis(pd.date_range("2012-01-31", periods=120, freq="ME"))
    monthly.iloc[60:, :4] *= 0.6
    assert find_suspicions(monthly) == ()


def test_a_move_of_middle_size_on_high_volume_is_news():
    frame = market()
    frame.iloc[300:, :4] *= 0.63
    assert len(find_suspicions(frame)) == 1
    frame.iloc[300, 4] *= 20
    assert find_suspicions(frame) == ()


def test_a_close_that_stays_while_nothing_is_traded_is_stale():
    frame = market()
    frame.iloc[50:75, :4] = frame["close"].iloc[49]
    frame.iloc[50:75, 4] = 0.0
    (found,) = find_suspicions(frame)
    assert (found.kind, found.size, found.date) == ("stale", 25, frame.index[50])


@given(st.integers(0, 10_000))
def test_a_made_market_is_not_suspicious_and_is_not_changed(seed: int):
    frame = sample_bars(years=1, seed=seed)
    before = frame.copy(deep=True)
    assert find_suspicions(frame) == ()
    assert np.array_equal(frame, before)
