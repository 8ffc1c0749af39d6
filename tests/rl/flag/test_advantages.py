"""Advantages: a case worked by hand, stable-baselines3's buffer, and the sum of rewards that a trace of 1 gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from llmguide.rl.flag.advantages import estimate_advantages


def column(*numbers):
    return np.array(numbers, dtype=float)[:, None]


def test_an_episode_that_ends_in_the_middle_worked_by_hand():
    advantages, returns = estimate_advantages(
        column(1, 2, 3), column(4, 5, 6), column(0, 1, 0).astype(bool), np.array([8.0]), discount=0.5, trace=0.5
    )
    last = 3 + 0.5 * 8 - 6  # 1
    middle = 2 - 5  # the episode ends: nothing follows
    first = 1 + 0.5 * 5 - 4 + 0.25 * middle  # -1.25
    np.testing.assert_allclose(advantages, column(first, middle, last))
    np.testing.assert_allclose(returns, column(first + 4, middle + 5, last + 6))


def rollout(seed, steps=30, environments=3):
    rng = np.random.default_rng(seed)
    shape = (steps, environments)
    return rng.normal(size=shape), rng.normal(size=shape), rng.random(shape) < 0.1, rng.normal(size=environments)


@given(seed=st.integers(0, 2**32 - 1), discount=st.sampled_from([0.0, 0.95, 1.0]), trace=st.sampled_from([0, 0.98, 1]))
def test_they_are_those_of_stable_baselines3(seed, discount, trace):
    from stable_baselines3.common.buffers import RolloutBuffer

    rewards, values, over, last = rollout(seed)
    buffer = RolloutBuffer(
        len(rewards), spaces.Box(-1, 1, (1,)), spaces.Discrete(3), gae_lambda=trace, gamma=discount, n_envs=3
    )
    buffer.rewards[:], buffer.values[:] = rewards, values
    buffer.episode_starts[1:] = over[:-1]
    buffer.compute_returns_and_advantage(torch.tensor(last), over[-1])
    advantages, returns = estimate_advantages(rewards, values, over, last, discount=discount, trace=trace)
    np.testing.assert_allclose(advantages, buffer.advantages, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(returns, buffer.returns, rtol=1e-4, atol=1e-5)


def test_with_a_trace_of_one_the_returns_are_discounted_sums_of_rewards():
    rewards, values, over, last = rollout(1, environments=1)
    _, returns = estimate_advantages(rewards, values, over, last, discount=0.9, trace=1.0)
    following, expected = last[0], []
    for reward, ended in zip(rewards[::-1, 0], over[::-1, 0], strict=True):
        following = reward + 0.9 * (0.0 if ended else following)
        expected.append(following)
    np.testing.assert_allclose(returns[:, 0], expected[::-1])


@pytest.mark.parametrize("trace", [0.0, 1.0])
def test_what_was_foreseen_has_no_advantage(trace):
    rewards = np.ones((5, 1))
    values = 2.0 - 0.5 ** np.arange(5, 0, -1)[:, None] * 2  # the discounted sums of what follows until the end
    over = np.array([[0], [0], [0], [0], [1]], dtype=bool)
    advantages, _ = estimate_advantages(rewards, values, over, np.zeros(1), discount=0.5, trace=trace)
    np.testing.assert_allclose(advantages, 0.0, atol=1e-12)
