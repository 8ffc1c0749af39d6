"""Bars with their returns' signs flipped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.errors import DataError
from llmguide.guidance.inquiries.mirror import mirrored

BARS = sample_bars(years=1, seed=3)
PRICES = ["open", "high", "low", "close"]


def test_a_rise_becomes_as_large_a_fall_and_highs_become_lows():
    bars = pd.DataFrame(
        {"open": [10.0, 10.0], "high": [12.5, 40.0], "low": [8.0, 10.0], "close": [10.0, 20.0], "volume": [5.0, 6.0]},
        index=pd.DatetimeIndex(["2018-01-02", "2018-01-03"]),
    )
    flipped = mirrored(bars)
    assert flipped.loc["2018-01-02", PRICES].tolist() == [40.0, 50.0, 32.0, 40.0]
    assert flipped.loc["2018-01-03", PRICES].tolist() == [40.0, 40.0, 10.0, 20.0]
    assert flipped["volume"].tolist() == [5.0, 6.0]


def test_every_log_return_is_negated_and_the_mirror_of_a_mirror_is_the_original():
    flipped = mirrored(BARS)
    np.testing.assert_allclose(np.diff(np.log(flipped["close"])), -np.diff(np.log(BARS["close"])), atol=1e-12)
    assert flipped["close"].iloc[-1] == BARS["close"].iloc[-1]
    assert (flipped["low"] <= flipped[["open", "close"]].min(axis=1) + 1e-9).all()
    assert (flipped["high"] >= flipped[["open", "close"]].max(axis=1) - 1e-9).all()
    np.testing.assert_allclose(mirrored(flipped)[PRICES], BARS[PRICES])


@pytest.mark.parametrize("t", [40, 120])
def test_nothing_after_t_changes_the_mirror_of_the_bars_known_at_t(t):
    changed = BARS.copy()
    changed.loc[changed.index[t:], PRICES] *= 3.0
    pd.testing.assert_frame_equal(mirrored(changed.iloc[:t]), mirrored(BARS.iloc[:t]))
    assert not mirrored(changed.iloc[: t + 1]).equals(mirrored(BARS.iloc[: t + 1]))


def test_prices_that_are_not_positive_are_refused():
    with pytest.raises(DataError, match="positive"):
        mirrored(BARS.assign(close=0.0))
