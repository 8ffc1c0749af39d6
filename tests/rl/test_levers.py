"""The settings that the papers do not have: off they change nothing, on they do what they say and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file

from llmguide import Guidance, load_agent, sample_bars, sharpe_ratio, simulate, train_dqn
from llmguide.errors import ModelError
from llmguide.guidance.controls import oracle
from llmguide.rl.agent import greedy_decisions
from llmguide.rl.batched_dqn import BatchedLearner, Transitions
from llmguide.rl.batched_runs import train_batched
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.config import LEVERS, DQNConfig
from llmguide.rl.course import Course
from llmguide.rl.double_dqn import Learner
from llmguide.rl.evaluation import follow
from llmguide.rl.experience import Batch
from llmguide.rl.jitter import jittered, months_of
from llmguide.rl.noise import Keys, choose
from llmguide.rl.parallel import train_jobs
from llmguide.rl.runs import EpisodeEnd, Resumed, planned_steps, updates_after
from llmguide.rl.solo import SoloRun
from llmguide.rl.training import Lesson
from llmguide.trading.account import FLAT
from llmguide.trading.observation import Scaler

SMALL = DQNConfig(hidden=16, batch=16, target_update=50, replay=300, epsilon_decay=100)
BARS = sample_bars(years=1, seed=2)
TABLE = oracle(BARS, accuracy=0.8, confidence="varying", first=30)
TAU = TABLE.tau(BARS.index)
CPU = torch.device("cpu")

ON = {
    "constant": {"tau": "constant"},
    "jittered": {"tau": "jittered"},
    "raw bars": {"smoothing": 0},
    "raw prices": {"raw_prices": True},
    "agreement": {"agreement": 0.5},
    "discount": {"discount": 0.9},
    "flat": {"actions": 3},
    "all": {"tau": "jittered", "raw_prices": True, "agreement": 0.5, "discount": 0.9, "actions": 3},
}
each_lever = pytest.mark.parametrize("lever", ON)


def job(lever, state=None, *, seed=1, episodes=3):
    lesson = Lesson.prepare(BARS, TABLE, config=replace(SMALL, **ON.get(lever, {})))
    return lesson.job(seed, episodes, name=f"seed {seed}", state=state)


def last(events):
    *_, event = (e for e in events if isinstance(e, EpisodeEnd))
    return event


def same(a, b):
    return all(np.array_equal(a.weights[name], b.weights[name]) for name in a.weights)


@pytest.fixture(scope="module")
def agents():
    """One agent of each lever, and the published one."""
    return {
        lever: train_dqn(BARS, TABLE, seeds=[1], episodes=3, config=replace(SMALL, **ON.get(lever, {})))[0]
        for lever in ("published", *ON)
    }


@pytest.mark.slow
@each_lever
def test_a_lever_changes_the_agent_and_the_same_seed_gives_the_same_one(agents, lever):
    again = last(SoloRun(job(lever)).events(5))
    assert same(agents[lever], again)
    if lever != "flat":
        assert not same(agents[lever], agents["published"])


def test_settings_that_are_off_are_not_written_so_that_older_files_are_still_those_of_the_same_settings():
    assert not {"tau", "agreement", "actions", "raw_prices"} & DQNConfig().to_dict().keys()
    assert DQNConfig.from_dict(DQNConfig().to_dict()) == DQNConfig()
    on = DQNConfig(**ON["all"])
    assert {name: on.to_dict()[name] for name in LEVERS} == {name: ON["all"][name] for name in LEVERS}
    assert DQNConfig.from_dict(json.loads(json.dumps(on.to_dict()))) == on


def test_the_published_agent_draws_what_it_drew_before_the_levers():
    """Numbers of the version before; the arithmetic of the agents themselves has other bits on other machines."""
    keys = Keys.of(7)
    assert keys[:3] == (1693125408465869867, 4042502035264064771, 17559002276220262541)
    assert keys.dropout == 6823953754371609207
    draws = [choose(keys.choices, step, 32, 2) for step in range(64)]
    assert int("".join(str(draw.action) for draw in draws), 2) == 14182401826825061387
    assert draws[5] == (0.2889311325112405, 0.5809422898802784, 1)


def test_a_state_from_before_the_levers_is_gone_on_with(tmp_path):
    whole, path = last(SoloRun(job("published")).events(5)), tmp_path / "old.training"
    run = SoloRun(job("published", path))
    list(islice(run.events(5), 4))
    run.save()
    arrays = load_file(path)
    del arrays["memory.episode"]
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]
    save_file(arrays, path, metadata=header)
    events = SoloRun(job("published", path)).events(5)
    assert isinstance(next(events), Resumed)
    assert same(last(events), whole)


@each_lever
def test_a_lever_is_part_of_the_checkpoint_and_of_an_unfinished_training(agents, lever, tmp_path):
    loaded = load_agent(save_agent(agents[lever], tmp_path / "a.safetensors"))
    assert loaded.config == replace(SMALL, **ON[lever])
    np.testing.assert_array_equal(loaded.decide(BARS, TAU), agents[lever].decide(BARS, TAU))
    state = tmp_path / "a.training"
    SoloRun(job(lever, state)).save()
    with pytest.raises(ModelError, match=r"another training \(other settings"):
        SoloRun(job("published", state))


@pytest.mark.parametrize("lever", ["jittered", "all"])
@pytest.mark.parametrize("events", [3, 11])
def test_interrupted_and_resumed_with_a_lever_the_bits_are_the_same(agents, lever, events, tmp_path):
    training = job(lever, tmp_path / "a.training")
    run = SoloRun(training)
    list(islice(run.events(5), events))
    run.save()
    assert same(last(SoloRun(training).events(5)), agents[lever])


@pytest.mark.slow
@each_lever
def test_a_batch_of_runs_learns_with_a_lever_what_each_learns_alone(lever):
    event = last(train_batched([job(lever, seed=0, episodes=1)], CPU, save_every=5))
    alone = last(SoloRun(job(lever, seed=0, episodes=1)).events(5))
    assert event.updates == alone.updates > 100
    noise = {f"{name.format(layer)}" for layer in range(1, 5) for name in ("fc{}.bias", "bn{}.running_mean")}
    for name in event.weights.keys() - noise:
        np.testing.assert_allclose(event.weights[name], alone.weights[name], atol=5e-3, err_msg=name)


def test_a_batch_with_all_levers_is_interrupted_and_resumed_and_its_runs_have_strengths_of_their_own(tmp_path):
    def jobs(folder=None):
        return [job("all", folder and folder / f"{seed}.training", seed=seed, episodes=1) for seed in (0, 4)]

    whole = {e.job.seed: e for e in train_batched(jobs(), CPU, save_every=5) if isinstance(e, EpisodeEnd) and e.weights}
    stopped = train_batched(jobs(tmp_path), CPU, save_every=5)
    list(islice(stopped, 3))
    stopped.close()
    resumed = [e for e in train_batched(jobs(tmp_path), CPU, save_every=5) if isinstance(e, EpisodeEnd) and e.weights]
    assert {e.job.seed for e in resumed} == {0, 4}
    assert all(same(event, whole[event.job.seed]) for event in resumed)


def test_three_actions_take_the_steps_and_updates_that_are_planned():
    events = list(train_jobs([job("flat")], CPU))
    steps = planned_steps([job("flat")])
    assert last(events).updates == updates_after(replace(SMALL, actions=3), steps) == steps - 5  # 5 steps store 15


def test_a_month_is_a_stretch_of_the_same_tau():
    assert months_of(np.array([0.0, 0.0, 0.5, 0.5, -0.5, 0.5])).tolist() == [0, 0, 1, 1, 2, 3]


def test_jittered_strengths_are_those_of_other_months_and_keep_their_signs():
    key = Keys.of(3).sizes
    taus = jittered(TAU, key, 400)
    months = months_of(TAU)
    monthly = np.array([TAU[months == month][0] for month in range(months.max() + 1)])
    np.testing.assert_array_equal(np.sign(taus), np.broadcast_to(np.sign(monthly), taus.shape))
    sizes = np.unique(np.abs(monthly[monthly != 0]).astype(np.float32))
    assert len(sizes) > 5
    assert set(np.abs(taus[:, monthly != 0]).ravel()) == set(sizes)
    # No fingerprint: over episodes every month has the same mean size, that of all months.
    mean = np.abs(taus[:, monthly != 0]).mean(axis=0)
    np.testing.assert_allclose(mean, np.abs(monthly[monthly != 0]).mean(), atol=5 * np.abs(monthly).std() / 20)
    assert (taus[0] != taus[1]).any()
    np.testing.assert_array_equal(jittered(TAU, key, 5), taus[:5])
    assert not np.array_equal(jittered(TAU, Keys.of(4).sizes, 5), taus[:5])


def test_guidance_that_is_nowhere_is_jittered_to_nothing():
    assert not jittered(np.zeros(5), Keys.of(0).sizes, 2).any()


def test_a_jittered_agent_meets_drawn_strengths_in_training_and_real_ones_in_use(agents):
    course = Course.lay(BARS, TAU, Scaler.fit(BARS), DQNConfig(tau="jittered"))
    np.testing.assert_array_equal(course.rows[:-1, -1], TAU[30:].astype(np.float32))  # for curves
    assert course.taus(Keys.of(0).sizes, 2).shape == (2, months_of(TAU).max() + 1)
    table = agents["jittered"].q_table(BARS, TAU)
    assert not np.array_equal(table, agents["jittered"].q_table(BARS, np.sign(TAU)))


def test_an_agent_with_tau_of_a_constant_size_does_not_see_the_strength(agents):
    agent = agents["constant"]
    np.testing.assert_array_equal(agent.q_table(BARS, TAU), agent.q_table(BARS, np.sign(TAU) * 0.01))
    assert not np.array_equal(agent.q_table(BARS, TAU), agent.q_table(BARS, -TAU))
    course = Course.lay(BARS, TAU, Scaler.fit(BARS), DQNConfig(tau="constant"))
    assert set(course.rows[:, -1]) == {-1.0, 1.0}
    np.testing.assert_array_equal(course.rows[:-1, -1], np.sign(TAU[30:]))


def test_guidance_of_constant_size_is_the_same_to_both():
    even = Guidance.from_rows(
        pd.DataFrame({"issued_at": BARS.index[30::20], "direction": np.arange(12) % 2, "confidence": 3})
    )
    agents = [
        train_dqn(BARS, even, seeds=1, episodes=1, config=replace(SMALL, tau=tau))[0]
        for tau in ("published", "constant", "jittered")
    ]
    assert same(agents[0], agents[1])
    assert same(agents[0], agents[2])


@pytest.mark.parametrize("prices", ["raw_prices", "smoothing"])
def test_with_raw_prices_training_trades_as_use_does(agents, prices):
    agent = agents["raw prices" if prices == "raw_prices" else "raw bars"]
    trained, used = follow(agent, BARS, TAU, training=True), follow(agent, BARS, TAU)
    np.testing.assert_array_equal(trained.values, used.values)
    smoothed = agents["published"]
    assert not np.array_equal(follow(smoothed, BARS, TAU, training=True).values, follow(smoothed, BARS, TAU).values)


def test_a_strong_reward_for_agreement_makes_an_agent_follow_its_guidance():
    """The bonus alone decides here: it is a hundred times what a bar moves."""
    config = DQNConfig(hidden=32, batch=32, target_update=100, epsilon_decay=200, discount=0.0, agreement=1.0)
    agent = train_dqn(BARS, TABLE, seeds=1, episodes=8, config=replace(config, tau="constant"))[0]
    decided = agent.decide(BARS, TAU)[TAU[30:] != 0]
    assert np.mean((decided == 1) == (TAU[30:][TAU[30:] != 0] > 0)) > 0.9


def test_curves_are_those_of_the_account_without_the_bonus_and_know_flat():
    config = replace(SMALL, **ON["all"])
    agent = train_dqn(BARS, TABLE, seeds=1, episodes=2, config=config, curves=True)[0]
    path = follow(agent, BARS, TAU, training=True)
    measured = sharpe_ratio(pd.Series(path.values).pct_change().fillna(0.0))
    assert agent.notes["curve"][-1]["train_sr"] == pytest.approx(measured, rel=1e-6)


def test_what_an_agent_of_three_actions_decides_is_what_the_simulator_carries_out(agents):
    agent = agents["flat"]
    decisions = agent.decide(BARS, TAU)
    assert agent.q_table(BARS, TAU).shape == (len(BARS) - 30, 3, 3)
    assert set(decisions) <= {1, 0, FLAT}
    table = simulate(BARS, decisions, flat=True)
    np.testing.assert_allclose(follow(agent, BARS, TAU).values, table["value"], rtol=1e-12)


@pytest.mark.parametrize("lever", ["constant", "flat", "all"])
def test_what_is_decided_by_many_taus_at_once_is_what_each_alone_decides(agents, lever):
    agent, g = agents[lever], np.random.default_rng(4)
    taus = np.stack([TAU, -TAU, np.zeros(len(BARS)), g.choice([-1.0, -0.3, 0.0, 0.7], len(BARS))])
    decided = agent.decide_all(BARS, taus)
    np.testing.assert_array_equal(decided, [agent.decide(BARS, tau) for tau in taus])
    assert len(np.unique(decided, axis=0)) > 1
    cut = len(BARS) - 20
    changed, later = BARS.copy(), taus.copy()
    changed.iloc[cut:] *= 1.3
    later[:, cut:] *= -1.0
    np.testing.assert_array_equal(agent.decide_all(changed, later)[:, : cut - 30], decided[:, : cut - 30])


def test_the_largest_of_three_values_decides_and_of_equal_ones_short_before_long_before_flat():
    by_side = np.array([[[0, 1, 2], [0, 2, 1], [2, 1, 0]]] * 3 + [[[1, 1, 1]] * 3, [[0, 2, 2]] * 3], dtype=float)
    #  From no side: long; from long: short; from short: flat; then short by the tie; long by the tie.
    assert greedy_decisions(by_side).tolist() == [1, 0, FLAT, 0, 1]


def test_what_is_decided_at_a_bar_uses_no_bar_from_there_on(agents):
    for lever, agent in agents.items():
        t = 150
        changed = BARS.copy()
        changed.iloc[t:] *= np.linspace(0.3, 3, len(BARS) - t)[:, None]
        later = TAU.copy()
        later[t + 1 :] = -0.123
        before, after = agent.q_table(BARS, TAU), agent.q_table(changed, later)
        np.testing.assert_array_equal(before[: t - 30 + 1], after[: t - 30 + 1], err_msg=lever)
        assert not np.array_equal(before, after)


def test_what_is_learned_at_a_bar_uses_no_bar_after_it():
    t, config = 150, DQNConfig(**ON["all"])
    scaler, changed = Scaler.fit(BARS), BARS.copy()
    changed.iloc[t:] *= np.linspace(0.3, 3, len(BARS) - t)[:, None]
    later = TAU.copy()
    later[t + 1 :] *= -1.0
    a, b = Course.lay(BARS, TAU, scaler, config), Course.lay(changed, later, scaler, config)
    np.testing.assert_array_equal(a.rows[: t - 30 + 1], b.rows[: t - 30 + 1])
    np.testing.assert_array_equal(a.prices[:t], b.prices[:t])
    np.testing.assert_array_equal(a.market.bonus[: t + 1], b.market.bonus[: t + 1])
    np.testing.assert_array_equal(a.market.month[: t + 1], b.market.month[: t + 1])
    assert not np.array_equal(a.market.bonus, b.market.bonus)


def test_one_update_of_three_actions_is_the_batched_learners():
    config = DQNConfig(hidden=24, batch=8, actions=3)
    keys, inputs, random = Keys.of(5), 11, np.random.default_rng(1)
    ours, theirs = Learner(inputs, config, keys), BatchedLearner(inputs, config, [keys], CPU)
    for _ in range(3):
        batch = Batch.empty(8, inputs)
        batch.states[:] = random.normal(size=batch.states.shape)
        batch.action[:], batch.reward[:] = random.integers(0, 3, 8), random.normal(size=8)
        batch.live[:] = random.random(8) > 0.3
        halves = [torch.from_numpy(half.copy())[None] for half in (batch.states[:8], batch.states[8:])]
        rest = [torch.from_numpy(x.copy())[None] for x in (batch.action.astype(np.int64), batch.reward, batch.live)]
        loss = theirs.update(Transitions(halves[0], rest[0], rest[1], rest[2], halves[1]))
        assert ours.update(batch) == pytest.approx(float(loss), rel=1e-4)
    apart = np.abs(ours.state().flat - theirs.state(0).flat)
    assert np.mean(apart < 1e-5) > 0.95  # the biases before a batch norm follow the rounding alone


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"tau": "constnat"},
            r"tau must be one of published, constant, jittered, got 'constnat'; did you mean 'constant'\?",
        ),
        ({"agreement": -0.1}, "agreement is added to the rewards"),
        ({"agreement": float("nan")}, "agreement is added to the rewards"),
        ({"actions": 4}, r"actions must be 2 \(short, long\) or 3 \(short, long, flat\), got 4"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ModelError, match=message):
        DQNConfig(**settings)


def test_settings_of_guidance_are_refused_where_there_is_none():
    with pytest.raises(ModelError, match=r"tau and agreement change how an agent uses its guidance, but there is none"):
        train_dqn(BARS, seeds=1, episodes=1, config=replace(SMALL, tau="constant", agreement=0.1))


def test_a_network_with_other_outputs_than_the_settings_say_is_refused(agents, tmp_path):
    path = save_agent(agents["flat"], tmp_path / "a.safetensors")
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]
    description = json.loads(header["llmguide"])
    del description["config"]["actions"]
    save_file(load_file(path), path, metadata={"llmguide": json.dumps(description)})
    with pytest.raises(ModelError, match="do not fit together"):
        load_agent(path)
    with pytest.raises(ModelError, match="an agent of 2 actions has a network with as many outputs, but this"):
        replace(agents["flat"], config=SMALL)
