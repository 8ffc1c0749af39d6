"""The tests of significance against hand-worked cases, scipy, and their laws."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import scipy.stats
import statsmodels.stats.multitest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmguide.errors import DataError
from llmguide.stats import TestResult, holm, one_sample_t, paired_t, paired_tests, wilcoxon

chances = arrays(np.float64, st.integers(0, 12), elements=st.floats(0, 1))
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


def test_wilcoxon_of_a_hand_worked_case():
    # Differences 1, 2, 3, 4, -5: the ranks of the negative one are 5, of the others 1 + 2 + 3 + 4 = 10. Of the 32 ways
    # to sign five ranks, 10 have a sum of 5 or less on the negative side: {}, 1, 2, 3, 12, 4, 13, 5, 14, 23.
    result = wilcoxon([1.0, 2.0, 3.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0, 5.0])
    assert result == TestResult(statistic=5.0, p=pytest.approx(2 * 10 / 32), n=5, mean_difference=1.0)


SIGNED = st.tuples(st.floats(2.0**-20, 5.0, width=32), st.sampled_from([-1.0, 1.0]))


@given(st.lists(SIGNED, min_size=2, max_size=50, unique_by=lambda pair: pair[0]))
def test_wilcoxon_without_ties_agrees_with_scipy(pairs):
    d = np.array([size * sign for size, sign in pairs])
    ours, peer = wilcoxon(d, np.zeros(d.size)), scipy.stats.wilcoxon(d, method="exact")
    assert (ours.statistic, ours.p) == (pytest.approx(peer.statistic), pytest.approx(peer.pvalue))


@given(arrays(np.int64, st.integers(2, 9), elements=st.integers(-3, 3)))
def test_wilcoxon_with_ties_and_zeros_counts_every_way_to_sign_the_ranks(d):
    assume(d.any())
    ranks = scipy.stats.rankdata(np.abs(d[d != 0]))
    sums = np.array([ranks[list(signs)].sum() for signs in product([False, True], repeat=ranks.size)])
    below = ranks[d[d != 0] < 0].sum()
    least = min(below, ranks.sum() - below)
    ours = wilcoxon(d, np.zeros(d.size))
    assert (ours.statistic, ours.n) == (least, d.size)
    assert ours.p == pytest.approx(min(1.0, 2 * (sums <= least).mean()))


@given(st.integers(0, 1000), st.integers(51, 300), st.floats(-0.3, 0.3), st.integers(1, 3))
def test_wilcoxon_of_many_pairs_is_scipys_normal_approximation(seed, size, shift, digits):
    d = np.random.default_rng(seed).normal(shift, 1.0, size).round(digits)
    d = d[d != 0]
    assume(d.size > 50)
    peer = scipy.stats.wilcoxon(d, method="asymptotic")
    ours = wilcoxon(d, np.zeros(d.size))
    assert (ours.statistic, ours.p) == (pytest.approx(peer.statistic), pytest.approx(peer.pvalue))


def test_wilcoxon_does_not_hang_on_one_run_far_off():
    near, far = np.arange(1.0, 10.0), np.array([*np.arange(1.0, 9.0), 1000.0])
    assert wilcoxon(near, np.zeros(9)) == TestResult(0.0, pytest.approx(2 / 2**9), 9, near.mean())
    assert wilcoxon(far, np.zeros(9)).p == pytest.approx(2 / 2**9)
    assert paired_t(far, np.zeros(9)).p > 0.3


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param([], [], id="no runs"),
        pytest.param([1.0], [0.5], id="one run"),
        pytest.param([1.0, 2.0], [1.0, 2.0], id="identical arms"),
        pytest.param([0.1 + 0.2, 1.0], [0.3, 1.0], id="identical arms, up to rounding"),
        pytest.param([1.0, math.nan, 2.0], [0.0, 1.0, 0.0], id="an undefined measure"),
    ],
)
def test_a_wilcoxon_test_that_the_runs_do_not_determine_is_nan(a, b):
    result = wilcoxon(a, b)
    assert math.isnan(result.statistic)
    assert math.isnan(result.p)
    assert result.n == len(a)


def test_equal_differences_leave_t_undefined_but_not_wilcoxon():
    both = paired_tests([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert math.isnan(both.p)
    assert both.p_wilcoxon == pytest.approx(2 / 2**3)


def test_both_paired_tests_are_those_of_their_own():
    a, b = np.random.default_rng(3).normal(size=(2, 25))
    t = paired_t(a, b)
    assert paired_tests(a, b) == (t.mean_difference, t.statistic, t.p, 25, wilcoxon(a, b).p)


def test_holm_of_a_hand_worked_case():
    # Sorted 0.01, 0.03, 0.04 by 3, 2, 1: 0.03, 0.06 and 0.04, which is raised to the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@pytest.mark.slow
@settings(max_examples=10)  # statsmodels takes 0.15 s for each
@given(chances)
def test_holm_agrees_with_statsmodels(p):
    expected = statsmodels.stats.multitest.multipletests(p, method="holm")[1] if p.size else p
    np.testing.assert_allclose(holm(p), expected)


@given(chances)
def test_holm_leaves_a_single_test_as_it_is_and_lies_between_p_and_bonferroni(p):
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(p * p.size, 1) + 1e-12).all()
    assert holm(p[:1]) == pytest.approx(p[:1])


def test_undefined_tests_are_not_counted_by_holm():
    np.testing.assert_array_equal(holm([0.01, math.nan, 0.04]), [0.02, math.nan, 0.04])
    np.testing.assert_array_equal(holm([math.nan]), [math.nan])


def test_holm_refuses_what_is_no_p():
    with pytest.raises(DataError, match=r"in 0..1, got 1.5 for test 1"):
        holm([0.5, 1.5])
    with pytest.raises(DataError, match="one p per test"):
        holm([[0.5]])
