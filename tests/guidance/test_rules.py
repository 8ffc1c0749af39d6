"""The vote of indicators, against indicators written out by hand, and never from a later bar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide import sample_bars
from llmguide.errors import DataError, GuidanceError
from llmguide.guidance.rules import VOTES, cast_votes, count_votes, rules

LONG_ENOUGH = 272  # the first bar at which all seven vote


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return sample_bars(years=3, seed=5)


def random_walk(seed: int, length: int) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.02, length)))


def as_bars(close: np.ndarray) -> pd.DataFrame:
    days = pd.bdate_range("2015-01-01", periods=len(close), name="date")
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1.0}, index=days)


def exponential_mean(values: list[float], span: int, seed_from: int) -> list[float]:
    """An average begun with the plain mean of the `span` values up to `seed_from`, as Appel's MACD is begun."""
    mean = [float("nan")] * seed_from + [float(np.mean(values[seed_from - span + 1 : seed_from + 1]))]
    for value in values[seed_from + 1 :]:
        mean.append(mean[-1] + 2.0 / (span + 1) * (value - mean[-1]))
    return mean


def macd_histogram(close: np.ndarray) -> np.ndarray:
    prices = close.tolist()
    line = np.subtract(exponential_mean(prices, 12, 25), exponential_mean(prices, 26, 25))
    signal = exponential_mean(line.tolist(), 9, 33)
    return line - np.array(signal)


def wilder_rsi(close: np.ndarray) -> np.ndarray:
    change = np.diff(close, prepend=np.nan)
    rsi = np.full(len(close), np.nan)
    gain, loss = change[1:15].clip(min=0).mean(), (-change[1:15]).clip(min=0).mean()
    for t in range(14, len(close)):
        if t > 14:
            gain = (13 * gain + max(change[t], 0.0)) / 14
            loss = (13 * loss + max(-change[t], 0.0)) / 14
        rsi[t] = 100.0 * gain / (gain + loss)
    return rsi


def volatility_vote(close: np.ndarray) -> np.ndarray:
    returns = pd.Series(close).pct_change().to_numpy()
    spread = np.array([np.std(returns[t - 19 : t + 1]) if t >= 20 else np.nan for t in range(len(close))])
    vote = np.zeros(len(close))
    for t in range(LONG_ENOUGH - 1, len(close)):
        stormy = spread[t] > np.median(spread[t - 251 : t + 1])
        moved = close[t] - close[t - 20]
        if stormy and moved < 0:
            vote[t] = -1
        elif not stormy and moved > 0:
            vote[t] = 1
    return vote


def expected_votes(close: np.ndarray) -> np.ndarray:
    price = pd.Series(close)
    sma20, sma50, sma200 = (price.rolling(window).mean() for window in (20, 50, 200))
    signals = [
        price - sma200,
        sma20 - sma50,
        sma50 - sma50.shift(20),
        macd_histogram(close),
        wilder_rsi(close) - 50.0,
        price - price.shift(60),
    ]
    return np.column_stack([*(np.sign(np.nan_to_num(signal)) for signal in signals), volatility_vote(close)])


@pytest.mark.parametrize("seed", range(3))
def test_every_vote_equals_its_indicator_written_out_by_hand(seed):
    close = random_walk(seed, 500)
    votes = cast_votes(close)
    np.testing.assert_array_equal(votes, expected_votes(close))
    assert {-1, 1} <= set(votes[:, -1]), "the case would prove little without both volatility votes"


def test_each_vote_begins_where_the_documentation_says():
    votes = cast_votes(random_walk(0, 400))
    begins = [np.flatnonzero(votes[:, column])[0] + 1 for column in range(6)]
    assert dict(zip(VOTES, begins, strict=False)) == {
        "SMA200": 200,
        "SMA20/50": 50,
        "SMA50 slope": 70,
        "MACD": 34,
        "RSI14": 15,
        "60-bar return": 61,
    }
    assert not votes[: LONG_ENOUGH - 1, 6].any()
    assert votes[LONG_ENOUGH - 1 :, 6].any()


@pytest.mark.parametrize(
    ("votes", "recent", "expected"),
    [
        ([1, 1, 1, 1, 1, 1, 1], -0.1, (1, 3)),
        ([1, 1, 1, 1, 1, 1, -1], -0.1, (1, 3)),
        ([-1, -1, -1, -1, -1, -1, 0], 0.1, (0, 3)),
        ([1, 1, 1, 1, 1, -1, -1], -0.1, (1, 2)),
        ([-1, -1, -1, -1, 1, 1, 1], 0.1, (0, 2)),
        ([1, 1, 1, 0, 0, 0, 0], -0.1, (1, 1)),
        ([0, 0, 0, 0, -1, 0, 0], 0.1, (0, 1)),
        ([1, 1, 1, -1, -1, -1, 0], -0.1, (0, 1)),
        ([1, 1, 1, -1, -1, -1, 0], 0.1, (1, 1)),
        ([1, -1, 0, 0, 0, 0, 0], 0.0, (1, 1)),
        ([1, -1, 0, 0, 0, 0, 0], np.nan, (1, 1)),
        ([0, 0, 0, 0, 0, 0, 0], 0.1, (None, None)),
    ],
)
def test_votes_are_counted_as_documented(votes, recent, expected):
    assert count_votes(np.array(votes, dtype=np.int8), recent=recent) == expected


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=7, max_size=7), st.floats(0.001, 0.5))
def test_opposite_votes_give_the_opposite_direction_with_the_same_confidence(votes, recent):
    votes = np.array(votes, dtype=np.int8)
    direction, confidence = count_votes(votes, recent=recent)
    opposite = None if direction is None else 1 - direction
    assert count_votes(-votes, recent=-recent) == (opposite, confidence)


@given(st.integers(0, 1000))
def test_a_market_upside_down_turns_the_votes_on_price(seed):
    close = 1000.0 + np.cumsum(np.random.default_rng(seed).normal(0.0, 1.0, 280))
    votes, turned = cast_votes(close)[:, :6], cast_votes(2000.0 - close)[:, :6]
    # "No opinion" within 1e-9 of the price is relative, so a value on that edge may have one in one market only.
    assert (votes * turned <= 0).all()
    assert (turned == -votes).mean() > 0.999


def test_guidance_is_issued_every_20_bars_from_bar_30(bars):
    guidance = rules(bars)
    assert [row.issued_at for row in guidance.rows] == list(bars.index[30::20])
    assert [row.issued_at for row in rules(bars, every=7, first=50).rows] == list(bars.index[50::7])


def test_the_row_of_a_bar_counts_the_votes_of_the_bar_before():
    close = random_walk(12, 500)
    votes, recent = expected_votes(close), pd.Series(close).pct_change(20).to_numpy()
    expected = [count_votes(votes[i - 1], recent=recent[i - 1]) for i in range(30, 500)]
    assert [(row.direction, row.confidence) for row in rules(as_bars(close), every=1).rows] == expected
    ties = [i for i in range(30, 500) if votes[i - 1].sum() == 0]
    assert any(recent[i - 1] * recent[i] < 0 for i in ties), "the case would not tell whose return decides a tie"


def test_rules_never_claim_what_only_a_language_model_has(bars):
    frame = rules(bars).frame
    assert frame[["entropy", "perplexity"]].isna().all(axis=None)
    assert set(frame["provider"]) == {"rules"}
    assert set(frame["model"]) == {""}
    assert not frame["uses_future"].any()
    np.testing.assert_allclose(frame["strength"], frame["confidence"] / 3)


def test_the_explanation_lists_each_vote_once(bars):
    for row in rules(bars).rows:
        assert all(row.explanation.count(vote) == 1 for vote in VOTES)
        assert row.explanation.endswith(").")
    early = rules(bars).rows[0].explanation
    assert "no opinion: SMA200, SMA20/50, SMA50 slope, MACD, 60-bar return, volatility" in early


@pytest.mark.parametrize("price", [10.1, 0.3, 12345.678])
def test_prices_that_stand_still_give_an_abstention_not_an_opinion_on_rounding(price):
    rows = rules(as_bars(np.full(400, price))).rows
    assert {(row.direction, row.confidence, row.tau) for row in rows} == {(None, None, 0.0)}
    assert {row.explanation for row in rows} == {"No indicator has an opinion."}


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 18), st.floats(0.2, 5.0))
def test_changing_every_bar_from_an_issue_on_leaves_its_row_and_all_before(seed, issue, factor):
    close = random_walk(seed, 400)
    position = 30 + 20 * issue
    changed = close.copy()
    changed[position:] = factor * random_walk(seed + 1, 400 - position)
    assert rules(as_bars(changed)).rows[: issue + 1] == rules(as_bars(close)).rows[: issue + 1]


def test_the_look_ahead_test_would_notice_a_look_ahead():
    close = random_walk(3, 400)
    changed = close.copy()
    changed[300:] *= np.linspace(1.0, 0.3, 100)
    assert rules(as_bars(changed)).rows[15:] != rules(as_bars(close)).rows[15:]


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(31, 400))
def test_fewer_bars_give_the_beginning_of_the_same_table(seed, length):
    whole = as_bars(random_walk(seed, 400))
    part = rules(whole.iloc[:length])
    assert part.rows == rules(whole).rows[: len(part)]
    assert len(part) == len(range(30, length, 20))


def test_bars_and_settings_that_cannot_work_are_refused(bars):
    with pytest.raises(GuidanceError, match="expected more than 30 bars for a first guidance, got 30"):
        rules(bars.iloc[:30])
    with pytest.raises(GuidanceError, match="expected every >= 1 bar, got 0"):
        rules(bars, every=0)
    with pytest.raises(GuidanceError, match="expected first >= 1 bar, got 0"):
        rules(bars, first=0)
    with pytest.raises(DataError, match="column 'close'"):
        rules(bars.rename(columns=str.title))
    with pytest.raises(DataError, match="finite, positive closes"):
        rules(bars.assign(close=bars["close"].where(bars.index != bars.index[40])))
    with pytest.raises(DataError, match="DatetimeIndex, got RangeIndex"):
        rules(bars.reset_index())
    with pytest.raises(DataError, match="time zone UTC"):
        rules(bars.tz_localize("UTC"))
    with pytest.raises(DataError, match="unique, increasing"):
        rules(bars.iloc[::-1])


@pytest.mark.real_bars
def test_rules_on_real_bars_are_no_constant(real_bars):
    bars = pd.concat([real_bars("AAPL", "train"), real_bars("AAPL", "test")])
    frame = rules(bars).frame
    assert len(frame) == 100
    assert 0.5 < frame["direction"].mean() < 0.9
    assert frame["confidence"].value_counts().min() >= 5
