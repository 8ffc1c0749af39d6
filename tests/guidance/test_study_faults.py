"""A study under fire: faults of the endpoint, kill -9, Ctrl-C, two processes at once, an endpoint that repeats the key.

Real processes, real signals, real HTTP. The server counts every complete reply by the hash of its request, just before
the last byte goes out: what it has counted twice was paid for twice.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from dataclasses import replace
from itertools import count
from random import Random

import command_line
import pytest
from openai_server import KINDS, TRANSPORT_KINDS, Faults, OpenAIServer, body_hash

from llmguide import Guidance, read_bars, sample_bars
from llmguide.guidance.settings import read_settings
from llmguide.guidance.strategist import Subject
from llmguide.guidance.study import Study, guidance_of, run_study
from llmguide.llm.access import Access
from llmguide.llm.cache import Cache
from llmguide.sources.tables import Tables

pytestmark = pytest.mark.slow

KEY = "sk-test-never-to-be-seen-0123456789"
PROMPTS = ("P0", "P1", "P2", "P3", "P4")
SYMBOLS = ("ACME", "BETA")
MONTHS = 24
IN_FLIGHT = 16
FAULTS = Faults(rate=0.05, seed=1)
UNUSABLE = {"schema", "refusal", "length", "filter", "empty", "nan"}


class Indiscreet(OpenAIServer):
    """Repeats the API key in every reply."""

    def completion(self, body, fault):
        return super().completion(body, fault) | {"system_fingerprint": f"fp {KEY}"}

    @property
    def again(self):
        """How many complete replies went out for requests that had one already."""
        return sum(self.complete.values()) - len(self.complete)


@pytest.fixture(scope="module")
def material(tmp_path_factory, make_tables):
    """A folder with the bars and tables of two instruments, 24 months each, and settings."""
    folder = tmp_path_factory.mktemp("material")
    (folder / "bars").mkdir()
    for seed, symbol in enumerate(SYMBOLS):
        bars = sample_bars(years=2, seed=seed)
        bars.to_csv(folder / "bars" / f"{symbol}.csv")
        (folder / "tables" / symbol).mkdir(parents=True)
        for kind, frame in make_tables(bars, seed).items():
            shared = kind in ("market", "macro")
            frame.to_csv(folder / "tables" / ("" if shared else symbol) / f"{kind}.csv", index=False)
    (folder / "settings.toml").write_text("timeout = 3\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def study(material):
    """Two instruments, 24 months, P0 to P4."""
    return Study(
        tuple(
            Subject(symbol, read_bars(material / "bars" / f"{symbol}.csv"), Tables.read(material / "tables", symbol))
            for symbol in SYMBOLS
        ),
        PROMPTS,
    )


@pytest.fixture(scope="module")
def undisturbed(study, material, tmp_path_factory):
    """The server, and the advice of the whole study, asked in this process while 5 % of the requests meet a fault."""
    with Indiscreet(faults=FAULTS) as server:
        access = Access(
            base_url=server.url,
            api_key=KEY,
            cache=tmp_path_factory.mktemp("undisturbed") / "llm.sqlite",
            in_flight=IN_FLIGHT,
            timeout=read_settings(material / "settings.toml").timeout,
        )
        asker = access.asker(study="s")
        return server, run_study(study, asker), asker


def command(material, server, *, prompts=PROMPTS, out="out", more=()):
    """The words after `llmguide` that ask for the study; the cache lies in the working folder."""
    words = ["guide", "--provider", "llm", "--data", str(material / "bars"), "--tables", str(material / "tables")]
    words += ["--settings", str(material / "settings.toml"), "--prompt", ",".join(prompts), "--base-url", server.url]
    words += ["--split", str(sample_bars(years=2).index[400].date()), "--in-flight", str(IN_FLIGHT), "--out", out]
    return [*words, *more]


def start(words, folder, stderr=subprocess.PIPE, **environment):
    """Start `llmguide` with these words in a folder, as a shell does."""
    environment = {"OPENAI_API_KEY": KEY, "PYTHONUNBUFFERED": "1"} | environment
    return command_line.start(*words, folder=folder, stdout=subprocess.PIPE, stderr=stderr, **environment)


def wait_until(reached, process, *, seconds=300):
    deadline = time.monotonic() + seconds
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not come so far in time"
        time.sleep(0.005)


def tables_in(folder, prompts=PROMPTS):
    return {
        (symbol, prompt): Guidance.read(folder / prompt / f"{symbol}.parquet").of_any_bars()
        for prompt in prompts
        for symbol in SYMBOLS
    }


def tables_of(advice, prompts=PROMPTS):
    return {
        (symbol, prompt): guidance_of(advice, symbol=symbol, prompt=prompt) for prompt in prompts for symbol in SYMBOLS
    }


def kept(cache):
    """How many replies a cache holds, after SQLite has checked all of it."""
    connection = sqlite3.connect(cache)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT COUNT(*) FROM replies").fetchone()[0]
    finally:
        connection.close()


def test_with_faults_nothing_is_lost_and_nothing_is_paid_for_twice(undisturbed, study):
    server, advice, asker = undisturbed
    assert len(advice) == study.advice_count == len(SYMBOLS) * MONTHS * len(PROMPTS)
    assert 0.02 < sum(server.faulted.values()) / len(server.requests) < 0.1
    # A reply that was cut short or reset is no complete one: the client could not have kept it.
    assert set(server.complete.values()) == {1}
    assert kept(asker.cache.path) == len(server.complete)
    assert asker.spending.calls == len(server.complete)


def test_every_kind_of_fault_is_survived_and_only_what_the_model_spoilt_is_an_abstention(study, tmp_path):
    faults = Faults(rate=0.8, seed=3)

    def said(body):
        """The fault of what the model says, once the connection holds."""
        return next(kind for kind in (faults.at(body_hash(body), i) for i in count()) if kind not in TRANSPORT_KINDS)

    with Indiscreet(faults=faults, slow=0.05) as server:
        access = Access(
            base_url=server.url, api_key=KEY, cache=tmp_path / "llm.sqlite", in_flight=IN_FLIGHT, timeout=1.5
        )
        advice = run_study(replace(study, subjects=study.subjects[:1], prompts=("P0", "P1")), access.asker())
    assert len(advice) == MONTHS * 2
    assert set(server.faulted) == set(KINDS)
    assert set(server.complete.values()) == {1}
    asked = {tuple(message["content"] for message in body["messages"]): body for body in server.requests}
    came = [one for one in advice if not one.timed_out]  # a time-out is sent again once: two in a row abstain
    assert len(came) > 0.8 * len(advice)
    last = [asked[tuple(message.content for message in one.messages)] for one in came]
    assert [one.row.direction is None for one in came] == [said(body) in UNUSABLE for body in last]
    assert all(one.row.direction is None for one in advice if one.timed_out)


@pytest.fixture(scope="module")
def survivor(material, tmp_path_factory):
    """A study that was killed twice, at random moments, and then left alone; its cache lies in its folder.

    Returns (folder, server, what was printed at last, how many delivered replies each kill lost).
    """
    folder, random, lost = tmp_path_factory.mktemp("survivor"), Random(7), []
    with Indiscreet(faults=FAULTS) as server, (folder / "log.txt").open("w") as log:
        words = command(material, server, more=("--json",))
        for _ in range(2):
            aim = len(server.complete) + random.randint(5, 80)
            process = start(words, folder, log, OPENAI_LOG="debug")
            wait_until(lambda aim=aim: len(server.complete) >= aim, process)
            time.sleep(random.uniform(0.0, 0.03))
            process.kill()
            assert process.communicate()[0] == ""
            assert process.returncode == -signal.SIGKILL
            assert not files_with_key(folder)
            time.sleep(0.5)  # what was under way is delivered to nobody
            lost.append(sum(server.complete.values()) - sum(lost) - kept(folder / "llm.sqlite"))
            command_line.let_leases_lapse(folder / "llm.sqlite")
        process = start(words, folder, log, OPENAI_LOG="debug")
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0
    return folder, server, printed, lost


def files_with_key(folder):
    return [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_killed_at_random_moments_it_ends_with_the_same_tables(survivor, undisturbed):
    folder, _, printed, _ = survivor
    assert tables_in(folder / "out") == tables_of(undisturbed[1])
    assert [table["rows"] for table in json.loads(printed)["tables"]] == [MONTHS] * len(SYMBOLS) * len(PROMPTS)


def test_a_kill_costs_no_more_than_the_replies_that_were_under_way(survivor):
    folder, server, _, lost = survivor
    # A dead process cannot keep what comes after its death; all that had come before is on the disk.
    assert all(0 <= replies <= IN_FLIGHT for replies in lost)
    assert server.again == sum(lost)  # and the last run lost nothing
    assert kept(folder / "llm.sqlite") == len(server.complete)


def test_the_key_is_in_no_file_and_in_nothing_that_is_printed(survivor, tmp_path):
    folder, _, printed, _ = survivor
    assert KEY not in printed
    assert "HTTP Request" in (folder / "log.txt").read_text(encoding="utf-8")  # standard error of all runs
    assert {path.suffix for path in folder.rglob("*")} >= {".sqlite", ".parquet", ".csv", ".txt"}
    assert not files_with_key(folder)
    Cache(folder / "llm.sqlite").export_jsonl(
        tmp_path / "replies.jsonl"
    )  # in the cache and the tables bytes are packed
    replies = (tmp_path / "replies.jsonl").read_text(encoding="utf-8")
    assert replies.count("fp [API key]") == len(replies.splitlines()) - 1  # the server did repeat it, each time
    assert KEY not in replies
    for table in tables_in(folder / "out").values():
        assert KEY not in table.frame.to_csv()


@pytest.fixture
def go_on(monkeypatch, capsys):
    """Run `llmguide` with these words in this process and in a folder; returns its exit code and what it printed."""

    def run(words, folder):
        monkeypatch.chdir(folder)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        code, out, err = command_line.run_here(monkeypatch, capsys, *words)
        return code, out + err

    return run


def test_a_wrong_key_is_not_repeated_in_the_error(material, tmp_path, go_on):
    with OpenAIServer(key="another") as server:
        code, printed = go_on(command(material, server), tmp_path)
    assert code == 1
    assert "set OPENAI_API_KEY to a key of this endpoint" in printed
    assert KEY not in printed


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_keep_what_is_under_way_and_ask_nothing_twice(material, tmp_path, go_on, sent, code):
    with Indiscreet(delay=0.3) as server:
        words = command(material, server, prompts=("P1", "P2"), more=("--symbols", "ACME"))
        process = start(words, tmp_path)
        wait_until(lambda: len(server.complete) >= 12, process)
        process.send_signal(sent)
        _, err = process.communicate(timeout=300)
        assert process.returncode == code
        assert "stopping: waiting for the answers in flight" in err
        assert "llm.sqlite keeps all answers so far; run the same command again to resume" in err
        assert not (tmp_path / "out").exists()
        assert kept(tmp_path / "llm.sqlite") == len(server.requests) < 2 * MONTHS
        server.delay = 0.0
        assert go_on(words, tmp_path)[0] == 0
        assert set(server.complete.values()) == {1}
    assert all(len(Guidance.read(tmp_path / "out" / prompt / "ACME.parquet")) == MONTHS for prompt in ("P1", "P2"))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_ctrl_c_does_not_wait(material, tmp_path, sent, code):
    with Indiscreet() as server:
        process = start(command(material, server, prompts=("P1",)), tmp_path)
        wait_until(lambda: len(server.complete) >= 3, process)
        server.delay = 60.0
        time.sleep(0.3)
        process.send_signal(sent)
        assert "stopping" in process.stderr.readline()
        begin = time.monotonic()
        process.send_signal(sent)
        _, err = process.communicate(timeout=300)
        assert process.returncode == code
        assert time.monotonic() - begin < 3.0
        assert "run the same command again to resume" in err
        assert kept(tmp_path / "llm.sqlite") <= len(server.complete)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_probe_that_hangs_ends_at_the_first_signal(material, tmp_path, sent, code):
    with Indiscreet(delay=60.0) as server:
        process = start(command(material, server, prompts=("P1",)), tmp_path)
        wait_until(lambda: len(server.requests) >= 1, process)
        begin = time.monotonic()
        process.send_signal(sent)
        _, err = process.communicate(timeout=300)
        assert process.returncode == code
        assert time.monotonic() - begin < 5.0
        assert "Traceback" not in err


def test_months_that_are_not_answered_in_time_abstain_and_the_same_command_asks_them_again(material, tmp_path, go_on):
    settings = tmp_path / "settings.toml"
    settings.write_text("timeout = 1\nmax_retries = 0\n")
    with Indiscreet(faults=[None, "timeout", None, None], hold=3.0) as server:
        words = command(material, server, prompts=("P0",), more=("--symbols", "ACME", "--settings", str(settings)))
        code, printed = go_on(words, tmp_path)
        assert code == 0
        assert "1 month was not answered in time: it abstains" in printed
        asked = len(server.requests)
        code, printed = go_on(words, tmp_path)
        assert code == 0
        assert "not answered in time" not in printed
        assert len(server.requests) == asked + 1


def test_two_processes_at_once_share_one_cache_and_end_with_the_same_tables(material, tmp_path, undisturbed):
    prompts = ("P1", "P2")
    with Indiscreet(faults=FAULTS) as server:
        first = start(command(material, server, prompts=prompts, out="one"), tmp_path)
        wait_until(lambda: len(server.complete) >= 10, first)
        for process in (first, start(command(material, server, prompts=prompts, out="two"), tmp_path)):
            _, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
    expected = tables_of(undisturbed[1], prompts)
    assert tables_in(tmp_path / "one", prompts) == expected
    assert tables_in(tmp_path / "two", prompts) == expected
    assert kept(tmp_path / "llm.sqlite") == len(server.complete)
    # Only what both asked for in the same moment came twice.
    assert max(server.complete.values()) <= 2
    assert sum(server.complete.values()) < 1.5 * len(server.complete)
