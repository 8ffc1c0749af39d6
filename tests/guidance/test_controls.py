"""Controls: labels by hand, the laws of flipping and shuffling, and the mark of the future."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sample_bars
from llmguide.errors import GuidanceError
from llmguide.guidance import Guidance
from llmguide.guidance.controls import constant, future_return, inverted, oracle, shuffled
from llmguide.guidance.rules import rules

SEEDS = st.integers(0, 10_000)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return sample_bars(years=4, seed=11)


@pytest.fixture(scope="module")
def causal(bars) -> Guidance:
    table = rules(bars)
    abstained = table.rows[3]._replace(direction=None, confidence=None, strength=0.0, tau=0.0)
    return Guidance((*table.rows[:3], abstained, *table.rows[4:]))


def directions(guidance: Guidance) -> list[int | None]:
    return [row.direction for row in guidance.rows]


def test_the_label_is_algorithm_1_worked_by_hand():
    close = np.full(41, 100.0)
    close[10], close[20] = 110.0, 95.0
    # 0.4 * 0.10 + 0.6 * -0.05 = 0.01
    assert future_return(close)[0] == pytest.approx(0.01)
    # From 110 everything within reach is 100 or 95: 0.4 * (95/110 - 1) + 0.6 * (100/110 - 1)
    assert future_return(close)[10] == pytest.approx(0.4 * (95 / 110 - 1) + 0.6 * (100 / 110 - 1))


def test_a_horizon_ends_at_the_last_bar():
    close = np.array([100.0, 90.0, 120.0])
    np.testing.assert_allclose(future_return(close), [0.2, 120 / 90 - 1, np.nan])
    long = np.linspace(100.0, 115.0, 16)
    # From bar 0 the tenth bar is there (110) and the twentieth is not (the last is 115).
    assert future_return(long)[0] == pytest.approx(0.4 * 0.10 + 0.6 * 0.15)


def test_the_oracle_labels_from_the_close_before_its_date(bars):
    close = bars["close"]
    table = oracle(bars)
    assert [row.issued_at for row in table.rows] == list(bars.index[30::20])
    for i, row in zip(range(30, len(bars), 20), table.rows, strict=True):
        known = close.iloc[i - 1]
        ten, twenty = (close.iloc[min(i - 1 + ahead, len(bars) - 1)] / known - 1 for ahead in (10, 20))
        assert row.direction == (1 if 0.4 * ten + 0.6 * twenty >= 0 else 0)
        assert (row.confidence, row.entropy, abs(row.tau)) == (3, None, 1.0)


def test_a_market_that_stands_still_is_labelled_long():
    days = pd.bdate_range("2018-01-01", periods=60, name="date")
    assert directions(oracle(pd.DataFrame({"close": 5.0}, index=days))) == [1, 1]


def test_the_oracle_says_that_it_uses_the_future(bars):
    table = oracle(bars)
    assert all(row.uses_future and row.provider == "oracle" for row in table.rows)
    assert all(row.explanation.startswith("Uses the future") for row in table.rows)
    assert "USES THE FUTURE" in repr(table)


def test_the_oracle_does_use_the_future(bars):
    labels = []
    for factor in (0.5, 2.0):
        changed = bars.copy()
        changed.iloc[30:, :4] *= factor
        labels.append(oracle(changed).rows[0].direction)
    assert labels == [0, 1]


@given(SEEDS)
def test_an_accuracy_of_zero_is_the_opposite_of_one(bars, seed):
    right, wrong = oracle(bars, seed=seed), oracle(bars, accuracy=0.0, seed=seed)
    assert directions(wrong) == directions(inverted(right))
    assert all(row.explanation.endswith(", flipped.") for row in wrong.rows)
    assert right == oracle(bars, seed=seed + 1)


@given(SEEDS, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_accuracy_only_takes_flips_back(bars, seed, one, other):
    low, high = sorted((one, other))
    truth = directions(oracle(bars))
    worse, better = (directions(oracle(bars, accuracy=accuracy, seed=seed)) for accuracy in (low, high))
    assert all(b == t for w, b, t in zip(worse, better, truth, strict=True) if w == t)


def test_directions_are_flipped_as_often_as_asked_and_seeded(bars):
    truth = np.array(directions(oracle(bars, every=1)))
    hits = [np.mean(truth == directions(oracle(bars, every=1, accuracy=0.8, seed=seed))) for seed in range(5)]
    # About 1,000 rows a table: five standard deviations of the mean of five tables are 0.03.
    assert np.mean(hits) == pytest.approx(0.8, abs=0.03)
    assert len(set(hits)) > 1
    assert oracle(bars, accuracy=0.8, seed=4) == oracle(bars, accuracy=0.8, seed=4)


def test_varying_confidence_follows_the_size_of_the_return(bars):
    table = oracle(bars, confidence="varying", seed=2)
    positions = range(30, len(bars), 20)
    size = np.abs(future_return(bars["close"].to_numpy())[np.array(positions) - 1])
    given_confidence = np.array([row.confidence for row in table.rows])
    for lower in (1, 2):
        assert size[given_confidence == lower].max() < size[given_confidence == lower + 1].min()
    counts = Counter(given_confidence.tolist())
    assert max(counts.values()) - min(counts.values()) <= 1
    assert directions(table) == directions(oracle(bars))


def test_varying_strength_is_a_fingerprint_of_each_row(bars):
    table = oracle(bars, confidence="varying", seed=2)
    assert len({row.strength for row in table.rows}) == len(table)
    assert all(0.0 <= row.entropy <= 1.0 for row in table.rows)
    other = oracle(bars, confidence="varying", seed=2, accuracy=0.5)
    assert [row.entropy for row in other.rows] == [row.entropy for row in table.rows]
    assert [row.entropy for row in oracle(bars, confidence="varying", seed=3).rows] != [
        row.entropy for row in table.rows
    ]


def test_settings_that_the_oracle_cannot_have_are_refused(bars):
    with pytest.raises(GuidanceError, match=r"accuracy .* in \[0, 1\], got 80"):
        oracle(bars, accuracy=80)
    with pytest.raises(GuidanceError, match="'constant' or 'varying', got 'high'"):
        oracle(bars, confidence="high")


@given(SEEDS)
def test_shuffling_keeps_the_dates_and_the_content_but_not_their_match(causal, seed):
    table = shuffled(causal, seed=seed)
    content = ("direction", "confidence", "entropy", "perplexity", "strength", "tau", "model", "prompt_version")
    assert [row.issued_at for row in table.rows] == [row.issued_at for row in causal.rows]
    for name in content:
        assert Counter(getattr(row, name) for row in table.rows) == Counter(getattr(row, name) for row in causal.rows)
    for row in table.rows:
        made, _, said = row.explanation.removeprefix("Shuffled; issued ").partition(": ")
        original = causal.at(pd.Timestamp(made))
        assert original.explanation == said
        assert [getattr(row, name) for name in content] == [getattr(original, name) for name in content]


def test_a_shuffled_table_is_marked_since_later_rows_move_forward(causal):
    assert not causal.uses_future
    table = shuffled(causal, seed=1)
    assert all(row.uses_future for row in table.rows)
    assert {row.provider for row in table.rows} == {"shuffled:rules"}
    assert table != shuffled(causal, seed=2)
    assert table == shuffled(causal, seed=1)


@given(SEEDS, st.integers(0, 60))
def test_shuffling_apart_exchanges_no_row_of_before_a_date_with_one_of_after(causal, seed, place):
    place = min(place, len(causal) - 1)
    since = causal.rows[place].issued_at
    table = shuffled(causal, seed=seed, since=since)
    assert [row.issued_at for row in table.rows] == [row.issued_at for row in causal.rows]
    for part in (slice(None, place), slice(place, None)):
        assert Counter((row.direction, row.tau) for row in table.rows[part]) == Counter(
            (row.direction, row.tau) for row in causal.rows[part]
        )
    assert shuffled(causal, seed=seed, since=causal.rows[0].issued_at) == shuffled(causal, seed=seed)


def test_inverting_turns_directions_and_nothing_else(bars, causal):
    table = inverted(causal)
    for row, original in zip(table.rows, causal.rows, strict=True):
        flipped = None if original.direction is None else 1 - original.direction
        expected = original._replace(direction=flipped, tau=-original.tau, provider="inverted:rules")
        assert row == expected
    assert directions(table)[3] is None
    assert directions(inverted(table)) == directions(causal)
    assert not table.uses_future
    assert inverted(oracle(bars)).uses_future


def test_the_constant_says_the_same_on_every_date(bars):
    table = constant(bars, direction=0, confidence=2)
    assert [row.issued_at for row in table.rows] == list(bars.index[30::20])
    assert {(row.direction, row.confidence, row.entropy) for row in table.rows} == {(0, 2, None)}
    assert not table.uses_future
    assert constant(bars.index, direction=0, confidence=2) == table
    with pytest.raises(GuidanceError, match="'confidence': expected 1, 2 or 3, got 4"):
        constant(bars, confidence=4)


@pytest.mark.real_bars
def test_perfect_foresight_pays_on_real_bars_and_its_opposite_costs(real_bars):
    bars = real_bars("AAPL", "test")
    returns = bars["close"].pct_change().shift(-1)  # of a position taken at this bar's close

    def sharpe(guidance: Guidance) -> float:
        earned = (np.sign(guidance.tau(bars.index)) * returns).iloc[30:-1]
        return float(np.sqrt(252) * earned.mean() / earned.std())

    foresight = oracle(bars)
    assert sharpe(foresight) > 2.0
    assert sharpe(inverted(foresight)) < -2.0
    assert abs(np.mean([sharpe(shuffled(foresight, seed=seed)) for seed in range(20)])) < 1.5
