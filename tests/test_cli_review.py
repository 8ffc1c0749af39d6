"""`llmguide review`, and what makes and takes its files, as a user types them."""

from __future__ import annotations

import json
import re

import pytest
from command_line import run_here
from made_review import answered, kept
from openai_server import OpenAIServer

from llmguide import sample_bars
from llmguide.guidance.review.kept import read_kept, write_kept
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.sheet import save_sheet


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with a run's advice; returns exit code, standard output and error."""
    write_kept(kept(), tmp_path / "run" / "advice.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return lambda *words: run_here(monkeypatch, capsys, *words)


def assert_one_line(result, says):
    code, out, err = result
    assert (code, out) == (1, ""), err
    assert re.search(says, err), err
    assert len(err.strip().splitlines()) == 1


def test_a_page_is_written_answered_and_reckoned_with(llmguide, tmp_path):
    code, out, err = llmguide("review", "page", "run", "--months", "6", "--seed", "2", "--out", "r")
    assert code == 0
    assert "r/review.html: 6 months" in out
    assert "4 of 6 months name their instrument" in err  # two letters such as KO name one only before "shares"
    packet = Packet.read(tmp_path / "r")
    sent_back = save_sheet(tmp_path / "mail", answered(packet, "ben", seed=4))
    save_sheet(tmp_path / "r", answered(packet, "anna"))
    code, out, err = llmguide("review", "results", "r", sent_back, "--exemplars", "ex.json")
    assert (code, err) == (0, "")
    for title in ("Expert review by prompt", "Agreement between reviewers", "Directions", "12 exemplars in ex.json"):
        assert title in out
    rows = json.loads((tmp_path / "ex.json").read_text())
    assert {"instrument", "date", "direction", "rationale", "comment"} <= rows[0].keys()
    code, out, _ = llmguide("review", "results", "r", sent_back, "--json")
    found = json.loads(out)
    assert (code, found["people"]) == (0, {"anna": 6, "ben": 6})
    assert {row["prompt"] for row in found["scores"]} == {"P1", "P4", "all"}


def test_the_same_folder_goes_on_and_another_draw_is_refused(llmguide, tmp_path):
    assert llmguide("review", "page", "run", "--out", "r")[0] == 0
    before = (tmp_path / "r" / "packet.json").read_bytes()
    assert llmguide("review", "page", "--out", "r")[0] == 0
    assert llmguide("review", "page", "run", "--out", "r")[0] == 0
    assert (tmp_path / "r" / "packet.json").read_bytes() == before
    other = llmguide("review", "page", "run", "--seed", "1", "--out", "r")
    assert_one_line(other, "r holds another review: 10 months, seed 0; leave run out to continue")
    assert_one_line(llmguide("review", "page", "--months", "3", "--out", "r"), "draw the months of a RUN; name it")
    assert (tmp_path / "r" / "packet.json").read_bytes() == before


def test_what_is_missing_or_wrong_is_said_in_one_line(llmguide, tmp_path):
    assert_one_line(llmguide("review", "page", "--out", "r"), "r holds no review yet; name the run folder")
    assert_one_line(llmguide("review", "page", "nothing"), "there is no file nothing; `llmguide prompts`")
    assert_one_line(
        llmguide("review", "page", "run", "--prompts", "P9"), "no answers of the prompt 'P9'; known: P1, P4"
    )
    assert_one_line(llmguide("review", "results", "run"), r"there is no file run/packet.json; `llmguide review open`")
    assert_one_line(llmguide("review", "results", "run", "."), "folder of one review among run, ., got 2")
    assert_one_line(llmguide("review", "open", "run", "--reviewers", "a/b"), "expected a reviewer's name of 1 to 40")
    assert_one_line(llmguide("review", "open", "run", "--reviewers", "anna,Anna"), "each once, got anna, Anna")
    assert not (tmp_path / "runs").exists()
    assert llmguide("review", "page", "run", "--out", "r")[0] == 0
    assert_one_line(llmguide("review", "results", "r"), "expected answers of at least one reviewer, got none")


def test_a_judge_is_planned_asked_cached_and_shown_apart(llmguide, tmp_path, monkeypatch):
    assert llmguide("review", "page", "run", "--months", "4", "--out", "r")[0] == 0
    save_sheet(tmp_path / "r", answered(Packet.read(tmp_path / "r"), "anna"))
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code, out, _ = llmguide("review", "judge", "r", "--plan", "--json")
        assert (code, json.loads(out)["calls"], server.requests) == (0, 4, [])
        code, out, err = llmguide("review", "judge", "r")
        assert (code, err) == (0, "")
        assert "r/reviewers/judge-gpt-4o-mini.json: 4 of 4 months" in out
        asked = len(server.requests)
    code, out, _ = llmguide("review", "judge", "r", "--replay", "--json")
    assert (code, json.loads(out)["months"], len(server.requests)) == (0, 4, asked)
    _, out, _ = llmguide("review", "results", "r")
    assert "Scored by a language model, judge-gpt-4o-mini" in out
    assert "A language model's scores against people's" in out


@pytest.mark.slow
def test_guide_and_prompts_keep_what_review_takes_and_prompts_takes_it_back(llmguide, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    bars = sample_bars(years=1, seed=8).iloc[:150]
    bars.to_csv(tmp_path / "data" / "ACME.csv")
    ask = ("--data", "data", "--split", "2012-05-01")
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        guided = ("guide", "data/ACME.csv", "--provider", "llm", "--prompt", "P1", "--out", "g.parquet")
        assert llmguide(*guided, "--advice", "g.json")[0] == 0
        assert [month.symbol for month in read_kept(tmp_path / "g.json")] == ["ACME"] * 6
        assert llmguide("prompts", *ask, "--prompts", "P0,P1", "--out", "p")[0] == 0
    assert_one_line(llmguide("guide", "data/ACME.csv", "--advice", "x.json"), "--advice is for --provider llm")
    assert llmguide("review", "page", "p", "--months", "4", "--out", "r")[0] == 0
    packet = Packet.read(tmp_path / "r")
    save_sheet(tmp_path / "r", answered(packet, "anna"))
    replay = ("prompts", *ask, "--prompts", "P0,P1", "--replay")
    code, out, err = llmguide(*replay, "--out", "p2", "--reviews", "r")
    assert code == 0, err
    assert "Expert review by prompt" in out
    assert (tmp_path / "p2" / "table_reviews.tex").is_file()
    assert_one_line(
        llmguide("prompts", *ask, "--prompts", "P0", "--replay", "--out", "p3", "--reviews", "p"),
        "there is no file p/packet.json",
    )
