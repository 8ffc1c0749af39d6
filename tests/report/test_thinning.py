"""Thinned curves: fewer points, every extreme, the ends in their place."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmguide.report.thinning import thin


def test_short_curves_stay_as_they_are():
    curve = np.array([3.0, 1.0, np.nan])
    places, drawn = thin({"a": curve}, points=3)
    assert places.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(drawn["a"], curve)


@given(st.integers(0, 2**32 - 1), st.integers(21, 500))
def test_no_extreme_and_neither_end_is_lost(seed, bars):
    curves = np.random.default_rng(seed).normal(size=(2, bars)).cumsum(axis=1)
    places, drawn = thin({"a": curves[0], "b": curves[1]}, points=20)
    assert len(places) == 20
    assert (np.diff(places) >= 0).all()
    assert (places[0], places[-1]) == (0, bars - 1)
    for name, curve in zip("ab", curves, strict=True):
        kept = drawn[name]
        assert (kept[0], kept[-1], kept.min(), kept.max()) == (curve[0], curve[-1], curve.min(), curve.max())
        assert set(kept) <= set(curve)


def test_a_stretch_of_missing_values_stays_missing():
    curve = np.arange(100.0)
    curve[:40] = np.nan
    _, drawn = thin({"a": curve}, points=20)
    assert np.isnan(drawn["a"][:7]).all()
    assert np.isfinite(drawn["a"][10:]).all()
