"""Nothing is lost: training that was interrupted anywhere goes on with the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide import sample_bars, train_dqn
from llmguide.errors import ModelError
from llmguide.rl.checkpoint import load_agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.parallel import train_jobs
from llmguide.rl.runs import EpisodeEnd, Resumed
from llmguide.rl.solo import SoloRun
from llmguide.rl.training import Lesson

SMALL = DQNConfig(hidden=16, batch=16, target_update=50, replay=300, epsilon_decay=100)
BARS = sample_bars(years=1, seed=2)
EPISODES = 4


def job(state=None, *, config=SMALL, seed=1, episodes=EPISODES, curves=True, bars=BARS):
    lesson = Lesson.prepare(bars, None, config=config, curves=curves)
    return lesson.job(seed, episodes, name=f"seed {seed}", state=state)


def last(events):
    *_, event = (e for e in events if isinstance(e, EpisodeEnd))
    return event


WHOLE = last(SoloRun(job()).events(5))


def assert_same(event, other):
    assert (event.episode, event.updates, event.curve) == (other.episode, other.updates, other.curve)
    for name, weights in event.weights.items():
        np.testing.assert_array_equal(weights, other.weights[name], err_msg=name)


@pytest.mark.slow
@settings(max_examples=20)
@given(first=st.integers(0, 60), second=st.integers(0, 60))
def test_training_interrupted_twice_anywhere_gives_the_same_bits(tmp_path_factory, first, second):
    training = job(tmp_path_factory.mktemp("states") / "agent.training")
    for events in (first, second):
        run = SoloRun(training)
        list(islice(run.events(5), events))
        run.save()
    assert_same(last(SoloRun(training).events(5)), WHOLE)


def test_the_state_is_saved_every_few_episodes_and_says_where_training_stands(tmp_path):
    path = tmp_path / "agent.training"
    run = SoloRun(job(path))
    for event in run.events(2):
        if isinstance(event, EpisodeEnd):
            assert path.exists() == (event.episode >= 2)
        if isinstance(event, EpisodeEnd) and event.episode == 3:
            break
    resumed = next(SoloRun(job(path)).events(2))
    assert isinstance(resumed, Resumed)
    assert (resumed.episodes, resumed.steps) == (2, WHOLE.curve[1]["updates"] + 7)


def test_the_public_door_goes_on_from_its_folder_and_leaves_it_empty(tmp_path):
    def interrupt(agent):
        raise KeyboardInterrupt

    def train(seeds, **options):
        return train_dqn(BARS, seeds=seeds, episodes=EPISODES, config=SMALL, curves=True, states=tmp_path, **options)

    def kept():
        return {path.name for path in tmp_path.iterdir()}

    try:
        train([1, 2], finished=interrupt)
    except KeyboardInterrupt:
        at_once = kept()  # while the exception is told, and its traceback keeps every frame alive
    assert at_once == kept() == {"seed-1.training", "seed-2.training"}
    agents = train([1, 2])
    assert list(tmp_path.iterdir()) == []
    untouched = train_dqn(BARS, seeds=[1, 2], episodes=EPISODES, config=SMALL, curves=True)
    for agent, expected in zip(agents, untouched, strict=True):
        assert agent.notes == expected.notes
        for name, weights in agent.weights.items():
            np.testing.assert_array_equal(weights, expected.weights[name])


def test_closing_the_events_saves_every_job_that_was_in_training(tmp_path):
    jobs = [job(tmp_path / f"{seed}.training", seed=seed, episodes=200) for seed in range(3)]
    events = train_jobs(jobs, torch.device("cpu"), workers=2)
    next(events)
    events.close()
    assert {path.name for path in tmp_path.iterdir()} == {"0.training", "1.training"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "seed"),
        ({"episodes": 5}, "episodes"),
        ({"curves": False}, "curve"),
        ({"config": DQNConfig(hidden=16, batch=16, replay=300, discount=0.5)}, "settings"),
        ({"bars": BARS.iloc[:-1]}, "bars"),
    ],
)
def test_the_state_of_another_training_is_refused(tmp_path, change, named):
    path = tmp_path / "agent.training"
    SoloRun(job(path)).save()
    with pytest.raises(ModelError, match=rf"another training \(other .*{named}.*delete it"):
        SoloRun(job(path, **change))


@pytest.mark.parametrize("damage", ["cut", "foreign", "empty", "numbers"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path, damage):
    path = tmp_path / "agent.training"
    SoloRun(job(path)).save()
    content = path.read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "foreign": b"\x02\0\0\0\0\0\0\0{}",
        "empty": b"",
        "numbers": content.replace(b'\\"step\\": 0', b'\\"stop\\": 0'),
    }
    assert damaged[damage] != content
    path.write_bytes(damaged[damage])
    with pytest.raises(ModelError, match=r"is damaged .*delete it to train seed 1 from the start"):
        SoloRun(job(path))


SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
from llmguide import sample_bars, train_dqn
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.config import DQNConfig

CONFIG = DQNConfig(hidden=32, batch=16, target_update=200)
BARS = sample_bars(years=1, seed=4).iloc[:90]
FOLDER = Path(sys.argv[1])

def live(folder):
    # A process of its own, forked before anything has a thread, so that a life costs no imports.
    pid = os.fork()
    if pid == 0:
        train_dqn(
            BARS, seeds=1, episodes=120, config=CONFIG, states=folder / "states",
            finished=lambda agent: save_agent(agent, folder / "agent.safetensors"),
        )
        os._exit(0)
    return pid

def stamps(folder):
    return [path.stat().st_mtime_ns for path in sorted((folder / "states").glob("*.training"))]

def live_to_the_first_save(folder):
    before, pid = stamps(folder), live(folder)
    while stamps(folder) == before and os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.002)
    return pid

pid, begin = live_to_the_first_save(FOLDER / "whole"), time.monotonic()
assert os.waitpid(pid, 0)[1] == 0
seconds = time.monotonic() - begin
moments = random.Random(5)
for life in range(10):
    # The moment counts from the first state that is saved, so that each life gets a little further, but never far.
    pid = live_to_the_first_save(FOLDER / "killed")
    time.sleep(moments.uniform(0.0, seconds / 30))
    os.kill(pid, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL, "training was over before it could be killed"
assert os.waitpid(live(FOLDER / "killed"), 0)[1] == 0
"""


@pytest.mark.slow
def test_killed_at_ten_random_moments_and_resumed_the_final_weights_are_bit_identical(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script, tmp_path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_agent(tmp_path / name / "agent.safetensors") for name in ("killed", "whole"))
    for name, weights in theirs.weights.items():
        np.testing.assert_array_equal(ours.weights[name], weights, err_msg=name)
    assert ours.notes == theirs.notes
    assert list((tmp_path / "killed" / "states").iterdir()) == []
