"""Krippendorff's alpha against its author's worked example and a definition without matrices; crossed intervals."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from llmguide.errors import DataError
from llmguide.stats import crossed_interval, krippendorff_alpha

N = np.nan
# Krippendorff (2011), section D: four observers, twelve units, five values.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)


def slow_alpha(table, level):
    """The same from pairs of ratings, one by one."""
    units = [[float(x) for x in unit if x == x] for unit in np.asarray(table).T]
    units = [unit for unit in units if len(unit) > 1]
    everything = [x for unit in units for x in unit]

    def distance(a, b):
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(low <= x <= high for x in everything)
        return (between - (everything.count(low) + everything.count(high)) / 2) ** 2 if low != high else 0.0

    n = len(everything)
    seen = sum(distance(a, b) / (len(unit) - 1) for unit in units for a, b in permutations(unit, 2)) / n
    chance = sum(distance(a, b) for a, b in permutations(everything, 2)) / (n * (n - 1))
    return 1 - seen / chance


@pytest.mark.parametrize(("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_example_has_the_published_alphas(level, expected):
    found = krippendorff_alpha(PUBLISHED, level=level)
    assert found.alpha == pytest.approx(expected, abs=5e-4)
    assert (found.units, found.values) == (11, 40)  # the last unit has one rating
    assert found.low < found.alpha < found.high


def test_two_observers_by_hand():
    """Units (1, 1), (1, 2), (2, 2): coincidences 2, 1, 1, 2; D_o = 2/6, D_e = 2*3*3/(6*5); alpha = 1 - 5/9."""
    assert krippendorff_alpha([[1, 1, 2], [1, 2, 2]], level="nominal").alpha == pytest.approx(4 / 9)


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(2, 4), st.integers(1, 6)), elements=st.sampled_from([1, 2, 3, N])),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_is_what_pairs_say_and_does_not_know_the_observers_order(table, level):
    found = krippendorff_alpha(table, level=level, resamples=20)
    try:
        expected = slow_alpha(table, level)
    except ZeroDivisionError:
        assert np.isnan(found.alpha)
        return
    assert found.alpha == pytest.approx(expected)
    assert found.alpha <= 1 + 1e-12
    assert krippendorff_alpha(table[::-1], level=level, resamples=20).alpha == pytest.approx(found.alpha)


def test_full_agreement_is_one_and_a_single_value_has_no_alpha():
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]]).alpha == 1.0
    assert np.isnan(krippendorff_alpha([[2, 2, 2], [2, 2, 2]]).alpha)
    assert np.isnan(krippendorff_alpha([[1, 2, 3]]).alpha)
    assert krippendorff_alpha([[1, N], [N, 2]]).units == 0


def test_an_order_preserving_change_of_the_values_changes_interval_alpha_alone():
    stretched = np.where(PUBLISHED == 5, 50, PUBLISHED)
    for level, same in (("nominal", True), ("ordinal", True), ("interval", False)):
        one, other = (krippendorff_alpha(table, level=level).alpha for table in (PUBLISHED, stretched))
        assert (one == pytest.approx(other)) is same


def test_what_is_no_table_of_ratings_is_refused():
    with pytest.raises(DataError, match=r"\(observers, units\)"):
        krippendorff_alpha([1, 2, 3])
    with pytest.raises(DataError, match="finite"):
        krippendorff_alpha([[1, np.inf], [1, 2]])
    with pytest.raises(DataError, match="nominal, ordinal or interval, got 'ratio'"):
        krippendorff_alpha([[1, 2], [1, 2]], level="ratio")


def test_the_crossed_interval_holds_the_mean_and_grows_with_what_varies():
    random = np.random.default_rng(3)
    months, people = np.repeat(np.arange(12), 4), np.tile(np.arange(4), 12)
    noise = random.normal(size=48)
    by_month = 2 + random.normal(size=12)[months]
    by_person = 2 + 2 * np.array([-1, -0.5, 0.5, 1])[people]
    widths = {}
    for name, x in (("noise", 0.2 * noise), ("months", by_month), ("people", by_person)):
        low, high = crossed_interval(x, months, people)
        assert low < x.mean() < high
        widths[name] = high - low
    assert widths["noise"] < widths["months"]
    assert widths["people"] > 1.0  # four people who differ: another four would say something else


def test_the_crossed_interval_of_one_person_is_that_of_months_and_of_one_month_nothing():
    x = np.array([1.0, 2.0, 3.0, 3.0, 1.0, 2.0])
    low, high = crossed_interval(x, np.arange(6), ["anna"] * 6)
    assert 1 <= low < 2 < high <= 3
    assert np.isnan(crossed_interval(x, ["jan"] * 6, np.arange(6))).all()
    assert np.isnan(crossed_interval([], [], [])).all()
    assert crossed_interval(x, np.arange(6), ["anna"] * 6) == (low, high)
    with pytest.raises(DataError, match="one shape"):
        crossed_interval(x, np.arange(5), np.arange(6))


def test_the_crossed_interval_covers_the_mean_of_other_months_and_people():
    random = np.random.default_rng(0)
    months, people = np.repeat(np.arange(20), 8), np.tile(np.arange(8), 20)
    hits = 0
    for run in range(60):
        x = (random.normal(size=20)[months] + random.normal(size=8)[people] + random.normal(size=160)) / 2
        low, high = crossed_interval(x, months, people, seed=run, resamples=300)
        hits += low < 0 < high
    assert hits >= 51  # 95 % of 60 is 57; fewer than 51 has probability 0.006
