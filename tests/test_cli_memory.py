"""`llmguide memory`, and `llmguide guide --suppress-memory`, as a user types them."""

from __future__ import annotations

import json
import signal
import time

import pandas as pd
import pytest
from command_line import run_here, start
from openai_server import OpenAIServer

from llmguide import Guidance, sample_bars

BARS = sample_bars(years=1, seed=10)
ASK = ("memory", "ACME.csv", "--prompt", "P0", "--out", "run")
GUIDE = ("guide", "ACME.csv", "--provider", "llm", "--prompt", "P0", "--out", "g.parquet")


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with the bars of ACME and BETA; returns exit code, standard output and error."""
    BARS.to_csv(tmp_path / "ACME.csv")
    (tmp_path / "data").mkdir()
    for symbol, seed in (("ACME", 10), ("BETA", 5)):
        sample_bars(years=1, seed=seed).to_csv(tmp_path / "data" / f"{symbol}.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return lambda *words: run_here(monkeypatch, capsys, *words)


@pytest.fixture
def server(monkeypatch, llmguide):
    def answer(body):
        month = {"instrument": 1, "year": 2012, "month": 5}
        return month if "IdentityReply" in str(body.get("response_format")) else None

    with OpenAIServer(answer=answer) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


@pytest.mark.slow
def test_memory_is_measured_planned_and_replayed(llmguide, server, tmp_path, monkeypatch):
    code, out, err = llmguide(*ASK, "--plan", "--json")
    assert (code, err) == (0, "")
    calls = json.loads(out)["calls"]
    assert not server.requests
    code, out, err = llmguide(*ASK, "--cutoff", "2012-08-01")
    assert (code, err) == (0, "")
    assert "What the model remembers" in out
    assert "page: run/memory.html" in out
    assert len(server.requests) == calls + 1  # with the probe
    assert set(pd.read_csv(tmp_path / "run" / "measures.csv")["period"]) == {"before", "after"}
    costs = pd.read_csv(tmp_path / "run" / "llm_costs.csv")
    assert costs["calls"].sum() == calls + 1
    monkeypatch.delenv("OPENAI_BASE_URL")
    code, out, err = llmguide(*ASK, "--replay", "--json")
    assert (code, err) == (0, "")
    assert {row["period"] for row in json.loads(out)["measures"]} == {"before or unknown"}
    assert len(server.requests) == calls + 1


def test_a_guidance_table_gets_its_recall_and_the_given_one_stays(llmguide, server, tmp_path):
    llmguide(*GUIDE)
    before = (tmp_path / "g.parquet").read_bytes()
    code, out, _ = llmguide(*ASK, "--measures", "recall", "--guidance", "g.parquet")
    assert code == 0
    assert "guidance with recall: run/g.parquet" in out
    assert (tmp_path / "g.parquet").read_bytes() == before
    plain, scored = Guidance.read("g.parquet"), Guidance.read("run/g.parquet")
    assert [row.recall is None for row in scored.rows] == [False] * (len(scored) - 1) + [True]
    assert [row._replace(recall=None) for row in scored.rows] == list(plain.rows)
    assert (scored.tau(BARS.index) == plain.tau(BARS.index)).all()


def test_a_folder_of_instruments_is_asked_about_the_test_months(llmguide, server):
    words = ("memory", "--data", "data", "--split", "2012-06-01", "--measures", "recall", "--prompt", "P0", "--json")
    code, out, _ = llmguide(*words)
    assert code == 0
    found = json.loads(out)
    assert {row["symbol"] for row in found["measures"]} == {"all", "ACME", "BETA"}
    code, more, _ = llmguide(*words, "--all-months", "--plan")
    assert json.loads(more)["calls"] + json.loads(more)["kept"] > found["questions"]


def test_levels_are_told_as_the_option_says(llmguide, server):
    for levels in ("relative", "absolute"):
        code, _, err = llmguide(*ASK, "--measures", "identification", "--levels", levels, "--json")
        assert (code, err) == (0, "")
    told = ["Prices are on a scale" in str(body) for body in server.requests if "IdentityReply" in str(body)]
    shown = {str(body["messages"][1]["content"]) for body in server.requests if "IdentityReply" in str(body)}
    assert len(told) == len(shown) == 24  # twelve months, in two forms
    code, _, err = llmguide(*ASK, "--levels", "none")
    assert (code, "expected levels relative or absolute" in err) == (1, True)


def test_suppression_is_asked_for_counted_and_planned(llmguide, server):
    code, out, _ = llmguide(*GUIDE, "--suppress-memory", "--alpha", "1", "--plan", "--json")
    assert code == 0
    assert json.loads(out)["calls"] == 2 * 12
    code, out, err = llmguide(*GUIDE, "--suppress-memory", "--alpha", "1")
    assert (code, err) == (0, "")
    assert "memory suppressed in 12 of 12 months" in out
    rows = Guidance.read("g.parquet").rows
    assert all(row.said_direction is not None for row in rows)
    code, out, _ = llmguide(*GUIDE, "--suppress-memory", "--cutoff", "2011-01-01", "--json")
    assert json.loads(out)["revised"] == json.loads(out)["unrevised"] == 0
    assert all(row.said_direction is None for row in Guidance.read("g.parquet").rows)


@pytest.mark.slow
@pytest.mark.parametrize(("option", "questions"), [(("--debias",), 5), (("--samples", "3"), 4)])
def test_more_questions_a_month_are_planned_asked_and_counted(llmguide, server, option, questions):
    code, out, _ = llmguide(*GUIDE, *option, "--plan", "--json")
    assert (code, json.loads(out)["calls"]) == (0, questions * 12)
    code, out, err = llmguide(*GUIDE, *option)
    assert (code, err) == (0, "")
    assert f"{'debiased' if option == ('--debias',) else 'decided by votes'} in 12 of 12 months, direction" in out
    assert all(row.p_revised is not None for row in Guidance.read("g.parquet").rows)
    found = json.loads(llmguide(*GUIDE, *option, "--json")[1])
    assert (found["revised"], found["unrevised"]) == (12, 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*GUIDE, "--debias", "--samples", "3"), "give only one of --debias, --samples and --suppress-memory"),
        ((*GUIDE, "--debias", "--suppress-memory"), "give only one of --debias, --samples and --suppress-memory"),
        (("guide", "ACME.csv", "--samples", "3"), "--samples is for --provider llm, local or replay, not for rules"),
        (("memory",), "give either files of BARS, or --data FOLDER"),
        ((*ASK, "--cutoff", "June"), "expected --cutoff to be a day, got 'June'; write it like 2024-06-30"),
        ((*ASK, "--measures", "x"), "expected measures among recall, identification, counterfactual, got x"),
        ((*GUIDE, "--alpha", "1"), "--alpha and --cutoff are settings of --suppress-memory"),
        (
            ("guide", "ACME.csv", "--suppress-memory"),
            "--suppress-memory is for --provider llm, local or replay, not for rules",
        ),
    ],
)
def test_wrong_words_are_one_error(llmguide, words, says):
    code, out, err = llmguide(*words)
    assert (code, out) == (1, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_an_endpoint_without_log_probabilities_cannot_suppress(llmguide, server):
    server.logprobs = "drop"
    code, _, err = llmguide(*GUIDE, "--suppress-memory")
    assert code == 1
    assert "suppressing memory needs log-probabilities" in err


@pytest.mark.slow
def test_ctrl_c_keeps_the_answers_and_the_same_command_goes_on(llmguide, server, tmp_path):
    """A real process, a real signal."""
    calls = json.loads(llmguide(*ASK, "--plan", "--json")[1])["calls"]
    server.delay = 0.1
    process = start(*ASK, folder=tmp_path)
    deadline = time.monotonic() + 300
    while len(server.requests) < 12:
        assert time.monotonic() < deadline, "nothing was asked in time"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "llm.sqlite keeps all answers so far; run the same command again to resume" in err
    assert len(server.requests) <= calls
    server.delay = 0.0
    assert llmguide(*ASK)[0] == 0
    assert len(server.requests) == calls + 1
