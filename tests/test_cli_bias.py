"""`llmguide bias`, as a user types it."""

from __future__ import annotations

import json
import signal
import time

import pandas as pd
import pytest
from command_line import run_here, start
from openai_server import OpenAIServer

from llmguide import sample_bars

ASK = ("bias", "ACME.csv", "--prompt", "P0", "--out", "run")
MONTHS = 12
# Of each month plain, four codes, paraphrase, mirrored (without tables the bare question is the plain one); five null.
CALLS = 7 * MONTHS + 5


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with the bars of ACME and BETA; returns exit code, standard output and error."""
    sample_bars(years=1, seed=10).to_csv(tmp_path / "ACME.csv")
    (tmp_path / "data").mkdir()
    for symbol, seed in (("ACME", 10), ("BETA", 5)):
        sample_bars(years=1, seed=seed).to_csv(tmp_path / "data" / f"{symbol}.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return lambda *words: run_here(monkeypatch, capsys, *words)


@pytest.fixture
def server(monkeypatch, llmguide):
    with OpenAIServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


@pytest.mark.slow
def test_biases_are_planned_measured_and_replayed(llmguide, server, tmp_path, monkeypatch):
    code, out, err = llmguide(*ASK, "--plan", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["calls"] == CALLS
    assert not server.requests
    code, out, err = llmguide(*ASK)
    assert (code, err) == (0, "")
    for said in (
        "Calling the directions LONG and SHORT instead of X and Y moves p(LONG) by",
        "Months whose direction flips when the question is changed",
        "A month and its mirror image",
        "A month in which nothing moved",
        "Skill, on 11 months with an outcome",
        "page: run/bias.html",
    ):
        assert said in out
    assert len(server.requests) == CALLS + 1  # with the probe
    names = {"bias.html", "bias.json", "measures.csv", "skill.csv", "months.csv", "nulls.csv", "llm_costs.csv"}
    names.add("config.toml")
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    assert pd.read_csv(tmp_path / "run" / "llm_costs.csv")["calls"].sum() == CALLS + 1
    monkeypatch.delenv("OPENAI_BASE_URL")
    code, out, err = llmguide(*ASK, "--replay", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["questions"] == 8 * MONTHS + 5
    assert {row["measure"] for row in found["measures"]} == {"labels", "codes", "order", "paraphrase", "mirror"}
    assert found["summary"] == json.loads((tmp_path / "run" / "bias.json").read_text())["summary"]
    assert len(server.requests) == CALLS + 1


@pytest.mark.slow
def test_what_guide_has_asked_is_not_asked_again_and_the_other_way_round(llmguide, server):
    words = ("guide", "ACME.csv", "--provider", "llm", "--prompt", "P0", "--debias", "--out", "g.parquet")
    assert llmguide(*words)[0] == 0
    asked = len(server.requests)
    assert asked == 5 * MONTHS + 1
    assert llmguide(*ASK)[0] == 0
    assert len(server.requests) == CALLS + 1
    assert llmguide(*words)[0] == 0
    assert len(server.requests) == CALLS + 1


@pytest.mark.slow
def test_a_folder_of_instruments_is_asked_about_the_test_months_and_levels_are_told_as_wanted(llmguide, server):
    words = ("bias", "--data", "data", "--split", "2012-09-01", "--prompt", "P0", "--levels", "absolute", "--json")
    code, out, _ = llmguide(*words)
    assert code == 0
    found = json.loads(out)
    assert {row["symbol"] for row in found["measures"]} == {"all", "ACME", "BETA"}
    assert found["levels"] == "absolute"
    assert "on a scale on which the first close" not in str(server.requests[-1])
    code, more, _ = llmguide(*words, "--all-months", "--plan")
    assert json.loads(more)["calls"] > found["questions"]


def test_the_settings_file_counts(llmguide, server, tmp_path):
    (tmp_path / "settings.toml").write_text("[brief]\nevery = 40\n")
    code, out, _ = llmguide(*ASK, "--settings", "settings.toml", "--plan", "--json")
    assert code == 0
    assert json.loads(out)["calls"] == 7 * (MONTHS // 2) + 5


@pytest.mark.slow
def test_answers_without_log_probabilities_are_said(llmguide, server):
    server.logprobs = "drop"
    code, out, err = llmguide(*ASK)
    assert code == 0
    assert "moves the share of LONG by" in out
    assert "log-probabilities" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("bias",), "give either files of BARS, or --data FOLDER"),
        ((*ASK, "--levels", "x"), "expected levels relative or absolute, got 'x'"),
        ((*ASK, "--prompt", "P9"), "the prompt 'P9' does not exist"),
        ((*ASK, "--replay"), "no cache of replies at llm.sqlite"),
    ],
)
def test_wrong_words_are_one_error(llmguide, words, says):
    code, out, err = llmguide(*words)
    assert (code, out) == (1, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
def test_ctrl_c_keeps_the_answers_and_the_same_command_goes_on(llmguide, server, tmp_path):
    """A real process, a real signal."""
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
    assert len(server.requests) < CALLS
    server.delay = 0.0
    assert llmguide(*ASK)[0] == 0
    assert len(server.requests) == CALLS + 1
    assert set(server.complete.values()) == {1}
