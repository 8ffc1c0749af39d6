"""All jobs in one batch, as a GPU trains them, against each job alone on a core."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from llmguide import Guidance, sample_bars
from llmguide.rl.batched_runs import train_batched
from llmguide.rl.config import DQNConfig
from llmguide.rl.double_dqn import Learner
from llmguide.rl.noise import Keys
from llmguide.rl.runs import EpisodeEnd, Resumed, episode_starts
from llmguide.rl.solo import SoloRun
from llmguide.rl.state import load_state
from llmguide.rl.training import Lesson

SMALL = DQNConfig(hidden=32, batch=16, target_update=50, epsilon_decay=100)
MARKETS = sample_bars(years=1, seed=2), sample_bars(years=1, seed=5).iloc[:200]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]


def guidance(bars):
    issued = bars.index[30::20]
    return Guidance.from_rows(
        pd.DataFrame({"issued_at": issued, "direction": [i % 2 for i in range(len(issued))], "confidence": 2})
    )


def jobs_of(seeds, episodes, *, config=SMALL, guided=True, states=None, curves=False):
    """Two instruments of different length, the same seeds in both."""
    jobs = []
    for number, bars in enumerate(MARKETS):
        lesson = Lesson.prepare(bars, guidance(bars) if guided else None, config=config, curves=curves)
        for seed in seeds:
            name = f"{number}-{seed}"
            jobs.append(lesson.job(seed, episodes, name=name, state=states and states / f"{name}.training"))
    return jobs


def last_events(events):
    return {e.job.name: e for e in events if isinstance(e, EpisodeEnd) and e.weights is not None}


def alone(jobs):
    return last_events(event for job in jobs for event in SoloRun(job).events(5))


def assert_alike(ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    for name, event in ours.items():
        other = theirs[name]
        assert (event.episode, event.updates) == (other.episode, other.updates)
        a, b = effective(event.weights), effective(other.weights)
        for part, weights in a.items():
            np.testing.assert_allclose(weights, b[part], atol=tolerance, err_msg=f"{name} {part}")


def effective(weights):
    """The network without the biases before batch norms, whose gradient is rounding noise, and what carries them."""
    noise = {f"{name.format(layer)}" for layer in range(1, 5) for name in ("fc{}.bias", "bn{}.running_mean")}
    return {part: array for part, array in weights.items() if part not in noise}


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("guided", [True, False])
def test_a_batch_of_instruments_and_seeds_learns_what_each_job_learns_alone(device, guided):
    jobs = jobs_of([3, 1, 7], 2, guided=guided)
    together = last_events(train_batched(jobs, torch.device(device), save_every=5))
    assert_alike(together, alone(jobs), 5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("steps", "agree", "share"), [(50, 1.0, 0.01), (100, 1.0, 0.04), (250, 0.9, 0.25)])
def test_the_first_updates_at_the_published_size_are_the_same_within_rounding(device, steps, agree, share, tmp_path):
    """Decisions and rewards are the same, and so are the networks, but for a share of the way that they went.

    Adam amplifies rounding wherever a gradient is small, update by update: with nothing changed but the library of the
    matrix products, two runs are 0.1 % of their way apart after 50 steps and 12 % after 250; then a decision differs.
    """
    bars = sample_bars(years=2, seed=2)
    lesson = Lesson.prepare(bars, guidance(bars), config=DQNConfig(epsilon_decay=100.0))
    jobs = [lesson.job(seed, 1, name=str(seed), state=tmp_path / f"{seed}.training") for seed in range(20)]
    jobs = [job for job in jobs if len(bars) - episode_starts(job)[0] > steps][:2]
    batch = train_batched(jobs, torch.device(device), save_every=5)
    for _ in range(steps // 50):
        next(batch)
    batch.close()
    together = [load_state(job) for job in jobs]
    for job, theirs in zip(jobs, together, strict=True):
        job.state.unlink()
        run = SoloRun(job)
        first = Learner(lesson.course.inputs, lesson.config, Keys.of(job.seed)).state()
        for _ in zip(range(steps // 50), run.events(5), strict=False):
            pass
        run.save()
        ours = load_state(job)
        assert (ours.step, theirs.step) == (steps, steps)
        assert ours.learner.updates == theirs.learner.updates == steps - 15
        for name, memory in ours.memory._asdict().items():
            assert np.isclose(memory, getattr(theirs.memory, name), rtol=1e-3, atol=1e-6).mean() >= agree, name
        way, apart = (np.linalg.norm(theirs.learner.flat - flat) for flat in (first.flat, ours.learner.flat))
        assert apart < share * way


def test_a_curve_measured_in_a_batch_has_every_episode():
    jobs = jobs_of([0, 1], 3, curves=True)
    together, each = last_events(train_batched(jobs, torch.device("cpu"), save_every=5)), alone(jobs)
    for name, event in together.items():
        points, others = (pd.DataFrame(list(e.curve)) for e in (event, each[name]))
        assert points["episode"].tolist() == [1, 2, 3]
        assert points["updates"].tolist() == others["updates"].tolist()
        assert points["train_sr"][0] == pytest.approx(others["train_sr"][0], abs=0.05)  # later ones: see the docs


def test_jobs_with_other_settings_train_in_batches_of_their_own():
    jobs = jobs_of([0], 1) + jobs_of([0], 1, guided=False) + jobs_of([4], 1, config=DQNConfig(hidden=16, batch=16))
    for i, job in enumerate(jobs):
        object.__setattr__(job, "name", f"{i}")
    assert_alike(last_events(train_batched(jobs, torch.device("cpu"), save_every=5)), alone(jobs), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [0.3, 0.9])
def test_an_interrupted_batch_goes_on_with_the_same_bits(tmp_path, stop_at):
    jobs = jobs_of([0, 1], 3, states=tmp_path)
    whole = last_events(train_batched(jobs_of([0, 1], 3), torch.device("cpu"), save_every=5))
    events = train_batched(jobs, torch.device("cpu"), save_every=5)
    first = {}
    for count, event in enumerate(events):
        if isinstance(event, EpisodeEnd) and event.weights is not None:
            first[event.job.name] = event
        if count > stop_at * 20:
            break
    events.close()
    rest = [job for job in jobs if job.name not in first]
    assert all(job.state.exists() for job in rest)
    resumed = list(train_batched(rest, torch.device("cpu"), save_every=5))
    assert {e.job for e in resumed if isinstance(e, Resumed)} == set(rest)
    together = first | last_events(resumed)
    for name, event in whole.items():
        for part, weights in event.weights.items():
            np.testing.assert_array_equal(weights, together[name].weights[part], err_msg=f"{name} {part}")


def test_a_run_begun_alone_can_be_finished_in_a_batch_and_the_other_way_round(tmp_path):
    jobs = jobs_of([2], 3, states=tmp_path)
    expected = alone(jobs_of([2], 3))
    for job in jobs:
        run = SoloRun(job)
        for _ in zip(range(4), run.events(5), strict=False):
            pass
        run.save()
    events = train_batched(jobs, torch.device("cpu"), save_every=5)
    for _ in zip(range(5), events, strict=False):
        pass
    events.close()
    assert_alike(alone(jobs), expected, 5e-3)
