"""Nothing that was paid for is lost, whoever writes, whoever is killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from llmguide.errors import LanguageModelError
from llmguide.llm.cache import Cache, Imported
from llmguide.llm.probe import Capabilities
from llmguide.llm.protocol import Message, RawReply, Request, Sampling

HERE, THERE = "http://here/v1", "http://there/v1"


def question(number: int = 0, **changes) -> Request:
    fields = {
        "model": "m",
        "messages": (Message("user", f"Question {number}?"),),
        "schema_name": "K",
        "schema_json": "{}",
    }
    return Request(**{**fields, **changes})


def reply(text: str = "yes") -> RawReply:
    return RawReply(json.dumps({"said": text}), 1.5)


@pytest.fixture
def cache(tmp_path: Path):
    with Cache(tmp_path / "cache.sqlite") as opened:
        yield opened


def test_a_reply_comes_back_as_it_was(cache: Cache):
    said = RawReply('{"text":"ünïcode \\ud83d\\n\u2028 \x00 end"}', 0.125)
    assert cache.put(question(), said, HERE) == said
    assert cache.put(question(1), RawReply("half a pair: \ud83d", 1.0), HERE).body == "half a pair: \ud83d"
    assert cache.get(question(), endpoint=HERE) == said


def test_another_question_sampling_model_or_endpoint_has_no_reply(cache: Cache):
    cache.put(question(), reply(), HERE)
    assert cache.get(question(1), endpoint=HERE) is None
    assert cache.get(question(sampling=Sampling(seed=50)), endpoint=HERE) is None
    assert cache.get(question(model="n"), endpoint=HERE) is None
    assert cache.get(question(reply_format="text"), endpoint=HERE) is None
    assert cache.get(question(), endpoint=THERE) is None


def test_the_first_reply_stays(cache: Cache):
    cache.put(question(), reply("first"), HERE)
    assert cache.put(question(), reply("second"), HERE) == reply("first")
    assert cache.get(question(), endpoint=HERE) == reply("first")


def test_a_replay_takes_any_endpoints_reply_unless_they_differ(cache: Cache):
    cache.put(question(), reply(), HERE)
    assert cache.get(question(), endpoint=None) == reply()
    cache.put(question(), reply(), THERE)
    assert cache.get(question(), endpoint=None) == reply()
    cache.put(question(1), reply("one"), HERE)
    cache.put(question(1), reply("other"), THERE)
    with pytest.raises(
        LanguageModelError, match=r"different replies of m .*http://here/v1, http://there/v1; specify the endpoint"
    ):
        cache.get(question(1), endpoint=None)
    assert cache.get(question(1), endpoint=THERE) == reply("other")


def test_what_an_endpoint_can_do_is_kept_for_what_was_wanted(cache: Cache):
    full, none = Capabilities("json_schema", True, ""), Capabilities("json_schema", False, "not asked for")
    cache.set_capabilities(HERE, "m", full)
    cache.set_capabilities(HERE, "m", none, logprobs=False)
    assert cache.capabilities(HERE, "m") == full
    assert cache.capabilities(None, "m") == full
    assert cache.capabilities(HERE, "m", logprobs=False) == none
    assert cache.capabilities(THERE, "m") is None
    cache.set_capabilities(THERE, "m", Capabilities("text", False, "prose"))
    with pytest.raises(LanguageModelError, match=r"different capabilities .*specify the endpoint"):
        cache.capabilities(None, "m")


def test_it_may_be_closed_reopened_and_pickled(cache: Cache):
    cache.put(question(), reply(), HERE)
    cache.close()
    assert cache.get(question(), endpoint=HERE) == reply()
    with pickle.loads(pickle.dumps(cache)) as copy:
        assert copy.get(question(), endpoint=HERE) == reply()


def test_a_transaction_is_written_whole_or_not_at_all(cache: Cache):
    def half() -> None:
        with cache.transaction():
            cache.put(question(), reply(), HERE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert cache.get(question(), endpoint=HERE) is None
    cache.put(question(), reply(), HERE)  # nothing is left open


def test_threads_share_one_cache(cache: Cache):
    def write(start: int) -> None:
        for number in range(start, start + 20):
            cache.put(question(number), reply(str(number)), HERE)

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 60, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.models() == {"m": 70}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns of a fork beside threads
def test_a_forked_process_opens_its_own_connection(cache: Cache):
    cache.put(question(), reply(), HERE)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.transaction():
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)  # in the child, the lock that it holds is held by nobody
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if cache.get(question(), endpoint=HERE) == reply() else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done.set()
    holder.join()
    assert status == 0
    cache.put(question(1), reply(), HERE)


def test_a_cache_that_is_used_after_it_was_closed_and_then_forgotten_closes_its_file(tmp_path):
    cache = Cache(tmp_path / "cache.sqlite")
    cache.close()
    cache.put(question(), reply(), HERE)
    connection = cache._connection
    del cache
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


WRITER = """
    import sys
    from llmguide.llm.cache import Cache
    from llmguide.llm.protocol import Message, RawReply, Request

    path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    cache = Cache(path)
    for number in range(count):
        request = Request("m", (Message("user", f"{name} {number}"),), "K", "{}")
        cache.put(request, RawReply("x" * 3000, 1.0), "here")
        print(number, flush=True)
"""


def test_four_processes_write_at_once_and_one_that_is_killed_loses_nothing_it_had_acknowledged(tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    others = [subprocess.Popen([*command, name, "60"], stdout=subprocess.DEVNULL) for name in "abc"]
    victim = subprocess.Popen([*command, "victim", "1000000"], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    acknowledged = [int(victim.stdout.readline()) for _ in range(25)]
    victim.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in victim.stdout.read().split("\n") if line]
    victim.wait()
    victim.stdout.close()
    assert [other.wait(timeout=300) for other in others] == [0, 0, 0]

    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
    with Cache(path) as cache:
        for name, numbers in [("victim", acknowledged), *((other, range(60)) for other in "abc")]:
            for number in numbers:
                request = Request("m", (Message("user", f"{name} {number}"),), "K", "{}")
                assert cache.get(request, endpoint="here") == RawReply("x" * 3000, 1.0)


def test_what_is_exported_can_be_imported_elsewhere_and_again(cache: Cache, tmp_path: Path):
    for number in range(3):
        cache.put(question(number), reply(f"line\u2028break {number}"), HERE)
    cache.set_capabilities(HERE, "m", Capabilities("text", False, "prose"))
    cache.set_capabilities(THERE, "unused", Capabilities("text", False, "prose"))
    assert cache.export_jsonl(tmp_path / "shared.jsonl") == 3
    with Cache(tmp_path / "other.sqlite") as other:
        assert other.import_jsonl(tmp_path / "shared.jsonl") == Imported(added=3, present=0)
        assert other.import_jsonl(tmp_path / "shared.jsonl") == Imported(added=0, present=3)
        assert other.get(question(2), endpoint=None) == reply("line\u2028break 2")
        assert other.capabilities(None, "m") == Capabilities("text", False, "prose")
        assert other.capabilities(None, "unused") is None
        other.export_jsonl(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "shared.jsonl").read_bytes()


def test_an_export_of_a_study_holds_what_the_study_rests_on(cache: Cache, tmp_path: Path):
    for number in range(4):
        cache.put(question(number), reply(str(number)), HERE)
    for number in (1, 3, 3):
        cache.used("mine", question(number), HERE)
    cache.used("theirs", question(2), HERE)
    assert cache.export_jsonl(tmp_path / "mine.jsonl", study="mine") == 2
    lines = [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()]
    assert {line["body"] for line in lines} == {reply("1").body, reply("3").body}
    with pytest.raises(LanguageModelError, match=r"study 'mime'; did you mean 'mine'\?; it has 'mine', 'theirs'"):
        cache.export_jsonl(tmp_path / "other.jsonl", study="mime")
    assert not (tmp_path / "other.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: line[:-10], "line 2: expected a reply as `export_jsonl` writes it"),
        (lambda _: "[]", "line 2"),
        (lambda _: "7", "line 2"),
        (lambda line: json.dumps({**json.loads(line), "kind": "row"}), "line 2.*kind 'row'"),
        (lambda line: json.dumps({k: v for k, v in json.loads(line).items() if k != "body"}), "line 2.*no 'body'"),
        (lambda line: json.dumps({**json.loads(line), "body": {"a": 1}}), "line 2.*body"),
        (lambda line: json.dumps({**json.loads(line), "seconds": -1}), "line 2.*seconds -1"),
        (lambda line: json.dumps({**json.loads(line), "seconds": float("nan")}), "line 2.*seconds nan"),
        (lambda line: json.dumps({**json.loads(line), "stored_at": "yesterday"}), "line 2.*yesterday"),
        (lambda line: json.dumps({**json.loads(line), "request": {"model": "m"}}), "line 2"),
        (lambda line: line.replace('"model"', '"modell"'), "line 2"),
        (lambda line: line.replace('"user"', "5"), "line 2"),
        (lambda line: line.replace('"K"', "null"), "line 2"),
        (lambda line: line.replace('"K"', '"\\ud800"'), "line 2"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_imported(cache: Cache, tmp_path: Path, change, told: str):
    for number in range(3):
        cache.put(question(number), reply(str(number)), HERE)
    cache.export_jsonl(tmp_path / "shared.jsonl")
    lines = (tmp_path / "shared.jsonl").read_text().splitlines()
    (tmp_path / "bad.jsonl").write_text("\n".join([lines[0], change(lines[1]), lines[2]]) + "\n")
    with Cache(tmp_path / "other.sqlite") as other:
        with pytest.raises(LanguageModelError, match=told):
            other.import_jsonl(tmp_path / "bad.jsonl")
        assert other.models() == {}


def test_another_reply_to_the_same_request_is_not_imported(cache: Cache, tmp_path: Path):
    cache.put(question(0), reply("here"), HERE)
    cache.put(question(1), reply("here"), HERE)
    cache.export_jsonl(tmp_path / "shared.jsonl")
    with Cache(tmp_path / "other.sqlite") as other:
        other.put(question(1), reply("otherwise"), HERE)
        with pytest.raises(LanguageModelError, match=r"line 2: .* already has another reply of m at http://here/v1"):
            other.import_jsonl(tmp_path / "shared.jsonl")
        assert other.get(question(0), endpoint=HERE) is None


def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path: Path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough to have a header " * 5)
    with pytest.raises(LanguageModelError, match=r"notes\.txt cannot be used: .*another kind of file"):
        Cache(text)
    assert text.read_text().startswith("not a database")

    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(LanguageModelError, match="got a file of another program"):
        Cache(foreign)
    with pytest.raises(LanguageModelError, match="cannot be used: unable to open"):
        Cache(tmp_path)


def test_a_file_of_a_newer_llmguide_is_refused(tmp_path: Path):
    with Cache(tmp_path / "cache.sqlite") as cache:
        cache.execute("PRAGMA user_version = 99")
    with pytest.raises(LanguageModelError, match=r"newer llmguide .format 99.*upgrade"):
        Cache(tmp_path / "cache.sqlite")


def test_a_cache_that_must_exist_is_not_made(tmp_path: Path):
    with pytest.raises(LanguageModelError, match=r"no cache of replies at .*mistyped\.sqlite; give the cache file"):
        Cache(tmp_path / "mistyped.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(LanguageModelError, match="no folder for the cache"):
        Cache(tmp_path / "file" / "cache.sqlite")


def test_a_full_disk_is_told_and_keeps_what_was_stored(cache: Cache):
    cache.put(question(0), reply(), HERE)
    (pages,) = cache.rows("PRAGMA page_count")[0]
    cache.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LanguageModelError, match="is full; free space on the disk"):
        cache.put(question(1), RawReply(os.urandom(50_000).hex(), 1.0), HERE)
    assert cache.get(question(1), endpoint=HERE) is None
    assert cache.get(question(0), endpoint=HERE) == reply()


def test_a_writer_that_does_not_let_go_is_told(tmp_path: Path):
    with Cache(tmp_path / "cache.sqlite") as holder, Cache(tmp_path / "cache.sqlite", patience=0.05) as waiting:
        with holder.transaction(), pytest.raises(LanguageModelError, match="locked; another process is writing"):
            waiting.put(question(), reply(), HERE)
        waiting.put(question(), reply(), HERE)


def test_keeping_a_reply_holds_the_event_loop_up_for_milliseconds_only(cache: Cache):
    started = time.perf_counter()
    for number in range(50):
        cache.put(question(number), RawReply("x" * 30_000, 1.0), HERE)
    assert (time.perf_counter() - started) / 50 < 0.1
