"""What a run does beside learning, against plain Python; the draws; the account in torch against the rulebook."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sample_bars
from llmguide.rl import batched_account
from llmguide.rl.config import DQNConfig
from llmguide.rl.course import Course
from llmguide.rl.double_dqn import Learner
from llmguide.rl.experience import Batch, Memory, greedy, live
from llmguide.rl.noise import Keys, choose, draw_batch, draw_starts
from llmguide.trading import account
from llmguide.trading.observation import MarketArrays, Scaler, market_features, smooth

CONFIG = DQNConfig(hidden=16, batch=8, replay=120, sticky=0.3)
BARS = sample_bars(years=1, seed=3)
TAU = np.sin(np.arange(len(BARS)))


@pytest.mark.parametrize(
    "levers",
    [
        {},
        {"tau": "constant"},
        {"tau": "jittered", "agreement": 0.02},
        {"actions": 3, "agreement": 0.02, "raw_prices": True},
    ],
    ids=str,
)
def test_a_step_is_what_plain_python_makes_of_it(levers):
    """Action, account, replay and batch of 150 steps, with a memory that overflows, against a slow twin."""
    config = replace(CONFIG, **levers)
    course = Course.lay(BARS, TAU, Scaler.fit(BARS), config)
    keys = Keys.of(1)
    network = Learner(course.inputs, config, keys).network
    memory, batch = Memory.empty(CONFIG.replay), Batch.empty(CONFIG.batch, course.inputs)
    money = np.array([0.0, 0.0, CONFIG.cash])
    taus = course.taus(keys.sizes, 3)

    market = MarketArrays.of(BARS)
    prices = market.close if config.raw_prices else smooth(market.close, CONFIG.smoothing)
    features = market_features(market, Scaler.fit(BARS))
    stored, before, previous = [], (0.0, 0.0, CONFIG.cash), 0
    kinds = set()

    def observation(bar, side, episode):
        tau = np.sign(TAU[bar]) if config.tau == "constant" else TAU[bar]
        if config.tau == "jittered":
            tau = taus[episode, bar]  # every bar of this tau is a month of its own
        return np.array([*features[bar - 30], side, np.float32(tau)], dtype=np.float32)

    for step in range(150):
        bar, epsilon, episode = 30 + step, 0.4, step // 50
        action = live(
            course.market, course.rules, network, keys.choices, step, epsilon, bar, previous, money, memory, batch,
            episode, taus,
        )  # fmt: skip
        chance = choose(keys.choices, step, CONFIG.batch, config.actions)
        kinds.add(chance.explore <= epsilon or ("sticky" if chance.sticky <= CONFIG.sticky else "greedy"))
        if chance.explore <= epsilon:
            expected = chance.action
        elif chance.sticky <= CONFIG.sticky:
            expected = previous
        else:
            expected = greedy(network, observation(bar, before[0], episode))
        assert action == expected
        for tried in (action, *(other for other in range(config.actions) if other != action)):
            decision, side = [(0, -1), (1, 1), (-1, 0)][tried]
            after = account.transition.py_func(*before, decision, prices[bar], prices[bar - 1], CONFIG.cost)
            agrees = side * TAU[bar] > 0
            reward = np.clip(after[3], -1, 1) + (config.agreement if agrees else 0.0)
            stored.append((bar, before[0], tried, np.float32(reward), episode))
            if tried == action:
                taken = after
        before, previous = taken[:3], action
        np.testing.assert_array_equal(money, before)

        kept = stored[-CONFIG.replay :]
        in_memory = sorted(zip(*(array[: len(kept)].tolist() for array in memory), strict=True))
        assert in_memory == sorted((b, int(s), d, float(r), e) for b, s, d, r, e in kept)
        if len(kept) >= CONFIG.batch:
            assert len(set(batch.picks.tolist())) == CONFIG.batch
            for i, pick in enumerate(batch.picks):
                at, side, tried, reward, then = (array[pick] for array in memory)
                assert (batch.action[i], batch.reward[i], batch.live[i]) == (tried, reward, 1.0)
                np.testing.assert_array_equal(batch.states[i], observation(at, side, then))
                after = observation(at + 1, (-1, 1, 0)[tried], then)
                np.testing.assert_array_equal(batch.states[CONFIG.batch + i], after)
    assert kinds == {True, "sticky", "greedy"}


def test_the_last_bar_ends_an_episode_and_its_guidance_counts_once_more():
    course = Course.lay(BARS, TAU, Scaler.fit(BARS), CONFIG)
    keys = Keys.of(2)
    memory, batch = Memory.empty(CONFIG.replay), Batch.empty(CONFIG.batch, course.inputs)
    network = Learner(course.inputs, CONFIG, keys).network
    seen = 0
    for step in range(40):
        bar, money = len(BARS) - 4 + step % 4, np.array([0.0, 0.0, CONFIG.cash])
        live(
            course.market, course.rules, network, keys.choices, step, 1.0, bar, 0, money, memory, batch,
            0, course.taus(keys.sizes, 1),
        )  # fmt: skip
        if step >= CONFIG.batch:
            ended = memory.bar[batch.picks] == len(BARS) - 1
            np.testing.assert_array_equal(batch.live == 0.0, ended)
            assert (batch.states[CONFIG.batch :][ended, -1] == np.float32(TAU[-1])).all()
            seen += ended.sum()
    assert seen > 0


def test_observations_use_no_bar_from_the_decisions_bar_on():
    scaler, t = Scaler.fit(BARS), 150
    changed = BARS.copy()
    changed.iloc[t:] *= np.linspace(0.3, 3, len(BARS) - t)[:, None]
    later = TAU.copy()
    later[t + 1 :] += 1.0  # guidance at bar t was issued by t
    a, b = Course.lay(BARS, TAU, scaler, CONFIG), Course.lay(changed, later, scaler, CONFIG)
    np.testing.assert_array_equal(a.rows[: t - 30 + 1], b.rows[: t - 30 + 1])
    np.testing.assert_array_equal(a.prices[:t], b.prices[:t])
    assert not np.array_equal(a.rows, b.rows)


@given(st.integers(0, 2**63), st.integers(0, 10_000), st.integers(32, 100_000))
def test_a_batch_is_drawn_without_repetition_and_always_the_same(key, step, stored):
    first, again = np.empty(32, dtype=np.int64), np.empty(32, dtype=np.int64)
    draw_batch(np.uint64(key), step, stored, first)
    draw_batch(np.uint64(key), step, stored, again)
    np.testing.assert_array_equal(first, again)
    assert len(set(first.tolist())) == 32
    assert first.min() >= 0
    assert first.max() < stored


def test_draws_are_uniform_and_unrelated_between_steps_seeds_and_purposes():
    key, other = Keys.of(0), Keys.of(1)
    chances = np.array([choose(key.choices, step, 32, 2) for step in range(20_000)])
    foreign = np.array([choose(other.choices, step, 32, 2) for step in range(20_000)])
    np.testing.assert_allclose(chances.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(chances[:, :2].std(axis=0), 12**-0.5, atol=0.005)
    assert set(chances[:, 2]) == {0.0, 1.0}
    related = np.corrcoef(np.column_stack([chances[1:], chances[:-1], foreign[1:]]).T) - np.eye(9)
    assert np.abs(related).max() < 0.03
    counts = np.zeros(50)
    for step in range(5_000):
        picks = np.empty(8, dtype=np.int64)
        draw_batch(key.choices, step, 50, picks)
        counts[picks] += 1
    np.testing.assert_allclose(counts, 800, rtol=0.15)  # 800 expected, standard deviation 26
    third = np.bincount([choose(key.choices, step, 32, 3).action for step in range(20_000)])
    np.testing.assert_allclose(third, 20_000 / 3, rtol=0.03)  # standard deviation 67
    assert len({*key, *other}) == 10


def test_episodes_start_anywhere_but_with_a_whole_observation_behind():
    starts = draw_starts(Keys.of(0).starts, 20_000, 200, 30)
    assert (starts.min(), starts.max()) == (30, 199)
    np.testing.assert_allclose(np.mean(starts == 30), 31 / 200, atol=0.01)
    np.testing.assert_array_equal(draw_starts(Keys.of(0).starts, 5, 200, 30), starts[:5])


@given(
    side=st.sampled_from([-1.0, 0.0, 1.0]),
    shares=st.integers(-50, 5_000),
    cash=st.floats(-2e5, 5e5),
    price=st.floats(0.5, 900),
    move=st.floats(0.5, 2.0),
    cost=st.sampled_from([0.0, 0.001, 0.002, 0.05]),
)
def test_the_account_in_torch_is_the_rulebooks_to_the_last_bit(side, shares, cash, price, move, cost):
    for decision in (0, 1, -1):
        numbers = (side, float(shares), cash, float(decision), price, price * move)
        tensors = [torch.tensor([number, number], dtype=torch.float64) for number in numbers]
        expected = account.transition(*numbers[:3], decision, *numbers[4:], cost)
        for ours, theirs in zip(batched_account.transition(*tensors, cost, flat=decision < 0), expected, strict=True):
            assert ours[0] == ours[1]
            assert float(ours[0]) == pytest.approx(theirs, rel=0, abs=0)


def test_a_course_of_an_unguided_agent_has_one_value_less_and_nothing_else_changes():
    plain, guided = (Course.lay(BARS, tau, Scaler.fit(BARS), CONFIG) for tau in (None, TAU))
    assert (plain.inputs, guided.inputs) == (117, 118)
    np.testing.assert_array_equal(plain.rows, guided.rows[:, :-1])
    assert plain.market.side_column == guided.market.side_column == 116
