"""Files are replaced whole or not at all."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import pytest

from llmguide.files import atomic_path, whole_files, write_json, write_text


def test_the_file_appears_when_the_block_ends(tmp_path: Path):
    target = tmp_path / "table.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_parent_folders_are_made(tmp_path: Path):
    write_text(tmp_path / "a" / "b" / "note.txt", "x")
    assert (tmp_path / "a" / "b" / "note.txt").read_text() == "x"


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_no_litter(tmp_path: Path, interruption: type[BaseException]):
    target = tmp_path / "table.txt"
    target.write_text("old")

    def interrupted_write() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half of the n")
            raise interruption

    with pytest.raises(interruption):
        interrupted_write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def interrupted_at(moment: int, work: Callable[[], object]) -> bool:
    """Do some work with Ctrl-C at one moment of it; return whether it lasted until that moment.

    The moments are those at which Python looks for signals: where a function begins, and where one in C has returned.
    """
    left = moment

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if event in {"call", "c_return"} and (left := left - 1) < 0:
            raise KeyboardInterrupt  # Python ends the profiling then

    try:
        sys.setprofile(count)
        work()
        sys.setprofile(None)
    except KeyboardInterrupt:
        return True
    return False


# A file or folder whose opening is interrupted on return belongs to no ``with`` yet; Python closes it, and says so.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <(_io.FileIO|posix.ScandirIterator):pytest.PytestUnraisableExceptionWarning"
)
def test_ctrl_c_at_any_moment_leaves_a_whole_file_and_no_litter(tmp_path: Path):
    for moment in itertools.count():
        target = tmp_path / str(moment) / "table.txt"
        write_text(target, "old")
        interrupted = interrupted_at(moment, partial(write_text, target, "new"))
        assert target.read_text() in {"old", "new"}
        assert list(target.parent.iterdir()) == [target], moment
        if not interrupted:
            break
    assert target.read_text() == "new"
    assert moment > 100


def test_the_files_of_a_place_are_those_that_are_whole(tmp_path: Path):
    first, second = write_text(tmp_path / ".runs" / "a.csv", "x"), write_text(tmp_path / ".runs" / "b" / "c.csv", "x")
    with atomic_path(tmp_path / ".runs" / "b" / "d.csv") as temporary:
        temporary.touch()
        assert set(whole_files(tmp_path / ".runs")) == {first, second}
    assert whole_files(first) == [first]
    assert whole_files(tmp_path / "none") == [tmp_path / "none"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_file(tmp_path: Path):
    target = tmp_path / "table.txt"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(target):
        pass
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_keeps_the_suffixes_and_the_folder(tmp_path: Path):
    with atomic_path(tmp_path / "bars.csv.gz") as temporary:
        assert temporary.suffixes == [".csv", ".gz"]
        assert tmp_path in temporary.parents
        temporary.touch()


def test_two_writers_of_one_file_do_not_share_a_temporary_file(tmp_path: Path):
    with atomic_path(tmp_path / "x") as first, atomic_path(tmp_path / "x") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "x").read_text() == "first"


def test_a_link_stays_a_link(tmp_path: Path):
    real = tmp_path / "real.txt"
    real.write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path: Path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_text_is_utf8_with_line_feeds(tmp_path: Path):
    assert write_text(tmp_path / "t", "τ = −1\n") == tmp_path / "t"
    assert (tmp_path / "t").read_bytes() == "τ = −1\n".encode()


def test_json_survives_the_round_trip(tmp_path: Path):
    obj = {"name": "Société", "values": [1, 2.5, None, True], "nested": {"a": []}}
    path = write_json(tmp_path / "o.json", obj)
    assert json.loads(path.read_text(encoding="utf-8")) == obj
    assert path.read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize(("value", "error"), [(math.nan, ValueError), (math.inf, ValueError), (object(), TypeError)])
def test_what_json_does_not_have_is_refused_and_nothing_is_written(
    tmp_path: Path, value: object, error: type[Exception]
):
    with pytest.raises(error):
        write_json(tmp_path / "o.json", {"x": value})
    assert list(tmp_path.iterdir()) == []
