"""The commands that ask a language model, as a user types them."""

from __future__ import annotations

import json
import re
import signal
import time

import pandas as pd
import pytest
from command_line import run_here, start
from openai_server import Answer, OpenAIServer

from llmguide import Guidance, sample_bars
from llmguide.llm.cache import Cache
from llmguide.states.factors import Factors

KEY = "sk-test-0123456789"
BARS = sample_bars(years=1, seed=8).iloc[:150]  # six months


@pytest.fixture
def files(tmp_path):
    """Bars of ACME in two files and of two instruments in a folder, with news and names of one of them."""
    BARS.iloc[:90].to_csv(tmp_path / "ACME_train.csv")
    BARS.iloc[90:].to_csv(tmp_path / "ACME_test.csv")
    (tmp_path / "data").mkdir()
    BARS.to_csv(tmp_path / "data" / "ACME.csv")
    sample_bars(years=1, seed=9).iloc[:150].to_csv(tmp_path / "data" / "BETA.csv")
    (tmp_path / "tables" / "ACME").mkdir(parents=True)
    days = BARS.index[::2] + pd.Timedelta(hours=9)
    news = {"published_at": days, "headline": [f"Acme Corp settles case {n} of Roadrunner" for n in range(len(days))]}
    pd.DataFrame(news).to_csv(tmp_path / "tables" / "ACME" / "news.csv", index=False)
    pd.DataFrame({"date": BARS.index, "SPX": 1300.0, "VIX": 15.0}).to_csv(
        tmp_path / "tables" / "market.csv", index=False
    )
    names = "name,kind\nAcme Corp,company\nRoadrunner,company\n"
    (tmp_path / "tables" / "ACME" / "names.csv").write_text(names, encoding="utf-8")
    return tmp_path


@pytest.fixture
def llmguide(files, monkeypatch, capsys):
    """Run a command in this process; returns its exit code, standard output and standard error."""
    monkeypatch.chdir(files)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def run(*words):
        code, out, err = run_here(monkeypatch, capsys, *words)
        assert KEY not in out + err
        return code, out, err

    return run


@pytest.fixture
def server(monkeypatch, llmguide):
    """A scripted model, which OPENAI_BASE_URL names."""
    with OpenAIServer(key=KEY) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


BOTH = ("ACME_train.csv", "ACME_test.csv")
FOLDER = ("--data", "data", "--split", "2012-05-01")
ASK = ("guide", *BOTH, "--provider", "llm", "--prompt", "P2")


def asked(server):
    return [body for body in server.requests if "Readiness" not in str(body.get("response_format"))]


def assert_one_line(result, says):
    code, out, err = result
    assert (code, out) == (1, ""), err
    assert re.search(says, err), err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1


def test_guide_asks_once_and_the_same_command_costs_nothing_the_second_time(llmguide, server, files):
    code, out, err = llmguide(*ASK, "--out", "g.parquet")
    assert (code, err) == (0, "")
    assert "6 rows in g.parquet" in out
    assert "ACME P2" in out
    table = Guidance.read(files / "g.parquet")
    assert [row.issued_at for row in table.rows] == list(BARS.index[30::20])
    assert len(asked(server)) == 6
    code, out, _ = llmguide(*ASK, "--out", "h.csv", "--json")
    assert json.loads(out)["rows"] == 6
    assert Guidance.read(files / "h.csv") == table
    assert len(server.requests) == 7  # with the probe


def test_a_replay_needs_no_key_and_no_endpoint(llmguide, server, files, monkeypatch):
    llmguide(*ASK, "--out", "g.csv")
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    code, _, err = llmguide("guide", *BOTH, "--provider", "replay", "--prompt", "P2", "--out", "h.csv")
    assert (code, err) == (0, "")
    assert (files / "g.csv").read_bytes() == (files / "h.csv").read_bytes()
    assert_one_line(
        llmguide("guide", *BOTH, "--provider", "replay", "--prompt", "P3"), r"lacks 1 answer .*strategist ACME P3"
    )


def test_the_costs_printed_as_json_are_those_of_the_servers_bill(llmguide, server):
    _, out, _ = llmguide(*ASK, "--json")
    costs = {row["prompt"]: row for row in json.loads(out)["costs"]}
    assert costs["P2"]["calls"] == 6
    assert costs["P2"]["prompt_tokens"] == sum(len(json.dumps(body["messages"])) // 4 for body in asked(server))
    assert costs["P2"]["dollars"] > 0


def test_a_folder_of_bars_and_several_prompts_become_a_folder_of_tables(llmguide, server, files):
    words = ("guide", "--data", "data", "--split", "2012-05-01", "--provider", "llm", "--prompt", "P1,P2")
    code, out, _ = llmguide(*words, "--out", "g")
    assert code == 0
    assert "BETA P2" in out
    tables = sorted(str(path.relative_to(files / "g")) for path in (files / "g").rglob("*.parquet"))
    assert tables == ["P1/ACME.parquet", "P1/BETA.parquet", "P2/ACME.parquet", "P2/BETA.parquet"]
    assert set(pd.read_csv(files / "g" / "llm_costs.csv")["instrument"].dropna()) >= {"ACME", "BETA"}
    llmguide(*ASK, "--out", "one.parquet")
    assert Guidance.read(files / "one.parquet") == Guidance.read(files / "g" / "P2" / "ACME.parquet")
    code, out, _ = llmguide(*words, "--symbols", "BETA", "--out", "b", "--json")
    assert [table["symbol"] for table in json.loads(out)["tables"]] == ["BETA", "BETA"]
    assert len(asked(server)) == 2 * 2 * 6


def test_a_plan_asks_nothing_needs_no_key_and_leaves_no_file(llmguide, files, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    before = sorted(files.iterdir())
    code, out, err = llmguide(*ASK, "--plan")
    assert (code, err) == (0, "")
    assert "nothing was sent" in out
    code, out, _ = llmguide(*ASK, "--tables", "tables", "--plan", "--json")
    assert json.loads(out)["calls"] == 6
    assert json.loads(out)["dollars"] > 0
    assert sorted(files.iterdir()) == before


def test_a_plan_is_what_the_run_then_takes(llmguide, server):
    words = ("guide", *BOTH, "--provider", "llm", "--prompt", "P4", "--tables", "tables")
    plan = json.loads(llmguide(*words, "--plan", "--json")[1])
    assert server.requests == []
    costs = json.loads(llmguide(*words, "--json")[1])["costs"]
    assert plan["calls"] == len(asked(server)) == 12
    spent = sum(row["prompt_tokens"] for row in costs if row["instrument"])
    assert spent == pytest.approx(plan["prompt_tokens"], rel=0.3)
    assert sum(row["dollars"] for row in costs) < plan["most_dollars"]
    left = json.loads(llmguide(*words, "--plan", "--json")[1])
    assert (left["calls"], left["kept"], left["dollars"]) == (0, 12, 0.0)


def test_a_budget_is_a_cap_and_a_larger_one_goes_on(llmguide, server):
    assert_one_line(llmguide(*ASK, "--budget", "0.0025"), "budget of 0.0025 .*start again with a larger budget")
    first = len(server.requests)
    assert 1 < first < 7
    assert llmguide(*ASK, "--budget", "1")[0] == 0
    assert len(server.requests) == 7
    assert set(server.complete.values()) == {1}


def test_settings_shape_the_question_and_every(llmguide, server, files):
    text = '[sampling]\ntemperature = 0.5\nseed = "none"\n[brief]\nevery = 40\nobjective = "a calm night"\n'
    (files / "s.toml").write_text(text, encoding="utf-8")
    llmguide(*ASK, "--settings", "s.toml", "--json")
    assert len(asked(server)) == 3
    for body in asked(server):
        assert body["temperature"] == 0.5
        assert "seed" not in body
        assert "a calm night" in json.dumps(body["messages"])
    llmguide(*ASK, "--settings", "s.toml", "--every", "60", "--json")
    assert len({json.dumps(body["messages"]) for body in asked(server)}) == 3 + 2


def test_strict_stops_at_a_refusal_and_without_it_the_month_abstains(llmguide, server):
    server.answer = lambda body: Answer("", refusal="I would rather not.") if len(server.requests) == 4 else None
    assert_one_line(llmguide(*ASK, "--strict"), "declined.*rather not")
    code, out, _ = llmguide(*ASK)
    assert code == 0
    assert "1 of 6 rows abstain" in out


def test_what_the_model_wrote_is_shown_as_it_is(llmguide, server):
    words = "Up [/technical.sma_50_slope] [x] :smile: \x1b[2J"

    def odd(body):
        if "StrategistReply" in str(body["response_format"]):
            return {"explanation": words, "features": [], "direction": "LONG", "confidence": 2}
        return None

    server.answer = odd
    code, out, err = llmguide(*ASK)
    assert (code, err) == (0, "")
    shown = " ".join(re.sub("[│\\s]+", " ", out).split())
    assert "[/technical.sma_50_slope]" in shown
    assert "[x] :smile:" in shown
    assert "\x1b" not in out


def test_a_row_without_log_probabilities_beside_others_is_said(llmguide, server):
    server.faults = [None, "no_logprobs", None, "no_logprobs"]
    code, out, _ = llmguide(*ASK, "--out", "g.csv")
    assert code == 0
    assert "2 of 6 rows have no entropy; their certainty counts as 1" in out
    assert json.loads(llmguide(*ASK, "--json")[1])["without_entropy"] == 2
    words = ("guide", *FOLDER, "--symbols", "ACME", "--provider", "llm")
    _, out, _ = llmguide(*words, "--prompt", "P2")
    assert re.search(r"│ no entropy │|┃ no entropy ┃", out)
    assert "2 of 6 rows have no entropy" in out
    (table,) = json.loads(llmguide(*words, "--prompt", "P2", "--json")[1])["tables"]
    assert (table["rows"], table["without_entropy"]) == (6, 2)
    study = ("prompts", *FOLDER, "--symbols", "ACME", "--prompts", "P0", "--out", "study")
    server.faults = ["no_logprobs", None] * 10
    missing = json.loads(llmguide(*study, "--json")[1])["without_entropy"]
    assert missing > 0
    assert re.search(rf"{missing} of \d answers have no entropy", llmguide(*study)[1])
    server.faults = None
    assert "no entropy:" not in llmguide(*ASK[:-1], "P1")[1]


def test_months_whose_news_could_not_be_read_are_told_to_the_model_and_to_the_user(llmguide, server):
    def silent(body):
        if "AnalystReply" not in str(body["response_format"]) or "case 44" in str(body["messages"]):
            return None
        return Answer("", refusal="I would rather not.")

    server.answer = silent
    words = ("guide", *BOTH, "--provider", "llm", "--prompt", "P4", "--tables", "tables")
    code, out, _ = llmguide(*words)
    assert code == 0
    told = [str(body["messages"]) for body in asked(server) if "StrategistReply" in str(body["response_format"])]
    unread = sum("The news could not be read." in text for text in told)
    assert 0 < unread < 6
    assert f"{unread} months without the Analyst's factors: no usable answer" in out
    assert json.loads(llmguide(*words, "--json")[1])["without_factors"] == unread
    folder = ("guide", *FOLDER, "--symbols", "ACME", "--tables", "tables", "--provider", "llm")
    code, out, _ = llmguide(*folder, "--prompt", "P3,P4")
    assert f"{unread} months without the Analyst's factors" in out
    both = json.loads(llmguide(*folder, "--prompt", "P3,P4", "--json")[1])["tables"]
    assert {table["prompt"]: table["without_factors"] for table in both} == {"P3": 0, "P4": unread}


def test_the_analysts_factors_are_written_as_the_strategist_was_told_them(llmguide, server, files):
    words = ("guide", *BOTH, "--provider", "llm", "--tables", "tables")
    code, out, err = llmguide(*words, "--factors", "news/f.csv", "--out", "g.parquet")
    assert code == 0, err
    assert "news factors: news/f.csv" in out
    news = Factors.read(files / "news" / "f.csv")
    assert [at for at, _ in news.issues] == list(BARS.index[30::20])
    told = [str(body["messages"]) for body in asked(server) if "StrategistReply" in str(body["response_format"])]
    assert len(news) > 6
    for (_, factors), message in zip(news.issues, told, strict=True):
        assert factors
        assert all(factor.text in message for factor in factors)
    code, out, _ = llmguide("guide", *FOLDER, "--provider", "llm", "--prompt", "P3,P4", "--tables", "tables",
                            "--factors", "all", "--out", "g")  # fmt: skip
    assert [file.name for file in (files / "all").iterdir()] == ["ACME.parquet"]  # BETA has no news
    assert len(Factors.read(files / "all" / "ACME.parquet").issues) == 6


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--provider", "llm"), "the Analyst's factors, which need news, in --tables FOLDER"),
        (
            ("--provider", "llm", "--tables", "tables", "--prompt", "P2"),
            "need a prompt that includes news, such as",
        ),
        (("--provider", "rules"), "--factors is for --provider llm, local or replay, not for rules"),
    ],
)
def test_factors_of_nobody_are_refused_before_anything_is_asked(llmguide, server, words, says):
    assert_one_line(llmguide("guide", *BOTH, *words, "--factors", "f.csv"), says)
    assert_one_line(
        llmguide("guide", *BOTH, "--provider", "llm", "--tables", "tables", "--factors", "f.txt"),
        r"expected --factors to end in .parquet or .csv, got 'f.txt'",
    )
    assert not server.requests


@pytest.mark.parametrize(
    "words",
    [
        (*ASK, "--out", "ACME_test.csv/g.csv"),
        (*ASK, "--out", "folder.csv"),
        ("guide", *BOTH, "--out", "folder.csv"),
        ("guide", *FOLDER, "--provider", "llm", "--prompt", "P1", "--out", "ACME_test.csv"),
        ("guide", *FOLDER, "--provider", "llm", "--prompt", "P1", "--out", "taken"),
        ("guide", *FOLDER, "--provider", "llm", "--prompt", "P1,P2", "--out", "taken"),
        ("prompts", *FOLDER, "--prompts", "P0", "--out", "ACME_test.csv"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_asked(llmguide, server, files, words):
    (files / "folder.csv").mkdir()
    (files / "taken" / "BETA.parquet").mkdir(parents=True)
    (files / "taken" / "P1").write_text("", encoding="utf-8")
    assert_one_line(llmguide(*words), "cannot write")
    assert server.requests == []


def test_an_endpoint_that_can_less_is_told_on_standard_error(llmguide, monkeypatch):
    with OpenAIServer(logprobs="drop", response_format="json_object") as weak:
        code, out, err = llmguide(*ASK, "--base-url", weak.url, "--json")
    assert code == 0
    assert all(row["entropy"] is None for row in json.loads(out)["guidance"])
    assert "JSON mode, replies checked here; no log-probabilities" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--prompt", "P7"), "the prompt 'P7' does not exist; llmguide has P0, P1, P2, P3, P4"),
        (("--prompt", "mine.md"), "'mine.md' does not exist"),
        (("--prompt", "broken.md"), r"broken\.md"),
        (("--prompt", "divides.md"), r"divides\.md cannot be filled: ZeroDivisionError"),
        (("--prompt", "nothing.md"), r"nothing\.md renders to no text"),
        (("--prompt", "P1,P2"), "several prompts"),
        (("--settings", "none.toml"), "there is no settings file none.toml"),
        (("--settings", "wrong.toml"), r"wrong\.toml: \[brief\] memroy: .*did you mean 'memory'"),
        (("--base-url", "localhost:8000"), "expected a base URL"),
        (("--base-url", "http://user:word@127.0.0.1/v1"), "without user, password"),
        (("--prices", "none.toml"), "no table of prices at none.toml"),
        (("--tables", "nowhere"), "there is no folder of tables nowhere"),
        (("--tables", "tables", "--symbol", "acme"), r"no folder 'acme'; did you mean 'ACME'\? .*--symbol"),
        (("--tables", "tables", "--symbol", "train"), r"no folder 'train' \(only ACME\); give .*--symbol"),
        (("--names", "nowhere.csv"), "there is no table of names at nowhere.csv"),
        (("--cache", "ACME_train.csv"), "ACME_train.csv cannot be used"),
        (("--cache", "data"), "data"),
        (("--every", "0"), "every >= 1"),
        (("--out", "g.txt"), "end in .parquet or .csv"),
        (("--seed", "3"), "--seed is not for --provider llm"),
        (("--accuracy", "0.5"), "--accuracy is not for --provider llm"),
        (("--data", "data"), "either files of BARS, or --data"),
        (("--provider", "lmm"), "did you mean 'llm'"),
        (("--provider", "rules"), "--prompt is for --provider llm, local or replay, not for rules"),
        (("--model", "unknown", "--budget", "1"), "the price of unknown is unknown"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_asked(llmguide, server, files, words, says):
    (files / "wrong.toml").write_text("[brief]\nmemroy = 3\n", encoding="utf-8")
    (files / "divides.md").write_text(
        '{% extends "P4.md" %}{% block user %}{{ 1 / 0 }}{% endblock %}', encoding="utf-8"
    )
    (files / "nothing.md").write_text('{% extends "layout.md" %}', encoding="utf-8")
    (files / "broken.md").write_text("{% block system %}{{ nothing }", encoding="utf-8")
    assert_one_line(llmguide(*ASK, *words), says)
    assert asked(server) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("guide", "--provider", "llm"), "either files of BARS, or --data"),
        (("guide", "--data", "data"), "--data is for --provider llm, local or replay, not for rules"),
        (("guide", *BOTH, "--plan"), "--plan is for --provider llm"),
        (("guide", *BOTH, "--in-flight", "8"), "--in-flight is for --provider llm"),
        (("guide", "--data", "none", "--provider", "llm"), "none"),
        (("guide", "--data", "data", "--provider", "llm", "--symbol", "ACME"), "--symbol and --names are for files"),
        (("guide", "--data", "data", "--provider", "llm", "--symbols", "ACMEE"), "did you mean 'ACME'"),
        (("prompt", *BOTH, "--date", "1999-01-01"), "there is no guidance yet on 1999-01-01"),
        (("prompt", *BOTH, "--date", "soon"), "expected a date such as 2018-02-14"),
        (("prompt", *BOTH, "--date", "2012-03-01", "--role", "analist"), "did you mean 'analyst'"),
        (("prompt", *BOTH, "--date", "2012-03-01", "--levels", "absolut"), "did you mean 'absolute'"),
        (("guide", *BOTH, "--levels", "absolute"), "--levels is for --provider llm, local or replay, not for rules"),
        (("prompt", *BOTH, "--date", "2012-03-01", "--prompt", "P9"), "'P9' does not exist"),
        (("prompt", "ACME_test.csv", "ACME_train.csv", "--date", "2012-03-01"), "order them"),
        (("prompts", "--data", "data", "--split", "2012-05-01", "--prompts", "P1,P1"), "P1 twice"),
        (("prompts", "--data", "data", "--split", "2012-05-01", "--prompts", "P9"), "'P9' does not exist"),
        (("prompts", "--data", "data", "--split", "someday"), "split to be a date"),
        (("prompts", "--data", "data", "--split", "2012-05-01", "--replay"), "no cache of replies at llm.sqlite"),
        (("tables", "ACME", "--start", "2012", "--end", "2013", "--only", "newz"), "did you mean 'news'"),
        (("tables", "ACME", "--start", "2012", "--end", "2013", "--only", ""), "expected tables of market"),
        (("tables", "ACME", "--start", "soon", "--end", "2013"), "start to be a date"),
        (("tables", "ACME", "--start", "2013", "--end", "2012-01-01"), "swap them"),
        (("cache", "export", "x.jsonl", "--cache", "none.sqlite"), "there is no cache none.sqlite"),
        (("cache", "costs", "--cache", "none.sqlite"), "there is no cache none.sqlite"),
        (("cache", "costs", "--cache", "ACME_train.csv"), "cannot be used"),
        (("cache", "import", "none.jsonl"), "there is no file none.jsonl"),
        (("cache", "import", "ACME_train.csv"), "ACME_train.csv, line 1"),
        (("backtest", "ACME_test.csv", "--strategy", "LLMOnly", "--provider", "llm"), "llmguide guide --provider llm"),
    ],
)
def test_mistakes_in_other_commands_are_one_clear_line_too(llmguide, words, says):
    assert_one_line(llmguide(*words), says)


def test_no_key_is_one_clear_line(llmguide, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert_one_line(llmguide(*ASK), "set the environment variable OPENAI_API_KEY")


def test_a_wrong_key_and_an_unknown_model_are_one_clear_line(llmguide, server, monkeypatch):
    server.models = ["scripted"]
    assert_one_line(llmguide(*ASK, "--model", "scriptde"), "'scriptde'.*404")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789")
    code, _, err = llmguide(*ASK, "--model", "scripted")
    assert code == 1
    assert "401" in err
    assert "sk-wrong-0123456789" not in err


def test_a_server_that_is_not_there_is_one_clear_line(llmguide, server, files):
    server.__exit__()
    (files / "s.toml").write_text("max_retries = 0\n", encoding="utf-8")
    assert_one_line(llmguide(*ASK, "--settings", "s.toml"), "no connection.*is the server running")


def test_prompt_shows_what_is_then_sent(llmguide, server):
    words = ("--prompt", "P4", "--tables", "tables")
    llmguide("guide", *BOTH, "--provider", "llm", *words)
    strategist = [body for body in asked(server) if "StrategistReply" in str(body["response_format"])]
    for number, day in [(0, BARS.index[30]), (5, BARS.index[130])]:
        code, out, err = llmguide("prompt", *BOTH, "--date", f"{day:%Y-%m-%d}", *words)
        assert (code, err) == (0, f"note: the decision of {day:%Y-%m-%d}\n")
        told = "".join(
            f"----- {message['role']} -----\n{message['content']}\n\n" for message in strategist[number]["messages"]
        )
        assert out == told
        _, out, _ = llmguide("prompt", *BOTH, "--date", f"{day:%Y-%m-%d}", *words, "--json")
        (request,) = json.loads(out)["requests"]
        assert request["messages"] == strategist[number]["messages"]
        assert request["schema_json"] == strategist[number]["response_format"]["json_schema"]["schema"]
        _, out, _ = llmguide("prompt", *BOTH, "--date", f"{day:%Y-%m-%d}", *words, "--role", "analyst", "--json")
        analyst = [body["messages"] for body in asked(server) if "AnalystReply" in str(body["response_format"])]
        assert json.loads(out)["requests"][0]["messages"] in analyst


def test_levels_are_relative_unless_the_settings_or_the_option_say_otherwise(llmguide, server, files):
    words = (*BOTH, "--date", "2012-03-01", "--prompt", "P0")
    (files / "s.toml").write_text('[brief]\nlevels = "absolute"\n', encoding="utf-8")
    shown = {
        more: llmguide("prompt", *words, *more)[1]
        for more in (
            *((), ("--levels", "absolute"), ("--settings", "s.toml")),
            ("--settings", "s.toml", "--levels", "relative"),
        )
    }
    relative, option, settings, both = shown.values()
    assert relative == both != option == settings
    assert "| 100.00 |" in relative
    assert "| 100.00 |" not in option
    code, out, err = llmguide("guide", *BOTH, "--provider", "llm", "--prompt", "P0", "--levels", "absolute", "--json")
    assert code == 0, err
    sent = [body["messages"][-1]["content"] for body in asked(server)]
    assert len(sent) == 6
    assert not any("| 100.00 |" in text for text in sent)
    _, out, _ = llmguide("prompts", *FOLDER, "--prompts", "P0", "--levels", "absolute", "--plan", "--json")
    assert json.loads(out)["kept"] > 0  # of ACME; those of other levels are other questions
    _, out, _ = llmguide("prompts", *FOLDER, "--prompts", "P0", "--plan", "--json")
    assert json.loads(out)["kept"] == 0


def test_prompt_prints_text_as_it_is(llmguide, files):
    odd = "tabs\\tand :smile: and [bold]brackets[/bold] and a line longer than any screen " + "so it is " * 40
    (files / "s.toml").write_text(f'[brief]\nobjective = "{odd}"\n', encoding="utf-8")
    words = ("prompt", *BOTH, "--date", "2012-03-01", "--settings", "s.toml")
    _, out, _ = llmguide(*words)
    shown = json.loads(llmguide(*words, "--json")[1])["requests"][0]["messages"]
    assert ":smile: and [bold]brackets[/bold]" in out
    for message in shown:
        assert message["content"] in out


def test_prompt_hides_the_names_and_says_what_is_missing(llmguide, files):
    code, out, err = llmguide("prompt", *BOTH, "--date", "2012-05-01", "--next", "--tables", "tables")
    assert code == 0
    assert err.count("note: ") == 3
    assert err.startswith("note: the decision of 2012-05-07\n")
    asked_for = ("--date", "2012-05-01", "--next", "--tables", "tables", "--role", "analyst")
    _, analyst, _ = llmguide("prompt", *BOTH, *asked_for)
    assert "settles case" in analyst
    for hidden in ("Acme", "ACME", "Roadrunner", "2012"):
        assert hidden not in out + analyst
    assert not (files / "llm.sqlite").exists()


def test_names_are_hidden_whatever_the_case_of_their_files_suffix(llmguide, files):
    names = files / "tables" / "ACME" / "names.csv"
    names.rename(names.with_suffix(".CSV"))
    words = ("prompt", *BOTH, "--date", "2012-05-01", "--next", "--tables", "tables", "--role", "analyst")
    _, out, _ = llmguide(*words)
    assert "settles case" in out
    assert "Acme" not in out


def test_instruments_of_a_folder_without_tables_of_their_own_are_named(llmguide, files):
    words = ("--data", "data", "--split", "2012-05-01", "--tables", "tables", "--plan")
    for command in (("guide", "--provider", "llm"), ("prompts",)):
        code, _, err = llmguide(*command, *words)
        assert code == 0
        assert err.count("\n") == 1
        assert "tables has no folder of BETA (1 of 2 instruments)" in err
        assert_one_line(llmguide(*command, *words, "--symbols", "BETA"), r"no folder 'BETA' \(only ACME\)")
        (files / "tables" / "BETA").mkdir()
        assert llmguide(*command, *words)[2] == ""
        (files / "tables" / "BETA").rmdir()


@pytest.mark.slow
def test_prompts_writes_the_page_and_a_replay_writes_the_same(llmguide, server, files, monkeypatch):
    words = ("prompts", "--data", "data", "--split", "2012-05-01", "--prompts", "P0,P2", "--tables", "tables")
    plan = json.loads(llmguide(*words, "--plan", "--json")[1])
    assert json.loads(llmguide(*words, "--all-months", "--plan", "--json")[1])["calls"] == 2 * 2 * 6 > plan["calls"]
    assert not (files / "runs").exists()
    code, out, _ = llmguide(*words, "--out", "first")
    assert code == 0
    assert out.splitlines()[-1] == "page: first/prompts.html"
    assert "<html" in (files / "first" / "prompts.html").read_text(encoding="utf-8")
    assert len(asked(server)) == plan["calls"]
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    code, out, _ = llmguide(*words, "--replay", "--out", "second", "--json")
    assert code == 0
    assert json.loads(out)["page"] == "second/prompts.html"
    one, two = (
        {
            path.relative_to(files / folder): path.read_bytes()
            for path in (files / folder).rglob("*")
            if path.is_file() and path.name != "config.toml"
        }
        for folder in ("first", "second")
    )
    assert len(one) > 3
    assert one == two  # config.toml, left out above, names its own folder


def test_what_is_exported_is_replayed_elsewhere(llmguide, server, files):
    llmguide(*ASK, "--out", "g.csv")
    code, out, _ = llmguide("cache", "export", "x.jsonl", "--json")
    assert code == 0
    assert json.loads(out)["answers"] == 7
    assert KEY not in (files / "x.jsonl").read_text(encoding="utf-8")
    code, out, _ = llmguide("cache", "import", "x.jsonl", "--cache", "other.sqlite")
    assert "7 answers added to other.sqlite, 0 already there" in out
    assert json.loads(llmguide("cache", "import", "x.jsonl", "--cache", "other.sqlite", "--json")[1])["present"] == 7
    words = ("guide", *BOTH, "--provider", "replay", "--prompt", "P2", "--cache", "other.sqlite", "--out", "h.csv")
    assert llmguide(*words)[0] == 0
    assert (files / "g.csv").read_bytes() == (files / "h.csv").read_bytes()


def test_costs_are_listed_by_study(llmguide, server):
    llmguide(*ASK)
    code, out, _ = llmguide("cache", "costs", "--json")
    assert code == 0
    ((study, rows),) = json.loads(out).items()
    assert study.startswith("gpt-4o-mini-")
    assert {row["prompt"] for row in rows if row["instrument"]} == {"P2"}
    code, out, _ = llmguide("cache", "export", "x.jsonl", "--study", study)
    assert "7 answers" in out


@pytest.mark.parametrize(
    "words",
    [
        ("guide",),
        ("prompt",),
        ("prompts",),
        ("memory",),
        ("bias",),
        ("tune",),
        ("tables",),
        ("cache",),
        ("cache", "export"),
        ("cache", "costs"),
    ],
)
def test_help_is_there_and_fits_the_screen(llmguide, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = llmguide(*words, "--help")
    assert code == 0
    assert f"{' '.join(words)} [OPTIONS]" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_keep_the_answers_and_the_same_command_goes_on(files, llmguide, server, sent, code):
    """A real process, a real signal."""
    server.delay = 0.1
    words = [*ASK, "--out", "g.csv"]
    process = start(*words, folder=files)
    deadline = time.monotonic() + 300
    while len(server.requests) < 3:
        assert time.monotonic() < deadline, "nothing was asked in time"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "llm.sqlite keeps all answers so far; run the same command again to resume" in err
    assert "Traceback" not in err
    assert len(server.requests) < 7
    server.delay = 0.0
    assert llmguide(*words)[0] == 0
    assert len(server.requests) == 7
    assert set(server.complete.values()) == {1}
    with Cache(files / "llm.sqlite") as cache:
        assert sum(cache.models().values()) == 7
