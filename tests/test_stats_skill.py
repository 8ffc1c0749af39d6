"""Directions against what happened: as scikit-learn has it, and by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, matthews_corrcoef

from llmguide.errors import DataError
from llmguide.stats import directional_skill

pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


@given(pairs)
def test_the_measures_are_scikit_learns(trials):
    said, rose = zip(*trials, strict=True)
    found = directional_skill(said, rose, range(len(said)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one class alone
        assert found.accuracy.value == pytest.approx(accuracy_score(rose, said))
        assert found.mcc.value == pytest.approx(matthews_corrcoef(rose, said))
        if len(set(rose)) == 2:
            assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(rose, said))
        else:
            assert math.isnan(found.balanced_accuracy.value)


def test_always_long_is_worth_a_half_and_nothing_however_often_prices_rise():
    rose = np.repeat([1, 0], [9, 3])
    found = directional_skill(np.ones(12), rose, range(12))
    assert found.accuracy.value == 0.75
    assert found.balanced_accuracy == (0.5, 0.5, 0.5)
    assert found.mcc == (0.0, 0.0, 0.0)


def test_a_table_worked_by_hand():
    said, rose = [1, 1, 1, 0, 0, 0, 0, 1], [1, 1, 1, 1, 0, 0, 0, 0]  # tp 3, fn 1, tn 3, fp 1
    found = directional_skill(said, rose, range(8))
    assert (found.accuracy.value, found.balanced_accuracy.value, found.mcc.value) == (0.75, 0.75, 0.5)
    assert found.accuracy.low < 0.75 < found.accuracy.high


def test_trials_that_come_together_are_less_sure():
    random = np.random.default_rng(4)
    rose = np.repeat(random.integers(2, size=30), 8)
    said = np.where(np.repeat(random.random(30) < 0.7, 8), rose, 1 - rose)
    together = directional_skill(said, rose, np.repeat(np.arange(30), 8), seed=1)
    alone = directional_skill(said, rose, np.arange(240), seed=1)
    for one, other in zip(together, alone, strict=True):
        assert one.value == other.value
        assert one.high - one.low > 2 * (other.high - other.low)
    assert together == directional_skill(said, rose, np.repeat(np.arange(30), 8), seed=1)


def test_one_cluster_has_no_interval_and_nothing_has_no_skill():
    assert all(map(math.isnan, directional_skill([1, 0], [1, 0], [3, 3]).mcc[1:]))
    assert all(map(math.isnan, directional_skill([], [], []).accuracy))
    assert math.isnan(directional_skill([], [], []).mcc.value)


@pytest.mark.parametrize(("said", "rose"), [([1, 0], [1]), ([1, -1], [1, 0]), ([1, math.nan], [1, 0])])
def test_what_is_no_direction_is_refused(said, rose):
    with pytest.raises(DataError, match="expected directions and outcomes of 0 or 1"):
        directional_skill(said, rose, range(len(said)))
