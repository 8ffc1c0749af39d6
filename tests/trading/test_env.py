"""The gymnasium environment against gymnasium's own checks, the simulator, and a look ahead."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env

from llmguide import Guidance, TradingEnv, sample_bars, simulate
from llmguide.errors import DataError

BARS = sample_bars(years=1, seed=5)


def monthly(bars):
    dates = bars.index[30::20]
    return Guidance.from_rows(
        pd.DataFrame({"issued_at": dates, "direction": np.arange(len(dates)) % 2, "confidence": 2})
    )


def walk(env, actions, **reset):
    observation, info = env.reset(**reset)
    seen, rewards, values = [observation], [], [info["value"]]
    for action in actions:
        observation, reward, over, _, info = env.step(action)
        seen.append(observation)
        rewards.append(reward)
        values.append(info["value"])
    return np.stack(seen), np.array(rewards), np.array(values), over


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("guided", [False, True])
def test_it_passes_gymnasiums_checks(guided, training):
    env = TradingEnv(BARS, monthly(BARS) if guided else None, training=training)
    with warnings.catch_warnings():
        # It was made without gymnasium.make, which the checker mentions.
        warnings.filterwarnings("ignore", message=".*not available due to.*spec.*|.*wrapped.*|.*spec.*")
        check_env(env, skip_render_check=True)
    assert env.observation_space.shape == (118 if guided else 117,)


def test_it_trades_as_the_simulator_does():
    actions = np.random.default_rng(0).integers(0, 2, len(BARS) - 30)
    _, rewards, values, over = walk(TradingEnv(BARS), actions)
    table = simulate(BARS, actions)
    np.testing.assert_allclose(values[1:], table["value"][30:])
    np.testing.assert_allclose(rewards, table["reward"][30:].clip(-1, 1))
    assert over


def test_the_untaken_reward_is_the_other_actions():
    env = TradingEnv(BARS)
    env.reset()
    _, long_reward, _, _, info = env.step(1)
    env.reset()
    _, short_reward, _, _, other = env.step(0)
    assert (info["untaken_reward"], other["untaken_reward"]) == (short_reward, long_reward)


def test_the_last_two_values_are_the_side_and_tau():
    guidance = monthly(BARS)
    seen, *_ = walk(TradingEnv(BARS, guidance), [1, 0, 0])
    assert seen[:, 116].tolist() == [0, 1, -1, -1]
    np.testing.assert_allclose(seen[:, 117], guidance.tau(BARS.index)[30:34], rtol=1e-6)


def test_the_same_seed_starts_at_the_same_bar():
    env = TradingEnv(BARS, training=True)
    starts = [env.reset(seed=3)[1]["date"], env.reset()[1]["date"], env.reset(seed=3)[1]["date"]]
    assert starts[0] == starts[2] != starts[1]


def test_no_observation_or_reward_depends_on_later_bars():
    t = 90
    changed = BARS.copy()
    changed.iloc[t + 1 :] *= 2.5
    scaler = TradingEnv(BARS).scaler
    actions = np.random.default_rng(1).integers(0, 2, t - 29)
    for training in (False, True):
        paths = [
            walk(TradingEnv(bars, monthly(BARS), training=training, scaler=scaler), actions, options={"start": 30})
            for bars in (BARS, changed)
        ]
        for a, b in zip(*paths, strict=True):
            np.testing.assert_array_equal(a, b)


def test_wrong_use_is_refused():
    env = TradingEnv(BARS)
    with pytest.raises(DataError, match="start must lie between 30"):
        env.reset(options={"start": 3})
    env.reset(options={"start": len(BARS) - 1})
    with pytest.raises(DataError, match="actions must be 1"):
        env.step(2)
    env.step(1)
    with pytest.raises(DataError, match="call reset"):
        env.step(1)


@pytest.mark.slow
def test_a_dqn_of_stable_baselines3_trains_on_it():
    from stable_baselines3 import DQN

    bars = sample_bars(years=2, seed=1)
    env = TradingEnv(bars, monthly(bars), training=True)
    model = DQN("MlpPolicy", env, learning_starts=50, buffer_size=2_000, seed=0, policy_kwargs={"net_arch": [32]})
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(600)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
    observation, _ = TradingEnv(bars, monthly(bars), scaler=env.scaler).reset()
    action, _ = model.predict(observation, deterministic=True)
    assert action in (0, 1)
