"""One process at a time in a run folder."""

import gc
import os
import subprocess
import sys

import pytest

from llmguide.errors import LlmguideError
from llmguide.experiments.folder_lock import LOCK, FolderLock
from llmguide.experiments.run_folder import RunFolder

HOLD = """
import sys
from pathlib import Path
from llmguide.experiments.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def held_by_another(folder):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    return other


def test_a_second_process_is_told_who_works_in_the_folder_and_may_come_once_that_one_has_ended(tmp_path):
    other = held_by_another(tmp_path / "run")
    with other:
        with pytest.raises(LlmguideError, match=rf"another process works in .*run: number {other.pid} on .*, since 20"):
            RunFolder.open(tmp_path / "run", {"episodes": 3})
        RunFolder.look(tmp_path / "run", {"episodes": 3})  # to read what is there
        assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [LOCK]  # nothing was written
        other.kill()  # no chance to tidy up
    RunFolder.open(tmp_path / "run", {"episodes": 3})


def test_the_same_process_may_open_a_folder_again_and_lets_go_of_it_with_the_last_use(tmp_path):
    first = RunFolder.open(tmp_path, {"episodes": 3})
    RunFolder.open(tmp_path, {"episodes": 3})
    assert str(os.getpid()) in (tmp_path / LOCK).read_text(encoding="utf-8")
    del first
    gc.collect()
    other = held_by_another(tmp_path)
    other.kill()
    other.communicate()


def test_a_lock_whose_holder_has_not_said_who_it_is_is_respected(tmp_path):
    other = held_by_another(tmp_path)
    with other:
        (tmp_path / LOCK).write_text("", encoding="utf-8")
        with pytest.raises(LlmguideError, match="which one is not known"):
            FolderLock(tmp_path)
        other.kill()


def test_settings_that_differ_are_named_with_both_values(tmp_path):
    settings = {"episodes": 3, "agent": {"cost": 0.001, "cash": 1e5}, "data": {"train": {"sha256": "a" * 64}}}
    RunFolder.open(tmp_path, settings)
    for changed, words in (
        ({"episodes": 5}, "episodes is 3 there and 5 here;"),
        ({"agent": {"cost": 0.002, "cash": 1e5}}, "other settings: agent.cost is 0.001 there and 0.002 here;"),
        ({"data": {"train": {"sha256": "b" * 64}}}, "data.train.sha256 is aaaaaaaaaaaaaaaa... there and bbbb"),
        ({"periods": 52.0}, "periods is not set there and 52.0 here"),
    ):
        with pytest.raises(LlmguideError, match=words):
            RunFolder.open(tmp_path, settings | changed)
