"""A study by the Batch API: half the price, resumed by the same command, the answers those of direct questions."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter

import pandas as pd
import pytest
from batch_server import BatchServer
from command_line import run_here, start, wait_until_signals_are_handled
from openai_server import Answer, OpenAIServer, body_hash

from llmguide import Guidance, sample_bars
from llmguide.llm import batch
from llmguide.llm.cache import Cache
from llmguide.llm.ledger import Ledger
from llmguide.llm.prices import Prices

KEY = "sk-test-0123456789"
BARS = sample_bars(years=1, seed=8).iloc[:150]  # six months
GUIDE = ("guide", "ACME.csv", "--provider", "llm")
MONTHS = 6


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with bars and news of ACME; returns exit code, standard output and error."""
    BARS.to_csv(tmp_path / "ACME.csv")
    (tmp_path / "data").mkdir()
    BARS.to_csv(tmp_path / "data" / "ACME.csv")
    (tmp_path / "tables" / "ACME").mkdir(parents=True)
    days = BARS.index[::2] + pd.Timedelta(hours=9)
    news = {"published_at": days, "headline": [f"A court settles case {n}" for n in range(len(days))]}
    pd.DataFrame(news).to_csv(tmp_path / "tables" / "ACME" / "news.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(batch, "PAUSES", (0.01, 0.02))

    def run(*words, server=None):
        if server is not None:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code, out, err = run_here(monkeypatch, capsys, *words)
        assert KEY not in out + err
        return code, out, err

    return run


def questions(server):
    """The bodies that were asked directly, without the probe."""
    return [body for body in server.requests if "Readiness" not in str(body.get("response_format"))]


def test_a_batch_gives_the_answers_of_direct_questions_at_half_the_price(llmguide, tmp_path):
    with BatchServer(key=KEY, looks=2) as server:
        code, out, err = llmguide(*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv", "--json", server=server)
        assert (code, err) == (0, "")
        assert questions(server) == []
        assert len(server.batched) == MONTHS
        (uploaded,) = server.uploads.values()
        assert {line["url"] for line in uploaded} == {"/v1/chat/completions"}
        by_batch = {row["prompt"]: row for row in json.loads(out)["costs"]}["P0"]
        assert llmguide(*GUIDE, "--prompt", "P0", "--batch", "--out", "again.csv")[0] == 0
        assert len(server.batches) == 1
        code, out, _ = llmguide(*GUIDE, "--prompt", "P0", "--cache", "d.sqlite", "--out", "d.csv", "--json")
        assert code == 0
        directly = {row["prompt"]: row for row in json.loads(out)["costs"]}["P0"]
        assert {body_hash(body) for body in questions(server)} == {body_hash(body) for body in server.batched}
    assert by_batch["calls"] == directly["calls"] == MONTHS
    assert by_batch["dollars"] == pytest.approx(directly["dollars"] / 2)
    assert Guidance.read(tmp_path / "b.csv") == Guidance.read(tmp_path / "d.csv")
    with Cache(tmp_path / "llm.sqlite") as cache, Cache(tmp_path / "d.sqlite") as other:
        keys = "SELECT request_key FROM replies ORDER BY request_key"
        assert cache.rows(keys) == other.rows(keys)
        assert cache.rows("SELECT * FROM batch_requests") == cache.rows("SELECT * FROM batches") == []
    assert KEY.encode() not in (tmp_path / "llm.sqlite").read_bytes()


def test_the_analyst_is_asked_before_the_questions_that_show_its_factors(llmguide, tmp_path):
    factors = "{% for one in factors %}{{ one.text }} {% endfor %}"
    template = '{% extends "P1.md" %}\n{% block system %}{{ super() }}\n' + factors + "{% endblock %}\n"
    (tmp_path / "news.md").write_text(template)
    with BatchServer(key=KEY) as server:
        words = (*GUIDE, "--prompt", "news.md", "--tables", "tables", "--batch", "--out", "b.csv")
        code, _, err = llmguide(*words, server=server)
        assert code == 0, err
        rounds = [
            Counter(line["body"]["response_format"]["json_schema"]["name"] for line in lines)
            for lines in server.uploads.values()
        ]
        assert rounds == [{"AnalystReply": MONTHS}, {"StrategistReply": MONTHS}]
        assert questions(server) == []


def test_prompts_with_memory_are_named(llmguide):
    with BatchServer(key=KEY) as server:
        words = ("prompts", "--data", "data", "--split", "2012-05-01", "--batch", "--prompts", "P0,P2,P4")
        for more in ((), ("--plan",)):
            code, out, err = llmguide(*words, *more, server=server)
            assert (code, out) == (1, "")
            assert "got P2, P4, whose questions include earlier answers" in err
        assert server.uploads == {}
        assert server.requests == []


def test_a_plan_of_a_batch_costs_half(llmguide):
    plans = []
    for more in ((), ("--batch",)):
        code, out, _ = llmguide(*GUIDE, "--prompt", "P0", "--plan", "--json", *more)
        assert code == 0
        plans.append(json.loads(out))
    assert plans[1]["dollars"] == pytest.approx(plans[0]["dollars"] / 2)
    assert plans[1]["most_dollars"] == pytest.approx(plans[0]["most_dollars"] / 2)


def test_a_budget_without_room_for_the_batch_sends_nothing(llmguide):
    most = json.loads(llmguide(*GUIDE, "--prompt", "P0", "--plan", "--json", "--batch")[1])["most_dollars"]
    with BatchServer(key=KEY) as server:
        words = (*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv")
        code, _, err = llmguide(*words, "--budget", 0.9 * most, server=server)
        assert code == 1
        assert "no room for the batch" in err
        assert server.uploads == {}
        code, _, err = llmguide(*words, "--budget", 1.0, "--model", "unheard-of")
        assert code == 1
        assert "the price of unheard-of is unknown" in err
        assert llmguide(*words, "--budget", 1.2 * most)[0] == 0


@pytest.mark.parametrize(
    ("lost", "end", "says"), [("expired", "expired", "batch_expired"), ("failed", "completed", "server_error")]
)
def test_questions_without_an_answer_are_counted_and_asked_again(llmguide, tmp_path, lost, end, says):
    with BatchServer(key=KEY, end=end, lost=lambda number: lost if number < 2 else None) as server:
        words = (*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv")
        code, _, err = llmguide(*words, server=server)
        assert code == 1
        assert "2 of 6 questions of the batch got no answer" in err
        assert says in err
        server.lost, server.end = lambda number: None, "completed"
        assert llmguide(*words)[0] == 0
        assert [len(lines) for lines in server.uploads.values()] == [6, 2]
    with Cache(tmp_path / "llm.sqlite") as cache:
        assert Ledger(cache).spent(None, Prices.read()).calls == MONTHS + 1


@pytest.mark.parametrize(("end", "says"), [("failed", "not parseable"), ("cancelled", "2 of 6 questions")])
def test_a_batch_that_failed_or_was_cancelled_is_an_error_and_the_next_run_sends_a_new_one(llmguide, end, says):
    with BatchServer(key=KEY, end=end, lost=lambda number: "expired" if number < 2 else None) as server:
        words = (*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv")
        code, _, err = llmguide(*words, server=server)
        assert code == 1
        assert says in err
        server.end, server.lost = "completed", lambda number: None
        assert llmguide(*words)[0] == 0
        assert len(server.batches) == 2


def test_an_endpoint_without_batches_and_a_wrong_key_are_one_clear_error(llmguide):
    words = (*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv")
    with OpenAIServer(key=KEY) as server:
        code, _, err = llmguide(*words, server=server)
        assert code == 1
        assert "has no Batch API; leave --batch out" in err
    with BatchServer(key="sk-another-key-0123") as server:
        code, _, err = llmguide(*words, server=server)
        assert code == 1
        assert "401" in err


def test_a_reply_that_cannot_be_used_is_asked_for_once_more_directly(llmguide):
    with BatchServer(key=KEY) as server:
        sent = []

        def answer(body):
            if "Readiness" in str(body["response_format"]):
                return None
            sent.append(body)
            return Answer('{"verdict": "buy"}') if len(sent) == 1 else None

        server.answer = answer
        code, _, err = llmguide(*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv", server=server)
        assert code == 0, err
        assert len(questions(server)) == 1
        assert len(server.batches) == 1
        assert len(questions(server)[0]["messages"]) > len(server.batched[0]["messages"])


@pytest.mark.parametrize(("mute", "batches"), [("made", 1), ("not made", 1)])
def test_a_run_that_ends_while_a_batch_is_created_pays_for_it_once(llmguide, mute, batches):
    with BatchServer(key=KEY) as server:
        server.mute = mute
        code, _, err = llmguide(*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv", server=server)
        assert (code, "creating a batch" in err) == (1, True)
        assert len(server.batches) == (mute == "made")
        server.mute = ""
        code, out, _ = llmguide(*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv", "--json", server=server)
        assert code == 0
        assert len(server.batches) == batches
        assert len(server.batched) == json.loads(out)["rows"] == MONTHS
        with Cache("llm.sqlite") as cache:
            assert list(cache.rows("SELECT * FROM batches")) == list(cache.rows("SELECT * FROM batch_requests")) == []


def test_too_many_questions_for_one_batch_are_several(llmguide, monkeypatch):
    monkeypatch.setattr(batch, "MOST_REQUESTS", 4)
    with BatchServer(key=KEY) as server:
        assert llmguide(*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv", server=server)[0] == 0
        assert [len(lines) for lines in server.uploads.values()] == [4, 2]


def test_a_key_that_the_endpoint_repeats_is_in_no_cache_and_no_error(llmguide, tmp_path):
    with BatchServer(key=KEY, lost=lambda number: "failed" if number == 0 else None) as server:
        lines = server._finish

        def finish(done):
            lines(done)
            for name, text in server.files.items():
                told = text.replace("The server had", f"The key {KEY} had")
                server.files[name] = told.replace("fp_scripted", f"fp_{KEY}")

        server._finish = finish
        code, _, err = llmguide(*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv", server=server)
        assert code == 1
        assert "The key [API key] had" in err
    with Cache(tmp_path / "llm.sqlite") as cache:
        assert cache.export_jsonl(tmp_path / "e.jsonl") == MONTHS
    exported = (tmp_path / "e.jsonl").read_text()
    assert "fp_[API key]" in exported
    assert KEY not in exported


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_command_leaves_the_batch_and_the_same_command_fetches_it(llmguide, tmp_path, sent, code):
    words = (*GUIDE, "--prompt", "P0", "--batch", "--out", "b.csv")
    with BatchServer(key=KEY, looks=1_000_000) as server:
        process = start(*words, folder=tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY)
        wait_until_signals_are_handled(process)
        deadline = time.monotonic() + 300
        while not any(server._looked.values()) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(sent)
        _, err = process.communicate(timeout=300)
        assert process.returncode == code
        if sent == signal.SIGINT:
            assert "keeps running at the endpoint; run the same command again" in err
        server.looks = 0
        assert llmguide(*words, server=server)[0] == 0
        assert len(server.batches) == 1
        assert len(server.batched) == MONTHS
        assert questions(server) == []


@pytest.mark.slow
def test_two_processes_with_the_same_command_send_one_batch(llmguide, tmp_path):
    words = (*GUIDE, "--prompt", "P0", "--batch")
    with BatchServer(key=KEY, looks=1, delay=0.2) as server:
        settings = {"folder": tmp_path, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY}
        both = [start(*words, "--out", f"{name}.csv", **settings) for name in "ab"]
        for process in both:
            _, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
        assert [len(lines) for lines in server.uploads.values()] == [MONTHS]
    assert Guidance.read(tmp_path / "a.csv") == Guidance.read(tmp_path / "b.csv")
    with Cache(tmp_path / "llm.sqlite") as cache:
        assert Ledger(cache).spent(None, Prices.read()).calls == MONTHS + 1
