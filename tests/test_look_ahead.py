"""What is found to look ahead, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from llmguide.look_ahead import find_look_ahead

VALUES = 50.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.02, 90)))


def momentum(values):
    """Says for bar t whether the last known value rose."""
    said = np.zeros(len(values))
    said[2:] = values[1:-1] > values[:-2]
    return said


@pytest.mark.parametrize("values", [VALUES, np.column_stack([VALUES, VALUES[::-1]])])
def test_a_function_of_the_past_passes(values):
    def function(seen):
        said = momentum(seen if seen.ndim == 1 else seen.sum(axis=1))
        seen[:] = 0.0  # what it gets is its own
        return said

    before = values.copy()
    assert find_look_ahead(function, values, function(values.copy()), start=1) is None
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("ahead", [1, 5, 40])
def test_a_function_of_the_future_is_found(ahead):
    def function(seen):
        said = momentum(seen)
        said[:-ahead] = seen[ahead:] - seen[:-ahead]
        return said

    found = find_look_ahead(function, VALUES, function(VALUES), start=1)
    assert found.said <= found.changed <= found.said + ahead


def test_a_function_of_the_bar_itself_or_of_the_whole_is_found():
    for function in (lambda seen: np.append(0.0, np.diff(seen)), lambda seen: seen / seen.max()):
        assert find_look_ahead(function, VALUES, function(VALUES), start=1) is not None


def test_the_second_column_counts_too():
    values = np.column_stack([VALUES, VALUES[::-1]])
    found = find_look_ahead(lambda seen: seen[:, 1], values, values[:, 1], start=1)
    assert found is not None


def test_missing_numbers_are_equal_and_rounding_is_no_change():
    random = np.random.default_rng(1)

    def function(seen):
        said = momentum(seen) + random.normal(0.0, 1e-12, len(seen))
        said[:10] = np.nan
        return said

    assert find_look_ahead(function, VALUES, function(VALUES), start=1) is None
    assert find_look_ahead(lambda seen: random.random(90), VALUES, random.random(90), start=1) is not None
