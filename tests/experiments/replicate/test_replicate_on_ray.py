"""`llmguide replicate --ray auto` as a user types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.experiments.replicate import replicate
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=2, seed=1)
SPLIT = f"{BARS.index[350]:%Y-%m-%d}"
SMALL = {"hidden": 16, "batch": 8}
SCRIPT = f"""
from llmguide import cli
from llmguide.rl.config import DQNConfig

original = DQNConfig.__init__
DQNConfig.__init__ = lambda self, **settings: original(self, **{SMALL} | settings)
cli.main()
"""


@pytest.fixture
def start(tmp_path):
    """Begin `llmguide replicate` with a small agent, in a process of its own: Ray is to be started and shut down."""
    (tmp_path / "bars").mkdir()
    BARS.to_csv(tmp_path / "bars" / "KO.csv")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["OMP_NUM_THREADS"] = "1"
    environment["RAY_AUTH_TOKEN"] = "0" * 64  # else Ray writes one into the home folder
    begun = []

    def begin(*words):
        command = [sys.executable, "-c", SCRIPT, "replicate", "--data", "bars", "--split", SPLIT, "--json"]
        process = subprocess.Popen(
            [*command, "--seeds", "1", "--episodes", "16", *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job would ignore it
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:  # a test has failed
            process.terminate()
            finish(process)


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def descendants(process):
    """Process ids of all that a process has started, and that they have started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()[1:]]
    family, before = {process.pid}, 0
    while len(family) > before:
        before = len(family)
        family |= {child for child, parent in pairs if parent in family}
    return family - {process.pid}


def is_alive(number):
    """Whether a process runs; one that has ended and waits to be collected does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.mark.slow
def test_interrupted_on_ray_it_keeps_what_there_is_leaves_no_process_behind_and_goes_on(start, tmp_path):
    process = start("--ray", "auto", "--out", "run")
    deadline = time.monotonic() + 300
    while not list((tmp_path / "run").glob("[A-Z]*/*.training")):  # no search in temporary folders: they come and go
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started = descendants(process)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    assert out == ""
    assert "CPUs" in err
    assert "run the same command again to resume" in err
    assert list((tmp_path / "run").rglob("*.training"))
    while any(map(is_alive, started)):
        assert time.monotonic() < deadline, "Ray was left behind"
        time.sleep(0.1)

    again, whole = (
        replicate(
            tmp_path / "bars",
            split=SPLIT,
            seeds=1,
            episodes=16,
            config=DQNConfig(**SMALL),
            out=tmp_path / folder,
            progress=False,
        )
        for folder in ("run", "whole")
    )
    pd.testing.assert_frame_equal(again.runs, whole.runs)
    assert not list((tmp_path / "run").rglob("*.training"))


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_one_line_and_exit_code_1(start):
    code, out, err = finish(start("--ray", "127.0.0.1:1", "--out", "run"))
    assert (code, out) == (1, "")
    assert "error: no Ray cluster answers at 127.0.0.1:1 (Connection refused)" in err
    assert "Traceback" not in err
