"""FLAG-Trader's environment against gymnasium's own checks, the accounts it is made of, and a look ahead."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from llmguide import sample_bars
from llmguide.errors import DataError
from llmguide.trading.flag_accounts import FlagAccounts
from llmguide.trading.flag_env import FlagEnv
from llmguide.trading.flag_rules import BUY, HOLD, SELL

BARS = sample_bars(years=1, seed=5)


def walk(env, actions, **reset):
    observation, info = env.reset(**reset)
    seen, rewards, infos = [observation], [], [info]
    for action in actions:
        observation, reward, *_, info = env.step(action)
        seen.append(observation)
        rewards.append(reward)
        infos.append(info)
    return np.stack(seen), np.array(rewards), infos


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rules", ["house", "paper"])
def test_it_passes_gymnasiums_checks(training, rules):
    with warnings.catch_warnings():
        # It was made without gymnasium.make, which the checker mentions.
        warnings.filterwarnings("ignore", message=".*not available due to.*spec.*|.*wrapped.*|.*spec.*")
        check_env(FlagEnv(BARS, rules=rules, training=training), skip_render_check=True)


def test_the_observation_is_prices_account_and_the_last_ten_steps():
    env = FlagEnv(BARS, shown=5)
    seen, rewards, infos = walk(env, [HOLD, BUY, HOLD, SELL])
    closes = BARS["close"].to_numpy()
    np.testing.assert_allclose(seen[0][:5], closes[:5] / closes[4] - 1, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(seen[4][:5], closes[4:9] / closes[8] - 1, rtol=1e-5, atol=1e-7)
    assert seen[0][5:].tolist() == [0] * 32
    assert seen[2][5] > 0.99
    history = seen[4][7:].reshape(3, 10)
    assert history[2].tolist() == [0] * 7 + [1, 0, -1]
    np.testing.assert_allclose(history[0, -4:], rewards, rtol=1e-5)
    np.testing.assert_allclose(history[1, -4:], [info["value"] / 1e5 - 1 for info in infos[1:]], rtol=1e-3, atol=1e-7)
    assert infos[0]["date"] == BARS.index[4]
    assert infos[2]["legal"].tolist() == [True, True, False]
    assert env.action_masks().tolist() == [False, True, True]


def test_it_rewards_as_the_accounts_do_and_ends_after_65_steps_in_training():
    env = FlagEnv(BARS, training=True)
    _, info = env.reset(seed=4)
    start = BARS.index.get_loc(info["date"]) + 1
    accounts = FlagAccounts(BARS["close"].to_numpy(), env.rules)
    accounts.reset(0, start)
    actions = np.random.default_rng(1).integers(0, 3, 65)
    for step, action in enumerate(actions, 1):
        _, reward, over, truncated, info = env.step(action)
        assert reward == accounts.step([action])[0][0]
        assert (over, truncated) == (step == 65, False)
    assert info["sharpe"] == accounts.ledgers.ratio[0]
    with pytest.raises(DataError, match="call reset"):
        env.step(HOLD)


def test_the_same_seed_starts_at_the_same_bar_and_every_episode_fits():
    env = FlagEnv(BARS, training=True)
    dates = [env.reset(seed=3)[1]["date"], env.reset()[1]["date"], env.reset(seed=3)[1]["date"]]
    assert dates[0] == dates[2] != dates[1]
    starts = [BARS.index.get_loc(env.reset()[1]["date"]) + 1 for _ in range(300)]
    assert min(starts) >= 20
    assert max(starts) <= len(BARS) - 65


def test_no_observation_reward_or_mask_depends_on_later_bars():
    t = 90
    changed = BARS.copy()
    changed.iloc[t + 1 :] *= 2.5
    actions = np.random.default_rng(1).integers(0, 3, t - 19)  # the last one is filled at the close of t
    paths = [walk(FlagEnv(bars), actions) for bars in (BARS, changed)]
    np.testing.assert_array_equal(paths[0][0], paths[1][0])
    np.testing.assert_array_equal(paths[0][1], paths[1][1])
    for info, other in zip(paths[0][2], paths[1][2], strict=True):
        np.testing.assert_equal(info, other)
    # The observation before an action knows nothing of the bar that fills it.
    changed.iloc[t:] *= 2.5
    before = [walk(FlagEnv(bars), actions[:-1])[0][-1] for bars in (BARS, changed)]
    np.testing.assert_array_equal(*before)


def test_wrong_use_is_refused():
    env = FlagEnv(BARS)
    with pytest.raises(DataError, match="call reset"):
        env.step(HOLD)
    with pytest.raises(DataError, match="start must lie between 20"):
        env.reset(options={"start": 3})
    env.reset(options={"start": len(BARS) - 1})
    with pytest.raises(DataError, match="actions must be 0"):
        env.step(3)
    with pytest.raises(DataError, match="at least 85 bars"):
        FlagEnv(BARS.iloc[:84], training=True)
    with pytest.raises(DataError, match="at least 21 bars"):
        FlagEnv(BARS.iloc[:20])
