"""Training end to end: seeds, independence of the batch, curves, and a market that must be learned."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch

from llmguide import Guidance, sample_bars, sharpe_ratio, simulate, train_dqn
from llmguide.errors import DataError, ModelError
from llmguide.mixture import FollowAgent
from llmguide.rl.batched_runs import train_batched
from llmguide.rl.config import DQNConfig
from llmguide.rl.evaluation import follow
from llmguide.rl.parallel import train_jobs
from llmguide.rl.runs import EpisodeEnd, Tick, planned_steps
from llmguide.rl.training import Lesson

SMALL = DQNConfig(hidden=32, batch=16, target_update=50)
BARS = sample_bars(years=1, seed=2)
CPU = torch.device("cpu")


def same(a, b):
    return all(np.array_equal(a.weights[name], b.weights[name]) for name in a.weights)


def always_long(bars):
    return Guidance.from_rows(pd.DataFrame({"issued_at": bars.index[30:31], "direction": [1], "confidence": [3]}))


def test_the_same_seed_gives_the_same_agent_and_another_seed_another():
    first, again, other = (train_dqn(BARS, seeds=[s], episodes=2, config=SMALL)[0] for s in (4, 4, 5))
    assert same(first, again)
    assert not same(first, other)


def jobs_for(seeds, episodes, *, bars=BARS, config=SMALL, guidance=None, states=None):
    lesson = Lesson.prepare(bars, guidance, config=config)
    return [
        lesson.job(seed, episodes, name=f"seed {seed}", state=states and states / f"{seed}.training") for seed in seeds
    ]


def test_the_number_of_workers_changes_no_bit():
    outcomes = []
    for workers in (1, 3):
        ends = [e for e in train_jobs(jobs_for([0, 1, 2, 3], 2), CPU, workers=workers) if isinstance(e, EpisodeEnd)]
        outcomes.append({end.job.seed: end.weights["fc5.weight"] for end in ends if end.weights})
    assert outcomes[0].keys() == outcomes[1].keys() == {0, 1, 2, 3}
    assert all(np.array_equal(outcomes[0][key], outcomes[1][key]) for key in outcomes[0])


def test_stopping_early_leaves_no_worker_behind_and_gives_torch_its_threads_back():
    before = torch.get_num_threads()
    events = train_jobs(jobs_for(range(6), 50), CPU, workers=2)
    next(events)
    events.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("llmguide")]
    assert torch.get_num_threads() == before


def test_a_failing_worker_is_the_callers_error(monkeypatch):
    def fail(*args):
        raise MemoryError("no room")

    monkeypatch.setattr("llmguide.rl.solo.Learner", fail)
    with pytest.raises(MemoryError, match="no room"):
        train_dqn(BARS, seeds=2, episodes=1, config=SMALL, progress=False)


def test_the_steps_planned_are_the_steps_taken_alone_and_in_a_batch():
    jobs = jobs_for([5, 6], 2)
    for events in (train_jobs(jobs, CPU), train_batched(jobs, CPU, save_every=5)):
        assert sum(e.steps for e in events if isinstance(e, Tick)) == planned_steps(jobs)


def test_guidance_widens_the_observation_by_one_and_changes_nothing_else():
    plain = train_dqn(BARS, seeds=1, episodes=1, config=SMALL)[0]
    guided = train_dqn(BARS, always_long(BARS), seeds=1, episodes=1, config=SMALL)[0]
    assert plain.weights["fc1.weight"].shape == (117, 32)
    assert guided.weights["fc1.weight"].shape == (118, 32)
    assert plain.scaler == guided.scaler
    assert {k: v.shape for k, v in plain.weights.items() if k != "fc1.weight"} == {
        k: v.shape for k, v in guided.weights.items() if k != "fc1.weight"
    }


def test_curves_hold_every_episode_and_test_bars_never_change_the_agent():
    test = sample_bars(years=1, seed=9)
    seen = []
    agents = train_dqn(
        BARS, seeds=2, episodes=2, config=SMALL, curves=True, test=test,
        finished=lambda agent: seen.append((agent.seed, len(agent.notes["curve"]))),
    )  # fmt: skip
    assert agents.curves[["seed", "episode"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert agents.curves[["train_sr", "test_sr"]].notna().all(axis=None)
    assert sorted(seen) == [(0, 2), (1, 2)]
    for agent in agents:
        last = agent.notes["curve"][-1]
        for name, bars, training in (("train_sr", BARS, True), ("test_sr", test, False)):
            path = follow(agent, bars, None, training=training)
            assert last[name] == pytest.approx(sharpe_ratio(pd.Series(path.values).pct_change().fillna(0.0)), rel=1e-9)
    blind = train_dqn(BARS, seeds=2, episodes=2, config=SMALL)
    assert all(same(a, b) for a, b in zip(agents, blind, strict=True))
    assert blind.curves.empty


def test_training_uses_no_bar_after_the_last_training_bar():
    longer = sample_bars(years=2, seed=2)
    assert same(*(train_dqn(b.iloc[:200], seeds=1, episodes=1, config=SMALL)[0] for b in (longer, longer.iloc[:230])))


def test_bars_that_are_held_out_teach_nothing_and_the_agents_say_so():
    whole, cut = (
        train_dqn(BARS, seeds=2, episodes=1, config=SMALL, holdout=60),
        train_dqn(BARS.iloc[:-60], seeds=2, episodes=1, config=SMALL),
    )
    for one, other in zip(whole, cut, strict=True):
        assert same(one, other)
        assert one.scaler == other.scaler
        assert one.notes == other.notes
        assert one.notes["trained_on"]["last"] == str(BARS.index[-61])
        assert FollowAgent(one).first(BARS) == len(BARS) - 60
    changed = BARS.copy()
    changed.iloc[-60:] *= np.linspace(0.3, 3.0, 60)[:, None]
    guided = (
        train_dqn(bars, always_long(BARS), seeds=1, episodes=1, config=SMALL, holdout=60)[0] for bars in (BARS, changed)
    )
    assert same(*guided)


@pytest.mark.parametrize("holdout", [-1, len(BARS), 20.5])
def test_a_holdout_that_leaves_no_bars_or_is_no_number_of_bars_is_refused(holdout):
    with pytest.raises(DataError, match=rf"expected holdout, the number of bars .* got {holdout}; hold out fewer"):
        train_dqn(BARS, seeds=1, episodes=1, config=SMALL, holdout=holdout)


def test_no_decision_depends_on_later_bars():
    agent = train_dqn(BARS, always_long(BARS), seeds=1, episodes=1, config=SMALL)[0]
    t = 150
    changed = BARS.copy()
    changed.iloc[t:] *= np.linspace(0.3, 3, len(BARS) - t)[:, None]
    tau = always_long(BARS).tau(BARS.index)
    a, b = (agent.q_table(bars, tau)[: t - 29] for bars in (BARS, changed))
    np.testing.assert_array_equal(a, b)


def test_following_an_agent_is_simulating_its_decisions():
    agent = train_dqn(BARS, seeds=1, episodes=1, config=SMALL)[0]
    path = follow(agent, BARS, None)
    np.testing.assert_array_equal(path.values, simulate(BARS, path.decisions)["value"])
    q = agent.q_table(BARS)
    sides = np.concatenate([[0], 2 * path.decisions[:-1].astype(int) - 1])
    chosen = q[np.arange(len(q)), sides + 1].argmax(axis=1)
    np.testing.assert_array_equal(chosen, path.decisions)


def test_an_agent_wants_guidance_exactly_if_it_was_trained_with_it():
    plain = train_dqn(BARS, seeds=1, episodes=1, config=SMALL)[0]
    guided = train_dqn(BARS, always_long(BARS), seeds=1, episodes=1, config=SMALL)[0]
    with pytest.raises(ModelError, match="takes no tau"):
        plain.q_table(BARS, np.zeros(len(BARS)))
    with pytest.raises(ModelError, match="needs tau"):
        guided.q_table(BARS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "seeds are"),
        ({"seeds": [1, 1]}, "different numbers"),
        ({"seeds": 1, "episodes": 0}, "episodes must"),
        ({"seeds": 1, "device": "tpu"}, "expected device to be"),
        ({"seeds": 1, "device": "cuda"}, "no GPU"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    if settings.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so asking for one is right")
    with pytest.raises(ModelError, match=message):
        train_dqn(BARS, **{"episodes": 1, "config": SMALL} | settings)


def test_guidance_that_says_nothing_on_the_training_bars_is_refused():
    later = Guidance.from_rows(pd.DataFrame({"issued_at": ["2035-01-01"], "direction": [1], "confidence": [3]}))
    with pytest.raises(ModelError, match="has no direction on any training bar"):
        train_dqn(BARS, later, seeds=1, episodes=1, config=SMALL)


def test_a_wrong_setting_of_the_agent_is_named():
    with pytest.raises(ModelError, match="did you mean 'dropout'"):
        DQNConfig.from_dict({"dropuot": 0.1})
    with pytest.raises(ModelError, match="discount must lie"):
        DQNConfig(discount=1.4)


@pytest.mark.slow
def test_it_learns_to_ride_a_wave():
    """Holding either side of a sine gains little; a policy that turns with it multiplies the capital."""
    days = pd.bdate_range("2015-01-01", periods=300, name="date")
    close = 75 + 20 * np.sin(np.arange(300) / 300 * 2 * np.pi * 8)
    bars = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1e6}, days)
    config = DQNConfig(hidden=64, learning_rate=1e-3, epsilon_decay=500)
    agents = train_dqn(bars, seeds=2, episodes=20, config=config)
    holding = [simulate(bars, np.full(270, side))["value"].iloc[-1] for side in (0, 1)]
    for agent in agents:
        assert follow(agent, bars, None).values[-1] > 5 * max(holding)


@pytest.mark.slow
def test_twenty_five_runs_of_the_published_size_need_less_than_two_gibibytes():
    # The process' own peak: getrusage's begins with that of the process it was started from, which may be any test's.
    script = (
        "from llmguide import sample_bars, train_dqn\n"
        "train_dqn(sample_bars(years=1), seeds=25, episodes=1, curves=True)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * 1024**2  # KiB
