"""The tests of significance against hand-worked cases, scipy, and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmguide.errors import DataError
from llmguide.stats import one_sample_t, paired_t

measures = arrays(np.float64, st.integers(2, 30), elements=st.floats(-5, 5, width=16))


def test_paired_t_of_a_hand_worked_case():
    # Differences 1, 2, 3: mean 2, std 1, t = 2 / (1 / sqrt(3)) with 2 degrees of freedom, where
    # P(|T| > t) = 1 - t / sqrt(t^2 + 2).
    result = paired_t([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    t = 2 * math.sqrt(3)
    assert (result.n, result.mean_difference) == (3, 2.0)
    assert result.statistic == pytest.approx(t)
    assert result.p == pytest.approx(1 - t / math.sqrt(t * t + 2))


def test_one_sample_t_of_a_hand_worked_case():
    result = one_sample_t([1.0, 3.0], 1.0)  # differences 0 and 2: t = 1 with 1 degree of freedom, the Cauchy law
    assert (result.statistic, result.n, result.mean_difference) == (pytest.approx(1.0), 2, 1.0)
    assert result.p == pytest.approx(0.5)


@given(st.data())
def test_paired_t_agrees_with_scipy(data):
    a = data.draw(measures)
    b = data.draw(arrays(np.float64, a.size, elements=st.floats(-5, 5, width=16)))
    assume((a - b).std() > 1e-6)
    ours, peer = paired_t(a, b), scipy.stats.ttest_rel(a, b)
    assert (ours.statistic, ours.p) == (pytest.approx(peer.statistic), pytest.approx(peer.pvalue))


@given(measures, st.floats(-5, 5))
def test_one_sample_t_agrees_with_scipy(a, popmean):
    assume(a.std() > 1e-6)
    ours, peer = one_sample_t(a, popmean), scipy.stats.ttest_1samp(a, popmean)
    assert (ours.statistic, ours.p) == (pytest.approx(peer.statistic, abs=1e-9), pytest.approx(peer.pvalue))


@given(measures)
def test_exchanging_the_arms_turns_the_sign_and_keeps_p(a):
    b = np.roll(a, 1) + 0.25
    assume((a - b).std() > 1e-6)
    one, other = paired_t(a, b), paired_t(b, a)
    assert one.statistic == pytest.approx(-other.statistic)
    assert one.mean_difference == pytest.approx(-other.mean_difference)
    assert one.p == pytest.approx(other.p)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param([], [], id="no runs"),
        pytest.param([1.0], [0.5], id="one run"),
        pytest.param([1.0, 2.0], [1.0, 2.0], id="identical arms"),
        pytest.param([0.3, 0.4, 0.7], [0.2, 0.3, 0.6], id="equal differences, up to rounding"),
        pytest.param([1.0, math.nan, 2.0], [0.0, 1.0, 0.0], id="an undefined measure"),
    ],
)
def test_a_test_that_the_runs_do_not_determine_is_nan(a, b):
    result = paired_t(a, b)
    assert math.isnan(result.statistic)
    assert math.isnan(result.p)
    assert result.n == len(a)


def test_one_run_still_has_a_mean_difference():
    assert paired_t([1.0], [0.5]).mean_difference == 0.5


def test_unpaired_infinite_and_misshapen_samples_are_refused():
    with pytest.raises(DataError, match="same runs in both arms, got 2 and 1"):
        paired_t([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="got inf for run 1"):
        paired_t([1.0, math.inf], [1.0, 2.0])
    with pytest.raises(DataError, match="2 dimensions"):
        paired_t(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(DataError, match="finite figure"):
        one_sample_t([1.0, 2.0], math.nan)
