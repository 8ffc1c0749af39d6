"""Eq. 5-8 of arXiv 2508.02366v3, by hand and by law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.guidance.strength import certainty, confidence_weight, strength, tau

likert = st.integers(1, 3)
entropies = st.floats(0.0, 1.0)
maybe_entropy = entropies | st.just(float("nan"))


@pytest.mark.parametrize(("given_likert", "expected"), [(1, 1 / 3), (2, 2 / 3), (3, 1.0)])
def test_confidence_weight_is_a_third_per_step(given_likert, expected):
    assert confidence_weight(given_likert) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("entropy", "expected"), [(0.0, 1.0), (0.5, 0.505), (0.25, 0.7525), (1.0, 0.01)])
def test_certainty_falls_from_one_to_eps(entropy, expected):
    assert certainty(entropy) == pytest.approx(expected, abs=1e-15)


def test_a_missing_entropy_leaves_the_certainty_at_one():
    np.testing.assert_array_equal(certainty([np.nan, 0.0]), [1.0, 1.0])
    assert strength(2, np.nan) == pytest.approx(2 / 3)


def test_the_whole_chain_worked_by_hand():
    # 2/3 * (0.01 + 0.99 * 0.5) = 0.33666..., 1/3 * 0.01 = 0.00333..., 1 * 1 = 1
    got = tau([1, 0, 1], [2, 1, 3], [0.5, 1.0, 0.0])
    np.testing.assert_allclose(got, [0.33666666666666667, -0.00333333333333333, 1.0], rtol=1e-14)


def test_an_abstention_has_neither_strength_nor_tau():
    assert strength(np.nan, 0.2) == 0.0
    assert tau(np.nan, np.nan, 0.2) == 0.0
    assert not np.signbit(tau(np.nan, np.nan, np.nan))


def test_eps_is_the_certainty_of_the_greatest_entropy():
    assert certainty(1.0, eps=0.2) == pytest.approx(0.2)
    assert tau(0, 3, 1.0, eps=0.2) == pytest.approx(-0.2)


@given(direction=st.integers(0, 1), confidence=likert, entropy=maybe_entropy)
def test_tau_is_the_strength_with_the_sign_of_the_direction(direction, confidence, entropy):
    size, signed = strength(confidence, entropy), tau(direction, confidence, entropy)
    assert 0.0 < size <= 1.0
    assert abs(signed) == size
    assert np.sign(signed) == (1 if direction else -1)


@given(confidence=st.integers(1, 2), entropy=maybe_entropy)
def test_strength_grows_with_confidence(confidence, entropy):
    assert strength(confidence, entropy) < strength(confidence + 1, entropy)


@given(confidence=likert, one=entropies, other=entropies)
def test_strength_never_grows_with_entropy(confidence, one, other):
    low, high = sorted((one, other))
    assert strength(confidence, low) >= strength(confidence, high)


@given(rows=st.lists(st.tuples(st.sampled_from([0.0, 1.0, np.nan]), likert, maybe_entropy), min_size=1, max_size=20))
def test_arrays_give_what_their_elements_give(rows):
    direction, confidence, entropy = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    np.testing.assert_array_equal(tau(direction, confidence, entropy), [float(tau(*row)) for row in rows])
