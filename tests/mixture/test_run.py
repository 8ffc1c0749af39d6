"""`llmguide.mix`: what it has seen, experts of known worth, its frames and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmguide
from llmguide import Guidance
from llmguide.errors import DataError, LlmguideError
from llmguide.guidance.controls import constant, inverted, oracle, shuffled
from llmguide.mixture import FollowAgent, Function, MovingAverages, Prior, Sides, mix_draws, sides_of

FRAMES = ("sides", "results", "records", "weights", "positions")
EVEN = Prior(0.03, 252)


def momentum(bars):
    return np.tanh(20.0 * bars["close"].pct_change(5).shift(1))


def future_sides(bars):
    """What earns on every bar: the sign of the return from its close to the next."""
    change = bars["close"].pct_change().shift(-1)
    return np.where(change >= 0, 1.0, -1.0)


@pytest.fixture(scope="module")
def setting(make_bars, make_agent):
    bars = make_bars(140, 11)
    rows = [(30, 1), (50, 0), (70, None), (95, 1), (120, 0)]
    table = Guidance.from_rows(
        [
            {"issued_at": bars.index[place], "direction": said, "confidence": None if said is None else 3}
            for place, said in rows
        ]
    )
    tau = table.tau(bars.index)
    return bars, {
        "agent": make_agent(bars, last=60),
        "guided": FollowAgent(make_agent(bars, tau, last=75), table),
        "guidance": table,
        "hold": "hold",
        "trend": MovingAverages(3, 12, since=bars.index[40]),
        "mine": momentum,
        "array": np.resize([1.0, -1.0, 0.0, np.nan, 0.5], len(bars)),
    }


@settings(max_examples=15)
@given(t=st.integers(31, 138), seed=st.integers(0, 10_000))
def test_nothing_after_a_bar_changes_anything_up_to_it(setting, t, seed):
    bars, experts = setting
    random = np.random.default_rng(seed)
    changed = bars.copy()
    moved = np.exp(random.normal(0.0, 0.1, len(bars) - 1 - t))
    for name in ("open", "high", "low", "close"):
        changed.iloc[t + 1 :, changed.columns.get_loc(name)] *= moved
    changed.iloc[t + 1 :, changed.columns.get_loc("volume")] = random.uniform(1.0, 1e5, len(moved))
    now, then = llmguide.mix(bars, experts), llmguide.mix(changed, experts)
    for name in FRAMES:
        # At the close of t the position for t + 1 is known, the result of t + 1 is not.
        known = t + 1 if name == "results" else t + 2
        one, other = (getattr(mixed, name).iloc[:known] for mixed in (now, then))
        assert one.equals(other), name
    assert now.decisions.loc[: bars.index[t + 1]].equals(then.decisions.loc[: bars.index[t + 1]])


@pytest.mark.parametrize("count", [78, 100, 139])
def test_fewer_bars_give_the_same_rows(setting, count):
    bars, experts = setting
    whole = llmguide.mix(bars, experts)
    begun = llmguide.mix(bars.iloc[:count], experts | {"array": experts["array"][:count]})
    for name in FRAMES:
        one, other = getattr(begun, name), getattr(whole, name).iloc[:count]
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-12)


def test_bars_after_it_do_change_what_comes_later(setting):
    """Else the test above would prove nothing."""
    bars, experts = setting
    changed = bars.copy()
    changed.iloc[100:] *= np.linspace(1.0, 2.0, 40)[:, None] ** np.resize([1, -1], 40)[:, None]
    now, then = llmguide.mix(bars, experts), llmguide.mix(changed, experts)
    for name in FRAMES:
        assert not getattr(now, name).equals(getattr(then, name))
    differ = (now.weights != then.weights).to_numpy() & (then.weights > 0).to_numpy()
    assert differ[102:].any(axis=0).all()  # every expert's


def test_an_expert_has_no_weight_on_bars_that_it_learned_from(setting):
    bars, experts = setting
    mixed = llmguide.mix(bars, experts)
    for name, first in (("agent", 61), ("guided", 76), ("guidance", 30), ("trend", 40), ("mine", 6)):
        assert mixed.sides[name].iloc[:first].isna().all()
        assert (mixed.weights[name].iloc[:first] == 0).all()
        assert mixed.results[name].iloc[:first].isna().all()
        assert mixed.sides[name].iloc[first:].notna().all()


def test_the_frames_have_the_bars_dates_and_a_column_for_each_expert(setting):
    bars, experts = setting
    mixed = llmguide.mix(bars, experts)
    for name in FRAMES[:-1]:
        frame = getattr(mixed, name)
        assert frame.index.equals(bars.index)
        assert list(frame) == list(experts)
    assert mixed.positions.index.equals(bars.index)
    np.testing.assert_allclose(
        mixed.positions.iloc[30:], (mixed.weights * mixed.sides.fillna(0.0)).sum(axis=1).iloc[30:], atol=1e-12
    )
    text = repr(mixed)
    assert text.startswith("Mix(140 bars; last weights agent ")
    assert text.endswith(f"position {mixed.positions.iloc[-1]:+.2f})")


def test_nothing_is_held_before_the_start_but_records_are_kept(setting):
    bars, experts = setting
    early, late = (llmguide.mix(bars, experts, start=start) for start in (30, 100))
    assert (early.positions.iloc[:30] == 0).all()
    assert (late.positions.iloc[:100] == 0).all()
    assert late.positions.iloc[100:].equals(early.positions.iloc[100:])
    assert late.records.equals(early.records)
    assert late.decisions.index.equals(bars.index[100:])


def test_decisions_are_the_signs_and_can_be_traded(make_bars):
    bars = make_bars(120, 2)
    sides = np.resize(np.repeat([1.0, -1.0], 7), 120)
    mixed = llmguide.mix(bars, {"only": Sides(sides, prior=Prior(1.0, 1e9))})
    assert (mixed.decisions == (sides[30:] > 0)).all()
    account = llmguide.simulate(bars, mixed.decisions)
    assert (account["side"].iloc[30:] == sides[30:]).all()
    swept = llmguide.sweep(bars, mixed.decisions)
    np.testing.assert_allclose(swept.account()["value"], account["value"])


def test_nobody_trusted_is_flat(make_bars):
    bars = make_bars(120, 2)
    mixed = llmguide.mix(bars, {"hold": Sides(np.ones(120), prior=Prior(-1.0, 1e9))})
    assert (mixed.weights == 0).all(axis=None)
    assert (mixed.positions == 0).all()
    assert (mixed.decisions == -1).all()
    account = llmguide.sweep(bars, mixed.decisions).account({})
    assert (account["value"] == 100_000.0).all()


def test_an_expert_who_knows_gets_all_the_weight_and_its_opposite_none(make_bars):
    bars = make_bars(300, 4)
    future = future_sides(bars)
    mixed = llmguide.mix(bars, {"right": future, "wrong": -future})
    assert mixed.weights["right"].iloc[62] < 0.6  # one result against 252 bars of prior
    assert (mixed.weights["right"].iloc[100:] == 1.0).all()
    assert (mixed.weights["wrong"].iloc[100:] == 0.0).all()
    np.testing.assert_array_equal(mixed.positions.iloc[100:], future[100:])


def test_equal_experts_share_and_a_copy_changes_no_position(make_bars):
    bars = make_bars(200, 5)
    two = llmguide.mix(bars, {"a": momentum, "b": momentum})
    assert (two.weights["a"] == two.weights["b"]).all()
    np.testing.assert_allclose(two.positions, llmguide.mix(bars, {"a": momentum}).positions, atol=1e-15)


def test_the_order_of_the_experts_does_not_matter(setting):
    bars, experts = setting
    forth, back = llmguide.mix(bars, experts), llmguide.mix(bars, dict(reversed(experts.items())))
    np.testing.assert_allclose(forth.positions, back.positions, atol=1e-14)
    for name in experts:
        np.testing.assert_allclose(forth.weights[name], back.weights[name], atol=1e-14)


def test_controls_get_what_they_deserve():
    bars = llmguide.sample_bars(years=6, seed=3)
    foresight = oracle(bars)
    mixed = llmguide.mix(
        bars,
        {
            "oracle": foresight,
            "inverted": inverted(foresight),
            "shuffled": shuffled(foresight, seed=1),
            "constant": constant(bars),
            "hold": "hold",
        },
    )
    last, records = mixed.weights.iloc[-1], mixed.records.iloc[-1]
    assert last["oracle"] > 0.5
    assert last["inverted"] == 0.0
    assert records["oracle"] > max(records["shuffled"], records["hold"]) > records["inverted"]
    # A constant LONG is holding, but for the first bars, of which none has a deviation, and for the prior.
    np.testing.assert_array_equal(mixed.results["constant"].iloc[61:], mixed.results["hold"].iloc[61:])
    assert mixed.uses_future
    assert repr(mixed).endswith("; USES THE FUTURE)")
    assert not llmguide.mix(bars, {"hold": "hold"}).uses_future


def test_the_more_accurate_an_expert_is_the_more_its_mixture_earns(make_bars):
    """Guidance that is right on a share of the months, beside holding: 200 seeded draws of each share."""
    bars = make_bars(700, 6)
    change = bars["close"].pct_change().to_numpy()
    month = np.arange(700) // 20
    right = np.sign([np.nansum(change[1:][month[:-1] == m]) for m in range(month.max() + 1)])
    random = np.random.default_rng(0)
    earned = []
    for accuracy in (0.4, 0.6, 0.8, 1.0):
        flips = np.where(random.random((200, len(right))) < accuracy, 1.0, -1.0)
        sides = np.stack([(flips * right)[:, month], np.ones((200, 700))], axis=2)
        positions = mix_draws(bars, sides, [Prior(0.02, 252), Prior(0.02, 1000)])
        earned.append((positions[:, :-1] * change[1:]).mean())
    assert (np.diff(earned) > 0).all()
    assert earned[-1] > 0.001 > earned[0]


def test_an_expert_that_trades_too_much_loses_its_weight_to_costs(make_bars):
    bars = make_bars(400, 7)
    busy = np.resize([1.0, -1.0], 400)
    spread = bars["close"].pct_change().rolling(60).std().shift(1)
    costs = (0.0, 0.0001, 0.001)
    free, cheap, dear = (llmguide.mix(bars, {"busy": busy, "hold": "hold"}, cost=cost) for cost in costs)
    for mixed, cost in ((cheap, costs[1]), (dear, costs[2])):
        paid = (free.results["busy"] - mixed.results["busy"]).iloc[61:]
        np.testing.assert_allclose(paid, (2.0 * cost / spread).iloc[61:], atol=1e-12)
        assert mixed.results["hold"].equals(free.results["hold"])
    last = [mixed.records["busy"].iloc[-1] for mixed in (free, cheap, dear)]
    assert last[0] > last[1] > 0 > last[2]
    assert (cheap.weights["busy"].iloc[-1] > 0) > (dear.weights["busy"].iloc[-1] > 0)


@pytest.mark.parametrize(
    ("experts", "said"),
    [
        ({}, "experts by name"),
        (["hold"], "experts by name"),
        ({"mine": "hodl"}, "the expert 'mine' is 'hodl'"),
        ({"mine": np.ones(3)}, "the expert 'mine': .*shape"),
        ({"mine": Function(lambda bars: bars["close"] / bars["close"].max())}, "the expert 'mine': .*looks ahead"),
    ],
)
def test_experts_that_cannot_be_are_refused(make_bars, experts, said):
    with pytest.raises(LlmguideError, match=said):
        llmguide.mix(make_bars(80), experts)


def test_bars_cost_and_start_that_cannot_be_are_refused(make_bars):
    bars = make_bars(80)
    for wrong, said in (({"cost": 1.0}, "cost"), ({"start": 80}, "start"), ({"start": 0}, "start")):
        with pytest.raises(DataError, match=said):
            llmguide.mix(bars, {"hold": "hold"}, **wrong)
    with pytest.raises(DataError, match=r"row 1 .* follows"):
        llmguide.mix(bars.iloc[::-1], {"hold": "hold"})


@pytest.mark.real_bars
def test_on_real_bars_perfect_guidance_is_found_out_and_inverted_guidance_too(real_bars):
    bars = pd.concat([real_bars("AAPL", "train").loc["2016-10":], real_bars("AAPL", "test")])
    start = bars.index.searchsorted(pd.Timestamp("2018-01-01"))
    every = {"start": start, "cost": 0.001}
    perfect = llmguide.mix(bars, {"guidance": oracle(bars), "hold": "hold"}, **every)
    poor = llmguide.mix(bars, {"guidance": inverted(oracle(bars)), "hold": "hold"}, **every)
    assert perfect.weights["guidance"].iloc[-1] > 0.7
    assert (poor.weights["guidance"].iloc[start:] == 0.0).all()
    np.testing.assert_array_equal(poor.positions.iloc[start:], 1.0)
    np.testing.assert_array_equal(sides_of(poor.decisions), np.ones(len(bars) - start))
