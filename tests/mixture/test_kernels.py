"""Results, records, weights, positions: by hand, by a slow twin, one bar at a time, in many draws; and their laws."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import llmguide
from llmguide.errors import DataError, LlmguideError
from llmguide.mixture import Mixture, Prior, Sides, mix_draws
from llmguide.trading.simulate import returns_of

SIDE = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1.0, 1.0))


def draw_sides(random, shape):
    """Sides of every kind that stay for a while: long, short, flat, between, none."""
    sides = random.choice([-1.0, 1.0, 0.0, 0.3, -0.7, np.nan], size=shape, p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.1])
    keep = random.random(shape) < 0.7
    for t in range(1, shape[-2]):
        sides[..., t, :] = np.where(keep[..., t, :], sides[..., t - 1, :], sides[..., t, :])
    return sides


def frame_of(closes):
    return pd.DataFrame(
        {"close": np.asarray(closes, dtype=float)}, index=pd.bdate_range("2016-01-04", periods=len(closes), name="date")
    )


def mix(bars, sides, priors, *, cost=0.001):
    """`llmguide.mix` of columns of sides, trading from the second bar on."""
    experts = {f"e{i}": Sides(sides[:, i], prior=prior) for i, prior in enumerate(priors)}
    return llmguide.mix(bars, experts, cost=cost, start=1)


def test_a_bar_worked_by_hand():
    """60 returns of +1 % and -1 % in turn, then +2 %: deviation 1 % sqrt(60/59), ddof 1."""
    changes = [0.01, -0.01] * 30 + [0.02, 0.0, 0.0]
    closes = 100.0 * np.cumprod([1.0, *(1.0 + change for change in changes)])
    spread = 0.01 * math.sqrt(60 / 59)
    sides = np.ones((len(closes), 3))
    sides[:, 1] = -1.0
    sides[61, 1] = 1.0  # turned at the close of bar 61, whose return of 2 % it has suffered
    sides[62:, 1] = 1.0
    sides[:61, 2] = 0.0  # comes in at that close, with half of the account
    sides[61:, 2] = 0.5
    mixed = mix(frame_of(closes), sides, [Prior(0.05, 1000), Prior(0.02, 252), Prior(0.02, 100)], cost=0.001)
    np.testing.assert_allclose(mixed.results.iloc[61], np.array([0.02, -0.02 - 0.002, -0.0005]) / spread)
    assert mixed.results.iloc[:61].isna().all(axis=None)
    # Bar 61 decides with the priors alone, bar 62 with one result each.
    np.testing.assert_allclose(mixed.weights.iloc[61], np.array([0.05, 0.02, 0.02]) / 0.09)
    records = [
        (1000 * 0.05 + 0.02 / spread) / 1001,
        (252 * 0.02 - 0.022 / spread) / 253,
        (100 * 0.02 - 0.0005 / spread) / 101,
    ]
    np.testing.assert_allclose(mixed.records.iloc[62], records)
    np.testing.assert_allclose(mixed.weights.iloc[62], np.array(records) / sum(records))
    assert mixed.positions.iloc[62] == pytest.approx((records[0] + records[1] + 0.5 * records[2]) / sum(records))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cost", [0.0, 0.001, 0.05])
def test_every_number_is_that_of_a_slow_twin(make_bars, slow, seed, cost):
    random = np.random.default_rng(seed)
    bars = make_bars(170, seed)
    sides = draw_sides(random, (170, 4))
    priors = [Prior(*pair) for pair in zip(random.uniform(-0.1, 0.1, 4), random.uniform(1.0, 300.0, 4), strict=True)]
    mixed = mix(bars, sides, priors, cost=cost)
    listed = [[None if np.isnan(side) else float(side) for side in row] for row in sides]
    expected = slow(bars["close"], listed, [(prior.mean, prior.count) for prior in priors], cost=cost)
    for got, wanted in zip((mixed.results, mixed.records, mixed.weights), expected, strict=False):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mixed.positions[1:], expected[3][1:], rtol=1e-9, atol=1e-12)
    assert mixed.positions.iloc[0] == 0.0
    assert ((mixed.weights == 0).any(axis=None) and (mixed.records < 0).any(axis=None)) or cost == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_one_bar_at_a_time_gives_the_same_numbers(make_bars, seed):
    random = np.random.default_rng(seed)
    bars, sides = make_bars(150, seed), draw_sides(random, (150, 3))
    priors = {"e0": Prior(0.05, 1000), "e1": Prior(0.02, 20), "e2": Prior(-0.01, 5)}
    whole = mix(bars, sides, priors.values())
    changes = bars["close"].pct_change().to_numpy()  # the first is NaN
    live = Mixture(priors)
    for t in range(150):
        now = sides[t] if t % 2 else dict(zip(priors, sides[t], strict=True))
        mixed = live.update(changes[t - 1] if t else math.nan, now)
        np.testing.assert_allclose(mixed.weights, whole.weights.iloc[t], rtol=0.0, atol=1e-12)
        np.testing.assert_allclose(mixed.records, whole.records.iloc[t], rtol=0.0, atol=1e-12)
        assert t < 1 or mixed.position == pytest.approx(whole.positions.iloc[t], abs=1e-12)


def test_the_same_returns_give_the_same_bits_one_by_one(make_bars):
    bars, sides = make_bars(200, 5), draw_sides(np.random.default_rng(5), (200, 2))
    priors = [Prior(0.03, 252), Prior(0.02, 60)]
    whole, live = mix(bars, sides, priors), Mixture(priors)
    changes = returns_of(bars["close"].to_numpy())
    changes[0] = math.nan
    for t in range(200):
        mixed = live.update(changes[t - 1] if t else math.nan, sides[t])
        assert (mixed.weights == whole.weights.iloc[t]).all()
        assert t < 1 or mixed.position == whole.positions.iloc[t]


def test_many_draws_are_each_a_mixture_of_its_own(make_bars):
    random = np.random.default_rng(1)
    bars, sides = make_bars(120, 1), draw_sides(random, (7, 120, 3))
    priors = [Prior(0.05, 1000), Prior(0.02, 20), Prior(0.02, 100)]
    positions = mix_draws(bars, sides, priors)
    assert positions.shape == (7, 120)
    for draw in range(7):
        np.testing.assert_array_equal(positions[draw, 1:], mix(bars, sides[draw], priors).positions[1:])


@settings(max_examples=25)
@example(sides=[(None, None, 0.5)] * 70, seed=0, means=(0.0, 0.0, 5e-324), cost=0.0)  # the smallest number there is
@given(
    sides=st.lists(st.tuples(SIDE, SIDE, SIDE), min_size=70, max_size=90),
    seed=st.integers(0, 1000),
    means=st.tuples(*[st.floats(-0.2, 0.2, allow_subnormal=False)] * 3),
    cost=st.floats(0.0, 0.01),
)
def test_weights_are_shares_and_the_position_lies_among_the_sides(make_bars, sides, seed, means, cost):
    table = np.array([[np.nan if side is None else side for side in row] for row in sides])
    mixed = mix(make_bars(len(table), seed), table, [Prior(mean, 50) for mean in means], cost=cost)
    weights, positions = mixed.weights.to_numpy(), mixed.positions.to_numpy()
    assert (weights >= 0).all()
    assert (weights[np.isnan(table)] == 0).all()
    assert (weights[mixed.records.to_numpy() <= 0] == 0).all()
    trusted = weights.sum(axis=1) > 0
    np.testing.assert_allclose(weights[trusted].sum(axis=1), 1.0)
    assert (positions[~trusted] == 0).all()
    for t in np.flatnonzero(trusted[1:]) + 1:
        among = table[t][weights[t] > 0]
        assert among.min() - 1e-12 <= positions[t] <= among.max() + 1e-12


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100.0))
def test_the_price_level_does_not_matter(make_bars, seed, scale):
    bars, sides = make_bars(100, seed), draw_sides(np.random.default_rng(seed), (100, 2))
    priors = [Prior(0.03, 252)] * 2
    there = mix(bars * scale, sides, priors).positions
    np.testing.assert_allclose(there, mix(bars, sides, priors).positions, atol=1e-9)


def test_no_opinion_is_not_the_opinion_to_be_flat(make_bars):
    bars = make_bars(80)
    sides = np.ones((80, 2))
    sides[70:, 1] = np.nan
    silent = mix(bars, sides, [Prior(0.05, 1e9)] * 2)
    assert (silent.positions[70:] == 1.0).all()
    assert (silent.weights["e1"][70:] == 0.0).all()
    sides[70:, 1] = 0.0
    flat = mix(bars, sides, [Prior(0.05, 1e9)] * 2)
    np.testing.assert_allclose(flat.positions[70:], 0.5, atol=1e-3)


def test_bars_without_an_opinion_do_not_count(make_bars):
    bars = make_bars(100)
    sides = np.ones((100, 2))
    sides[80:, 1] = np.nan
    mixed = mix(bars, sides, [Prior(0.05, 10)] * 2, cost=0.001)
    left = mixed.results["e1"].iloc[80]  # its last result: it held on this bar and left at its close
    assert left == pytest.approx(mixed.results["e0"].iloc[80] - 0.001 / bars["close"].pct_change().iloc[20:80].std())
    assert mixed.results["e1"].iloc[81:].isna().all()
    assert (mixed.records["e1"].iloc[81:] == mixed.records["e1"].iloc[81]).all()
    sides[90:, 1] = 1.0
    back = mix(bars, sides, [Prior(0.05, 10)] * 2, cost=0.001)
    assert back.results["e1"].iloc[90] == pytest.approx(-0.001 / bars["close"].pct_change().iloc[30:90].std())


def test_experts_that_cancel_out_leave_no_position(make_bars):
    sides = np.tile([1.0, 1.0, -1.0], (80, 1))
    priors = [Prior(0.1, 1e9), Prior(0.2, 1e9), Prior(0.3, 1e9)]  # 0.1 + 0.2 is not 0.3 in floating point
    mixed = mix(make_bars(80), sides, priors)
    assert (mixed.positions[:62] == 0.0).all()
    assert (mixed.decisions[:61] == -1).all()


@pytest.mark.parametrize("closes", [[100.0] * 90, list(100.0 * 1.01 ** np.arange(90)), [0.1] * 70 + [0.2] * 20])
def test_returns_that_do_not_vary_are_no_scale(closes):
    """Neither flat prices nor a steady rise; the jump from one level to another comes after flat ones too."""
    mixed = mix(frame_of(closes), np.ones((90, 1)), [Prior(0.05, 1000)])
    assert mixed.results.iloc[:71].isna().all(axis=None)
    assert np.isfinite(mixed.records).all(axis=None)


@pytest.mark.parametrize(
    ("mean", "count", "said"),
    [
        (math.nan, 10, "finite"),
        (math.inf, 10, "finite"),
        (0.1, 0, "above 0"),
        (0.1, -5, "above 0"),
        (0.1, math.nan, "above 0"),
    ],
)
def test_a_prior_that_means_nothing_is_refused(mean, count, said):
    with pytest.raises(LlmguideError, match=said):
        Prior(mean, count)


def test_what_a_live_mixture_cannot_take_is_refused_and_changes_nothing(make_bars):
    changes = make_bars(80)["close"].pct_change().to_numpy()
    live, twin = (Mixture({"a": Prior(0.03, 5), "b": Prior(0.02, 5)}) for _ in range(2))
    for t in range(80):
        for wrong, said in (([1.0], "shape"), ([1.5, 0.0], r"\[-1, 1\]"), ({"a": 1.0, "c": 1.0}, "no expert 'c'")):
            with pytest.raises(LlmguideError, match=said):
                live.update(0.0, wrong)
        with pytest.raises(LlmguideError, match="side of 'b' too"):
            live.update(0.0, {"a": 1.0})
        with pytest.raises(LlmguideError, match="return"):
            live.update(-1.0, [1.0, 1.0])
        if t > 2:
            with pytest.raises(LlmguideError, match="return"):
                live.update(math.nan, [1.0, 1.0])
        mixed, expected = (m.update(changes[t - 1] if t else math.nan, [1.0, -0.5]) for m in (live, twin))
        assert (mixed.weights == expected.weights).all()
        assert mixed.position == expected.position


def test_mixtures_without_experts_or_with_impossible_costs_are_refused(make_bars):
    with pytest.raises(LlmguideError, match="at least one expert"):
        Mixture([])
    with pytest.raises(LlmguideError, match="expected a Prior"):
        Mixture({"a": (0.05, 1000)})
    for wrong in (1.0, -0.1, math.nan):
        with pytest.raises(LlmguideError, match="cost"):
            Mixture([Prior(0.05, 1000)], cost=wrong)
    with pytest.raises(LlmguideError, match="shape"):
        mix_draws(make_bars(80), np.ones((2, 80)), [Prior(0.05, 1000)])
    with pytest.raises(LlmguideError, match="cost"):
        mix_draws(make_bars(80), np.ones((2, 80, 1)), [Prior(0.05, 1000)], cost=1.0)
    with pytest.raises(DataError, match="close"):
        mix_draws(make_bars(80) * 0.0, np.ones((2, 80, 1)), [Prior(0.05, 1000)])
