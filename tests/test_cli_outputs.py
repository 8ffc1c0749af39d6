"""Where a command may write: found out before the work, and without a trace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmguide.cli.outputs import writable
from llmguide.errors import LlmguideError


@pytest.mark.parametrize("name", ["new.csv", "there.csv", "link.csv", "folder/deep/new.csv"])
def test_a_file_can_be_written_where_its_folder_is_or_can_be_made(tmp_path, name):
    (tmp_path / "there.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("there.csv")
    before = sorted(tmp_path.rglob("*"))
    assert writable(tmp_path / name) == tmp_path / name
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.csv").read_text() == "old"


def test_a_folder_can_be_written_where_it_is_or_can_be_made(tmp_path):
    for path in (tmp_path, tmp_path / "new" / "deep"):
        assert writable(path, folder=True) == path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "folder", "reason"),
    [
        ("file", True, "it is a file, and a folder is needed"),
        ("folder", False, "it is a folder; name a file"),
        ("file/new.csv", False, "file is a file, not a folder"),
        ("file/new/deep", True, "file is a file, not a folder"),
        ("loop", False, "loop"),
        ("x" * 300, False, "name too long"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_with_the_reason(tmp_path, name, folder, reason):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LlmguideError, match=f"(?i)cannot write .*{reason}"):
        writable(tmp_path / name, folder=folder)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs Linux's /proc")
def test_a_folder_in_which_nothing_can_be_made_is_refused_whatever_its_permissions_say():
    for folder in (False, True):
        with pytest.raises(LlmguideError, match="cannot write /proc/x: "):
            writable(Path("/proc/x"), folder=folder)
    with pytest.raises(LlmguideError, match="no ordinary file"):
        writable(Path(os.devnull))
