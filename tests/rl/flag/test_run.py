"""Training: the same seed the same bits, resumed from anywhere, and what a door, a curve and a checkpoint tell."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from text_policy import TextPolicy

from llmguide import sample_bars
from llmguide.errors import DataError, ModelError
from llmguide.rl.flag.checkpoint import read_trained
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.evaluation import walk_flag
from llmguide.rl.flag.lesson import FlagLesson
from llmguide.rl.flag.run import FlagResumed, FlagRun, RolloutEnd, draw_action
from llmguide.rl.flag.trained import load_trained, save_trained
from llmguide.rl.flag.training import train_flag
from llmguide.rl.progress import TrainingBar
from llmguide.trading.flag_rules import FlagRules

BARS = sample_bars(years=1, seed=2).iloc[:130]
SMALL = FlagConfig(
    steps=100, rollout=16, environments=2, accumulation=2, learning_rate=1e-2, rules=FlagRules(episode=9)
)
LESSON = FlagLesson.prepare(BARS, config=SMALL)
ROLLOUTS = 4  # 32, 64, 96 and 100 steps


def run(state=None, *, seed=1, lesson=LESSON, policy=None):
    return FlagRun(lesson, policy or TextPolicy(seed), seed, state=state)


def finish(training):
    for _ in training.events(2):
        pass
    return training


def assert_same(one, other):
    assert one.curve == other.curve
    for name, tensor in other.policy.trainable().items():
        assert torch.equal(one.policy.trainable()[name], tensor), name


WHOLE = finish(run())


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    assert_same(finish(run()), WHOLE)
    assert finish(run(seed=2)).curve != WHOLE.curve
    assert len(WHOLE.curve) == ROLLOUTS


@pytest.mark.parametrize("events", range(1, ROLLOUTS + 1))
def test_training_stopped_after_any_rollout_goes_on_with_the_same_bits(tmp_path, events):
    path = tmp_path / "flag.training"
    stopped = run(path).events(100)
    list(islice(stopped, events))
    stopped.close()
    resumed = run(path)
    assert_same(finish(resumed), WHOLE)
    assert next(run(path).events(1)) == FlagResumed(1, ROLLOUTS, 100)


class Interrupted(TextPolicy):
    """Presses Ctrl-C when it has been asked so often: `encode` in a rollout, `evaluate` in an update."""

    def __init__(self, *, encodes=10**9, gradients=10**9):
        super().__init__(1)
        self.encodes, self.gradients = encodes, gradients

    def encode(self, states):
        self.encodes -= 1
        if self.encodes < 0:
            raise KeyboardInterrupt
        return super().encode(states)

    def evaluate(self, encoded):
        self.gradients -= torch.is_grad_enabled()
        if self.gradients < 0:
            raise KeyboardInterrupt
        return super().evaluate(encoded)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [({"encodes": 5}, 0), ({"encodes": 53}, 3), ({"gradients": 5}, 2)],
)
def test_ctrl_c_in_the_middle_loses_a_rollout_and_within_an_update_what_was_not_saved(tmp_path, policy, kept):
    path = tmp_path / "flag.training"
    with pytest.raises(KeyboardInterrupt):
        finish(run(path, policy=Interrupted(**policy)))  # saves every second rollout
    resumed = run(path)
    assert len(resumed.curve) == kept
    assert_same(finish(resumed), WHOLE)


def test_the_first_thing_that_a_policy_reads_is_what_all_states_begin_with():
    class Remembering(TextPolicy):
        def encode(self, states):
            texts.append(list(states))
            return super().encode(states)

    texts: list[list[str]] = []
    finish(run(policy=Remembering(1)))
    assert texts[0] == [LESSON.prefix]
    assert all(text.startswith(LESSON.prefix) for state in texts for text in state)
    assert {len(state) for state in texts[1:]} == {2}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "seed"),
        ({"lesson": FlagLesson.prepare(BARS, config=replace(SMALL, discount=0.5))}, "settings"),
        ({"lesson": FlagLesson.prepare(BARS.iloc[:-1], config=SMALL)}, "bars"),
        ({"lesson": FlagLesson.prepare(BARS, config=SMALL, template="multimodal")}, "bars"),
        ({"policy": TextPolicy(1, hidden=8)}, "policy"),
    ],
)
def test_the_state_of_another_training_is_refused(tmp_path, change, named):
    path = tmp_path / "flag.training"
    run(path).save()
    with pytest.raises(ModelError, match=rf"another training \(other {named}\); delete it"):
        run(path, **change)


@pytest.mark.parametrize("damage", ["cut", "foreign", "empty", "numbers"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path, damage):
    path = tmp_path / "flag.training"
    run(path).save()
    content = path.read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "foreign": b"\x02\0\0\0\0\0\0\0{}",
        "empty": b"",
        "numbers": content.replace(b'\\"episodes\\": 2', b'\\"episades\\": 2'),
    }
    assert damaged[damage] != content
    path.write_bytes(damaged[damage])
    with pytest.raises(ModelError, match=r"is damaged .*delete it to train seed 1 from the start"):
        run(path)


def test_the_door_trains_seeds_tells_curves_and_goes_on_from_its_folder(tmp_path):
    def interrupt(trained):
        raise KeyboardInterrupt

    made = []

    def factory(seed):
        made.append(TextPolicy(seed))
        return made[-1]

    def train(**options):
        return train_flag(BARS, factory, config=SMALL, seeds=[1, 2], progress=False, **options)

    expected = train()
    assert set(expected.curves["seed"]) == {1, 2}
    assert expected.curves["steps"].tolist() == [32, 64, 96, 100] * 2
    assert expected[0].notes["curve"] == list(WHOLE.curve)
    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path, finished=interrupt)
    assert {path.name for path in tmp_path.iterdir()} == {"flag-1.safetensors"}
    trained = train(out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"flag-1.safetensors", "flag-2.safetensors"}
    assert made[-2].read == 0  # seed 1 was finished
    again = train(out=tmp_path)
    pd.testing.assert_frame_equal(again.curves, expected.curves)
    for one, other, whole in zip(trained, again, expected, strict=True):
        for name, tensor in whole.policy.trainable().items():
            assert torch.equal(one.policy.trainable()[name], tensor)
            assert torch.equal(other.policy.trainable()[name], tensor)
    with pytest.raises(ModelError, match=r"another training \(other settings\); choose another folder"):
        train_flag(BARS, factory, config=SMALL, steps=50, out=tmp_path, seeds=[1], progress=False)


def test_a_bar_counts_rollouts_those_of_earlier_calls_too(tmp_path):
    def interrupt(trained):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_flag(BARS, TextPolicy, config=SMALL, out=tmp_path, finished=interrupt, progress=False)
    stopped = run(tmp_path / "flag-1.training").events(100)
    list(islice(stopped, 2))
    stopped.close()
    told = io.StringIO()
    with TrainingBar(Console(file=told, force_terminal=True, width=120), part="rollout", unit="steps") as bar:
        train_flag(BARS, TextPolicy, config=SMALL, seeds=2, out=tmp_path, progress=bar, title="two seeds")
    shown = re.sub(r"\x1b\[[\d;?]*\w", "", told.getvalue())
    assert re.search(r"two seeds .* 100% 2 of 2 agents rollout 8/8 \d+ steps/s", shown), shown[-300:]


def test_a_point_of_the_curve_says_how_the_episodes_ended():
    """One environment whose policy always does the same: its episodes can be told from outside."""
    config = replace(SMALL, environments=1, steps=40, rollout=20, learning_rate=1e-9)
    training = finish(run(lesson=FlagLesson.prepare(BARS, config=config)))
    first, second = training.curve
    assert (first["steps"], first["episodes"], second["episodes"]) == (20, 2, 4)  # of nine steps each
    assert first["learning_rate"] == 2 * second["learning_rate"] == 1e-9
    assert first["kl"] == pytest.approx(0.0, abs=1e-6)
    assert 0.9 < first["episode_value"] < 1.1
    assert 0 < first["entropy"] < np.log(3)


def test_reinforce_trains_too():
    lesson = FlagLesson.prepare(BARS, config=replace(SMALL, algorithm="reinforce"))
    curve = finish(run(lesson=lesson)).curve
    assert len(curve) == ROLLOUTS
    assert {point["clipped"] for point in curve} == {0.0}


def test_a_walk_is_greedy_traded_by_the_accounts_and_blind_to_later_bars(tmp_path):
    trained = train_flag(BARS, TextPolicy, config=SMALL, progress=False)[0]
    table = walk_flag(trained, BARS)
    assert table.index.equals(BARS.index[20:])
    np.testing.assert_allclose(table[["p_sell", "p_hold", "p_buy"]].sum(axis=1), 1.0)
    held = table["shares"].shift(fill_value=0) > 0
    assert (table["p_sell"][~held] == 0).all()
    assert (table["p_buy"][held] == 0).all()
    likeliest = table[["p_sell", "p_hold", "p_buy"]].to_numpy().argmax(axis=1) - 1
    np.testing.assert_array_equal(table["action"], likeliest)
    np.testing.assert_allclose(table["value"], table["cash"] + table["shares"] * BARS["close"].iloc[20:])
    t = 100
    changed = BARS.copy()
    changed.iloc[t + 1 :] *= 1.5
    pd.testing.assert_frame_equal(walk_flag(trained, changed).iloc[: t - 19], table.iloc[: t - 19])
    changed.iloc[t:] *= 1.5
    decided = ["action", "p_sell", "p_hold", "p_buy", "expected"]
    pd.testing.assert_frame_equal(walk_flag(trained, changed).iloc[: t - 19][decided], table.iloc[: t - 19][decided])
    with pytest.raises(DataError, match="start must lie between 20"):
        walk_flag(trained, BARS, start=3)


def test_a_checkpoint_holds_what_was_trained_and_refuses_another_policy(tmp_path):
    template = tmp_path / "mine.md"
    template.write_text('{% extends "flag.md" %}')
    trained = train_flag(BARS, TextPolicy, config=SMALL, template=template, progress=False)[0]
    path = save_trained(trained, tmp_path / "policy.safetensors")
    template.unlink()
    found = read_trained(path)
    assert (found.config, found.template, found.seed) == (SMALL, trained.template, 0)
    assert found.identity == trained.policy.identity()
    loaded = load_trained(path, TextPolicy(5))
    pd.testing.assert_frame_equal(walk_flag(loaded, BARS), walk_flag(trained, BARS))
    untouched = TextPolicy(5, hidden=8)
    with pytest.raises(ModelError, match="its hidden is 16, and this one's is 8"):
        load_trained(path, untouched)
    assert torch.equal(untouched.trainable()["value.weight"], TextPolicy(5, hidden=8).trainable()["value.weight"])
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(ModelError, match="is damaged"):
        load_trained(path, TextPolicy(5))
    path.write_bytes(content.replace(b'format_version\\": 1', b'format_version\\": 7'))
    with pytest.raises(ModelError, match="checkpoint version 7"):
        read_trained(path)
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(ModelError, match="is not a checkpoint"):
        read_trained(path)
    with pytest.raises(ModelError, match=r"there is no checkpoint .*; train one with"):
        read_trained(tmp_path / "nothing.safetensors")
    with pytest.raises(ModelError, match=re.escape("ending in .safetensors")):
        save_trained(trained, tmp_path / "policy.pt")


def test_a_training_that_breaks_says_so():
    class Broken(TextPolicy):
        def evaluate(self, encoded):
            logits, values = super().evaluate(encoded)
            return logits, values * (float("nan") if torch.is_grad_enabled() else 1.0)

    with pytest.raises(ModelError, match="broke at step 0"):
        finish(run(policy=Broken(1)))


def test_too_few_bars_and_impossible_seeds_are_refused():
    with pytest.raises(DataError, match="at least 29 bars"):
        train_flag(BARS.iloc[:28], TextPolicy, config=SMALL, progress=False)
    with pytest.raises(ModelError, match="seeds are"):
        train_flag(BARS, TextPolicy, seeds=0, progress=False)
    with pytest.raises(ModelError, match="save_every"):
        train_flag(BARS, TextPolicy, save_every=0, progress=False)


def test_an_action_is_drawn_by_its_probability_and_never_an_impossible_one():
    probabilities = np.array([0.0, 0.25, 0.75])
    drawn = [draw_action(probabilities, chance) for chance in (0.0, 0.2499, 0.25, 1.0 - 2.0**-53)]
    assert drawn == [1, 1, 2, 2]
    assert draw_action(np.array([0.1, 0.9, 0.0]), 1.0 - 2.0**-53) == 1


SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
import torch._dynamo  # the first optimiser would load it, in each life anew
sys.path.insert(0, sys.argv[2])
from text_policy import TextPolicy
from llmguide import sample_bars
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.training import train_flag
from llmguide.trading.flag_rules import FlagRules

CONFIG = FlagConfig(steps=2_560, rollout=16, environments=2, rules=FlagRules(episode=9))
BARS = sample_bars(years=1, seed=4)
FOLDER = Path(sys.argv[1])

def live(folder):
    # A process of its own, forked before anything has a thread, so that a life costs no imports.
    pid = os.fork()
    if pid == 0:
        train_flag(BARS, TextPolicy, config=CONFIG, out=folder, save_every=3)
        os._exit(0)
    return pid

def stamps(folder):
    return [path.stat().st_mtime_ns for path in sorted(folder.glob("*.training"))]

def live_to_the_first_save(folder):
    before, pid = stamps(folder), live(folder)
    while stamps(folder) == before and os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.002)
    return pid

pid, begin = live_to_the_first_save(FOLDER / "whole"), time.monotonic()
assert os.waitpid(pid, 0)[1] == 0
seconds = time.monotonic() - begin
moments = random.Random(5)
for life in range(8):
    # The moment counts from the first state that is saved, so that each life gets a little further, but never far.
    pid = live_to_the_first_save(FOLDER / "killed")
    time.sleep(moments.uniform(0.0, seconds / 24))
    os.kill(pid, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL, "training was over before it could be killed"
assert os.waitpid(live(FOLDER / "killed"), 0)[1] == 0
"""


@pytest.mark.slow
def test_killed_at_eight_random_moments_and_resumed_the_checkpoint_is_the_same_to_the_byte(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, tmp_path, Path(__file__).parents[2]]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, theirs = (tmp_path / name / "flag-0.safetensors" for name in ("killed", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert not list((tmp_path / "killed").glob("*.training"))


def test_events_tell_every_rollout_and_the_last_one():
    events = list(run().events(1))
    assert all(isinstance(event, RolloutEnd) for event in events)
    assert [(event.steps, event.done) for event in events] == [(32, False), (32, False), (32, False), (4, True)]
    assert [event.point for event in events] == list(WHOLE.curve)
