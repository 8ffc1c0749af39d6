"""`llmguide tune`, as a user types it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from command_line import let_leases_lapse, run_here, start
from openai_server import OpenAIServer

from llmguide import sample_bars

BARS = sample_bars(years=2, seed=10)
ASK = ("tune", "ACME_train.csv", "--repeats", "1", "--rounds", "2", "--window", "60", "--out", "run")
TEST = ("--test", "ACME_test.csv")


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with the bars of ACME; returns exit code, standard output and error."""
    BARS.iloc[:300].to_csv(tmp_path / "ACME_train.csv")
    BARS.iloc[300:380].to_csv(tmp_path / "ACME_test.csv")
    BARS.iloc[:380].to_csv(tmp_path / "ACME.csv")
    (tmp_path / "data").mkdir()
    for symbol, seed in (("ACME", 10), ("BETA", 5)):
        sample_bars(years=2, seed=seed).iloc[:380].to_csv(tmp_path / "data" / f"{symbol}.csv")
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
def test_a_prompt_is_planned_tuned_tested_replayed_and_used(llmguide, server, tmp_path, monkeypatch):
    code, out, err = llmguide(*ASK, *TEST, "--plan", "--json")
    assert (code, err) == (0, "")
    planned = json.loads(out)["calls"]
    assert not server.requests
    code, out, err = llmguide(*ASK, *TEST)
    assert (code, err) == (0, "")
    assert len(server.requests) == planned + 1  # with the probe
    for said in (
        "2 prompts were tried on training bars.",
        "On 80 test bars, on which nothing was selected, tuning changed the Sharpe ratio by",
        "Prompts tried on the training bars",
        "Test bars",
        "template: run/tuned.md (use it with --prompt run/tuned.md)",
        "page: run/tuning.html",
    ):
        assert said in out
    names = {"tuned.md", "tuned.json", "tuning.html", "tuning.json", "rounds.csv", "finals.csv", "test.csv"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names | {"llm_costs.csv", "config.toml"}
    costs = pd.read_csv(tmp_path / "run" / "llm_costs.csv")
    assert costs["calls"].sum() == planned + 1
    text = (tmp_path / "run" / "tuned.md").read_text()
    monkeypatch.delenv("OPENAI_BASE_URL")
    code, out, err = llmguide(*ASK, *TEST, "--replay", "--json", "--out", "again")
    assert (code, err) == (0, "")
    assert (tmp_path / "again" / "tuned.md").read_text() == text
    found = json.loads(out)
    assert found["template"] == str(Path("again/tuned.md"))
    assert found["pedigree"]["prompts_tried"] == found["tried"] == 2
    assert found["test"]["bars"] == 80
    # What was asked in tuning is not asked again where the template is used: its test months among them.
    code, _, err = llmguide(
        *("guide", "ACME_train.csv", "ACME_test.csv", "--provider", "replay", "--prompt", "P0", "--out", "p0.parquet")
    )
    assert code == 1  # the months that no year drawn has are not there
    assert "lacks" in err
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    words = ("guide", "ACME_test.csv", "--provider", "llm", "--prompt", "run/tuned.md", "--out", "g.parquet")
    assert llmguide(*words)[0] == 0
    assert set(pd.read_parquet(tmp_path / "g.parquet")["prompt_version"]) == {"tuned"}


@pytest.mark.slow
def test_a_split_and_a_folder_cut_as_two_files_do(llmguide, server, tmp_path):
    day = f"{BARS.index[300]:%Y-%m-%d}"
    assert llmguide(*ASK, *TEST)[0] == 0
    asked = len(server.requests)
    code, out, err = llmguide("tune", "ACME.csv", *ASK[2:], "--split", day, "--json")
    assert (code, err, len(server.requests)) == (0, "", asked)
    one = json.loads(out)
    code, out, err = llmguide("tune", "--data", "data", "--symbols", "ACME", *ASK[2:], "--split", day, "--json")
    assert (code, err, len(server.requests)) == (0, "", asked)
    assert json.loads(out)["test"] == one["test"]
    code, out, err = llmguide("tune", "--data", "data", *ASK[2:], "--split", day, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["instruments"] == ["ACME", "BETA"]


def test_without_a_test_no_gain_is_claimed(llmguide, server):
    code, out, err = llmguide(*ASK)
    assert (code, err) == (0, "")
    assert "It was not tested on later bars: its out-of-sample gain is unknown." in out
    assert "test bars" not in out


def test_people_s_exemplars_are_read_and_those_of_other_days_counted(llmguide, server, tmp_path):
    day, later = BARS.index[200], BARS.index[350]
    rows = f"instrument,date,direction,rationale\nACME,{day:%Y-%m-%d},LONG,It held.\nACME,{later:%Y-%m-%d},SHORT,No.\n"
    (tmp_path / "people.csv").write_text(rows)
    code, out, err = llmguide(*ASK, *TEST, "--exemplars", "people.csv")
    assert (code, err) == (0, "")
    assert "1 of the exemplars are for other instruments or outside the training days, and were left out" in out
    sent = "\n".join(json.dumps(request["messages"]) for request in server.requests)
    assert "It held." in sent
    assert "No." not in sent.replace("No date", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tune",), "give either files of BARS, or --data FOLDER"),
        ((*ASK, "--data", "data"), "give either files of BARS, or --data FOLDER"),
        (("tune", "--data", "data", "--test", "ACME_test.csv"), "--symbol, --names and --test are for files of BARS"),
        ((*ASK, "--symbols", "ACME"), "--symbols is for --data"),
        ((*ASK, *TEST, "--split", "2013-01-01"), "give either --test FILE, or --split DATE"),
        ((*ASK, "--test", "ACME.csv"), "the file before it ends on"),
        ((*ASK, "--split", "1990-01-01"), "expected bars before and after 1990-01-01"),
        ((*ASK, "--repeats", "9"), "ask for fewer repeats or a shorter window"),
        ((*ASK, "--prompt", "P9"), "the prompt 'P9' does not exist"),
        ((*ASK, "--exemplars", "none.csv"), "there is no file of exemplars at none.csv"),
        ((*ASK, "--replay"), "no cache of replies at llm.sqlite"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_asked(llmguide, tmp_path, words, said):
    code, out, err = llmguide(*words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert said in err
    assert not (tmp_path / "run").exists()


def test_a_budget_that_ends_is_said_and_a_larger_one_goes_on(llmguide, server, tmp_path):
    code, out, err = llmguide(*ASK, "--budget", "0.004")
    assert (code, out) == (1, "")
    assert "budget" in err
    assert not (tmp_path / "run").exists()
    asked = len(server.requests)
    assert asked > 2
    assert llmguide(*ASK, "--budget", "1")[0] == 0
    assert set(server.complete.values()) == {1}
    assert len(server.requests) > asked


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_tuning_that_was_stopped_goes_on_and_pays_for_nothing_twice(llmguide, tmp_path, monkeypatch, how):
    with OpenAIServer(delay=0.2) as slow:
        process = start(*ASK, *TEST, folder=tmp_path, OPENAI_BASE_URL=slow.url)
        deadline = time.monotonic() + 300
        while sum(slow.complete.values()) < 12 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(how)
        err = process.communicate(timeout=300)[1]
        assert process.returncode == (130 if how == signal.SIGINT else -9)
        if how == signal.SIGINT:
            assert "run the same command again to resume" in err
        assert not (tmp_path / "run" / "tuned.md").exists()
        let_leases_lapse(tmp_path / "llm.sqlite")
        slow.delay = 0.0
        monkeypatch.setenv("OPENAI_BASE_URL", slow.url)
        code, _, err = llmguide(*ASK, *TEST)
        assert code == 0, err
        assert (tmp_path / "run" / "tuned.md").exists()
        if how == signal.SIGINT:
            assert max(slow.complete.values()) == 1
