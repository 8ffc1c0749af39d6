"""Calibration: worked by hand, against scikit-learn, by laws, and where there is little to learn from."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from llmguide.errors import DataError
from llmguide.stats import (
    brier_score,
    expected_calibration_error,
    fit_calibrator,
    reliability_curve,
    wilson_interval,
)
from llmguide.stats.calibration import METHODS

# A few values, so that equal ones come up, beside any.
CHANCES = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]) | st.floats(0, 1)
PAIRS = st.lists(st.tuples(CHANCES, st.booleans()), min_size=1, max_size=40)
GRID = np.linspace(0, 1, 101)


def split(pairs):
    return np.array([p for p, _ in pairs]), np.array([int(happened) for _, happened in pairs])


def test_violators_are_pooled_by_hand():
    # Shares by p: 0, 1 and 0 pooled to 1/2, then 1 and the tie (1, 0) pooled: 1, 1/2 -> 2/3.
    calibrator = fit_calibrator([0.1, 0.3, 0.4, 0.6, 0.8, 0.8], [0, 1, 0, 1, 1, 0], method="isotonic")
    assert calibrator.said == (0.1, 0.3, 0.4, 0.6, 0.8)
    assert calibrator.values == pytest.approx((0, 1 / 2, 1 / 2, 2 / 3, 2 / 3))
    # Straight between knots: 0.2 is half way from 0 to 1/2, 0.5 from 1/2 to 2/3; level outside; 0 is held at 1/8.
    assert calibrator([0.05, 0.2, 0.35, 0.5, 0.99]) == pytest.approx([1 / 8, 1 / 4, 1 / 2, 7 / 12, 2 / 3])


def test_a_forecaster_who_is_always_wrong_is_turned_round():
    said, happened = [0.1, 0.2, 0.3, 0.7, 0.8, 0.9], [1, 1, 1, 0, 0, 0]
    for method in METHODS:
        low, high = fit_calibrator(said, happened, method=method)([0.15, 0.85])
        assert low > 0.75
        assert high < 0.25


def test_of_two_shapes_that_fit_equally_the_rising_one_is_taken():
    assert fit_calibrator([0.2, 0.4, 0.6, 0.8], [0, 1, 1, 0], method="isotonic").values == pytest.approx(
        (0, 2 / 3, 2 / 3, 2 / 3)
    )


@given(st.lists(st.tuples(st.integers(0, 50).map(lambda k: k / 50), st.booleans()), min_size=1, max_size=40))
def test_isotonic_is_scikit_learns_in_the_better_of_both_directions(pairs):
    said, happened = split(pairs)
    n = len(said)
    fits = []
    for rising in (True, False):
        model = IsotonicRegression(
            y_min=1 / (n + 2), y_max=(n + 1) / (n + 2), increasing=rising, out_of_bounds="clip"
        ).fit(said, happened)
        unbounded = IsotonicRegression(increasing=rising).fit_transform(said, happened)
        fits.append((round(float(np.mean((unbounded - happened) ** 2)), 9), not rising, model))
    expected = min(fits, key=lambda fit: fit[:2])[2]
    found = fit_calibrator(said, happened, method="isotonic")
    np.testing.assert_allclose(found(said), expected.predict(said), atol=1e-9)


@given(PAIRS)
def test_platt_is_a_weighted_logistic_regression(pairs):
    said, happened = split(pairs)
    n, hits = len(said), happened.sum()
    targets = np.where(happened == 1, (hits + 1) / (hits + 2), 1 / (n - hits + 2))
    clipped = np.clip(said, 1e-6, 1 - 1e-6)
    x = np.log(clipped / (1 - clipped))[:, None]
    if np.ptp(x) < 0.01:
        return  # the oracle's steps are too coarse there
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
    # A target t is a hit of weight t and a miss of weight 1 - t.
    model.fit(np.vstack([x, x]), np.repeat([1, 0], n), sample_weight=np.concatenate([targets, 1 - targets]))
    expected = np.clip(model.predict_proba(x)[:, 1], 1 / (n + 2), (n + 1) / (n + 2))
    np.testing.assert_allclose(fit_calibrator(said, happened, method="platt")(said), expected, atol=2e-4)


@given(PAIRS, st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_no_other_numbers_are_likelier_than_platts(pairs, slope, intercept):
    said, happened = split(pairs)
    n, hits = len(said), happened.sum()
    targets = np.where(happened == 1, (hits + 1) / (hits + 2), 1 / (n - hits + 2))
    clipped = np.clip(said, 1e-6, 1 - 1e-6)
    x = np.log(clipped / (1 - clipped))

    def loss(slope, intercept):
        score = intercept + slope * x
        return float(np.sum(np.logaddexp(0, score) - targets * score))

    found = fit_calibrator(said, happened, method="platt")
    best = loss(found.slope, found.intercept)
    assert best <= loss(found.slope + slope, found.intercept + intercept) + 1e-7
    assert best <= loss(0.0, intercept) + 1e-7
    assert best <= loss(1.0, 0.0) + 1e-7


def test_platt_against_a_search_of_the_whole_plane():
    said, happened = np.array([0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 0.7]), np.array([0, 1, 0, 1, 1, 1, 0])
    targets = np.where(happened == 1, 5 / 6, 1 / 5)
    x = np.log(said / (1 - said))
    slopes, intercepts = np.meshgrid(np.linspace(-1, 2, 601), np.linspace(-1, 1, 401), indexing="ij")
    score = intercepts[..., None] + slopes[..., None] * x  # (601, 401, 7)
    losses = np.sum(np.logaddexp(0, score) - targets * score, axis=-1)
    at = np.unravel_index(losses.argmin(), losses.shape)
    found = fit_calibrator(said, happened, method="platt")
    assert (found.slope, found.intercept) == pytest.approx((slopes[at], intercepts[at]), abs=0.005)


@pytest.mark.parametrize("method", METHODS)
@given(pairs=PAIRS)
def test_calibrated_probabilities_are_monotone_and_neither_0_nor_1(pairs, method):
    found = fit_calibrator(*split(pairs), method=method)(GRID)
    n = len(pairs)
    assert found.min() >= 1 / (n + 2)
    assert found.max() <= (n + 1) / (n + 2)
    steps = np.diff(found)
    assert (steps >= -1e-12).all() or (steps <= 1e-12).all()


@given(PAIRS)
def test_isotonic_never_worsens_the_brier_score_of_what_it_was_fitted_to(pairs):
    said, happened = split(pairs)
    n = len(said)
    calibrated = fit_calibrator(said, happened, method="isotonic")(said)
    as_it_was = said.clip(1 / (n + 2), (n + 1) / (n + 2))  # what is calibrated is held within these bounds too
    assert brier_score(calibrated, happened) <= brier_score(as_it_was, happened) + 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_where_nothing_can_be_learned_the_same_is_always_said(method):
    rose = fit_calibrator([0.2, 0.6, 0.9], [1, 1, 1], method=method)(GRID)
    np.testing.assert_allclose(rose, 4 / 5, atol=1e-6)  # Laplace's and Platt's, (3 + 1)/(3 + 2)
    np.testing.assert_allclose(fit_calibrator([0.7], [0], method=method)(GRID), 1 / 3, atol=1e-12)
    alike = fit_calibrator([0.7] * 4, [1, 0, 1, 1], method=method)(GRID)
    assert np.ptp(alike) == 0.0
    expected = 3 / 4 if method == "isotonic" else (3 * (4 / 5) + 1 / 3) / 4  # Platt's targets
    assert alike[0] == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_shape_is_found_again_in_many_outcomes(method):
    random = np.random.default_rng(3)
    said = random.uniform(0.02, 0.98, 20_000)
    truth = 1 / (1 + np.exp(-(0.3 + 0.4 * np.log(said / (1 - said)))))  # too sure of itself, and too low
    found = fit_calibrator(said, random.random(said.size) < truth, method=method)
    grid = np.linspace(0.05, 0.95, 19)
    expected = 1 / (1 + np.exp(-(0.3 + 0.4 * np.log(grid / (1 - grid)))))
    np.testing.assert_allclose(found(grid), expected, atol=0.02 if method == "platt" else 0.05)


@given(PAIRS)
def test_the_brier_score_is_scikit_learns(pairs):
    said, happened = split(pairs)
    assert brier_score(said, happened) == pytest.approx(brier_score_loss(happened, said, pos_label=1), abs=1e-12)


def test_scores_by_hand():
    said, happened = [0.1, 0.15, 0.7, 0.75, 0.8, 1.0], [0, 1, 1, 1, 0, 1]
    assert brier_score(said, happened) == pytest.approx((0.01 + 0.7225 + 0.09 + 0.0625 + 0.64 + 0) / 6)
    # Bins of a fifth: [0, 0.2) says 0.125, half; [0.6, 0.8) says 0.725, all; [0.8, 1] says 0.9, half.
    curve = reliability_curve(said, happened, bins=5)
    assert [(one.n, one.share) for one in curve] == [(2, 0.5), (2, 1.0), (2, 0.5)]
    assert [one.mean_p for one in curve] == pytest.approx([0.125, 0.725, 0.9])
    assert [(one.low, one.high) for one in curve] == [
        wilson_interval(1, 2),
        wilson_interval(2, 2),
        wilson_interval(1, 2),
    ]
    assert expected_calibration_error(said, happened, bins=5) == pytest.approx((0.375 + 0.275 + 0.4) / 3)
    # Two bins of three: (0.1, 0.15, 0.7) and (0.75, 0.8, 1), two of three happened in each.
    assert expected_calibration_error(said, happened, bins=2, equal="count") == pytest.approx(
        (abs(2 / 3 - 0.95 / 3) + abs(2 / 3 - 0.85)) / 2
    )
    # Equal ones stay together.
    assert [one.n for one in reliability_curve([0.5] * 3 + [0.9], [0, 1, 1, 1], bins=2, equal="count")] == [3, 1]


@given(PAIRS, st.integers(1, 12), st.sampled_from(["width", "count"]))
def test_bins_hold_everything_once_and_keep_the_order(pairs, bins, equal):
    said, happened = split(pairs)
    curve = reliability_curve(said, happened, bins=bins, equal=equal)
    assert sum(one.n for one in curve) == len(said)
    assert sum(one.n * one.share for one in curve) == pytest.approx(happened.sum())
    assert sum(one.n * one.mean_p for one in curve) == pytest.approx(said.sum())
    assert len(curve) <= bins
    assert all(one.mean_p <= other.mean_p + 1e-12 for one, other in pairwise(curve))
    error = expected_calibration_error(said, happened, bins=bins, equal=equal)
    # Bins average away what differs within them: the whole sample in one bin is the least.
    assert abs(said.mean() - happened.mean()) - 1e-9 <= error <= 1 + 1e-9


def test_what_was_never_said_has_no_score():
    assert math.isnan(brier_score([], []))
    assert math.isnan(expected_calibration_error([], []))
    assert reliability_curve([], [], equal="count") == ()


@pytest.mark.parametrize(
    ("p", "happened", "options", "message"),
    [
        ([], [], {}, "expected outcomes to fit a calibrator to, got none"),
        ([0.5], [1, 0], {}, r"expected one outcome for each probability, got shapes \(2,\) and \(1,\)"),
        ([1.5], [1], {}, r"expected probabilities in 0\.\.1"),
        ([math.nan], [1], {}, r"expected probabilities in 0\.\.1; leave missing ones out"),
        ([0.5], [0.5], {}, "expected outcomes of 0 or 1"),
        ([0.5], [1], {"method": "isotonik"}, "isotonic or platt, got 'isotonik'; did you mean 'isotonic'"),
    ],
)
def test_what_cannot_be_fitted_is_refused(p, happened, options, message):
    with pytest.raises(DataError, match=message):
        fit_calibrator(p, happened, **{"method": "platt", **options})


def test_bins_that_cannot_be_made_are_refused():
    with pytest.raises(DataError, match="expected bins >= 1, got 0"):
        reliability_curve([0.5], [1], bins=0)
    with pytest.raises(DataError, match="expected bins equal in 'width' or 'count', got 'mass'"):
        expected_calibration_error([0.5], [1], equal="mass")
