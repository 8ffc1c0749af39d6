"""Intervals of shares: worked by hand, and wider where hits come in clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from llmguide.errors import DataError
from llmguide.stats import clustered_interval, wilson_interval


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair):
    hits, n = pair
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_trial_has_no_interval_and_more_hits_than_trials_are_refused():
    assert all(map(math.isnan, wilson_interval(0, 0)))
    with pytest.raises(DataError, match="expected 0 <= hits <= n, got 3 hits of 2"):
        wilson_interval(3, 2)


def test_hits_that_come_together_are_less_sure():
    hits = np.repeat(np.random.default_rng(1).integers(2, size=40), 10)  # ten instruments move as one
    low, high = clustered_interval(hits, np.repeat(np.arange(40), 10), seed=3)
    alone = clustered_interval(hits, np.arange(400), seed=3)
    assert high - low > 2.5 * (alone[1] - alone[0])
    assert low < hits.mean() < high
    assert (low, high) == clustered_interval(hits, np.repeat(np.arange(40), 10), seed=3)
    assert alone == pytest.approx(wilson_interval(int(hits.sum()), 400), abs=0.01)


def test_one_cluster_has_no_interval_and_shapes_must_fit():
    assert all(map(math.isnan, clustered_interval([1, 0], [5, 5])))
    assert all(map(math.isnan, clustered_interval([], [])))
    with pytest.raises(DataError, match="expected one cluster for each value"):
        clustered_interval([1, 0], [5])
    with pytest.raises(DataError, match=r"expected values of shape \(n,\)"):
        clustered_interval([[1, 0]], [5])
