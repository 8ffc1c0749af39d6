"""Factors of adjusted closes are recovered as closely as is said, or refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.bars import sample_bars
from llmguide.errors import DataError
from llmguide.sources.adjusting import adjust_prices


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(20, 480), st.floats(0.9, 0.999)), max_size=6))
def test_the_factors_of_known_dividends_are_recovered_within_the_stated_precision(
    seed: int, paid: list[tuple[int, float]]
):
    raw = sample_bars(years=2, seed=seed)
    truth = np.ones(len(raw))
    truth[:10] = 0.5  # a split, so that there is something to adjust
    for row, factor in paid:
        truth[:row] *= factor
    read, told = adjust_prices("x", raw.assign(close=raw["close"] * truth), None)
    factor = read["open"] / raw["open"]
    half, worst = (float(number) / 100 for number in re.findall(r"([0-9.]+) %", told))
    error = np.expm1(np.abs(np.log(factor / truth)))
    assert error.max() <= worst + 0.0006
    assert error.median() <= half + 0.0006
    assert ((read["close"] <= read["high"] * (1 + 1e-12)) & (read["close"] >= read["low"] * (1 - 1e-12))).all()
    assert read["volume"].equals(raw["volume"])


@given(st.integers(0, 1000), st.integers(1, 500), st.floats(0.5, 0.999), st.floats(0.5, 2.0))
def test_later_bars_change_no_factor(seed: int, row: int, dividend: float, scale: float):
    raw = sample_bars(years=2, seed=seed)
    truth = np.where(np.arange(len(raw)) < 150, dividend, 1.0)
    bars = raw.assign(close=raw["close"] * truth)
    changed = bars.copy()
    changed.iloc[row:] *= scale
    changed.iloc[row:, changed.columns.get_loc("close")] *= 0.9
    (ours, _), (theirs, _) = (adjust_prices("x", frame, None) for frame in (bars, changed))
    assert ours[:row].equals(theirs[:row])


def test_a_file_whose_closes_need_no_factor_is_left_as_it_is():
    raw = sample_bars(years=1)
    later = raw.copy()
    later.iloc[-1, later.columns.get_loc("close")] *= 0.5  # only there something has to be adjusted
    assert adjust_prices("x", raw, None)[0].equals(raw)
    assert adjust_prices("x", later, None)[0][:-1].equals(raw[:-1])


def test_closes_that_no_constant_factors_explain_are_refused():
    raw = sample_bars(years=1)
    noise = np.random.default_rng(0).uniform(0.5, 1.5, len(raw))
    with pytest.raises(DataError, match="no factors that are constant for a while"):
        adjust_prices("x", raw.assign(close=raw["close"] * noise), None)


def test_a_missing_adjusted_close_is_refused_with_its_date():
    raw = sample_bars(years=1)
    adjusted = raw["close"] * 0.9
    adjusted.iloc[5] = np.nan
    with pytest.raises(DataError, match="Adj Close is missing on 1 bars, the first 2012-01-09"):
        adjust_prices("x", raw, adjusted)
