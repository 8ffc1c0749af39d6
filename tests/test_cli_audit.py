"""`llmguide audit`: exit codes, what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
from audited_corpus import FOLDER, quarterly_news
from command_line import run_here

from llmguide import sample_bars

FEW = ("--cuts", 3)


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "ACME_test.csv"
    sample_bars(years=1).to_csv(path)
    return path


@pytest.fixture
def run(monkeypatch, capsys, bars):
    return lambda code, *words: run_here(monkeypatch, capsys, "audit", code, bars, *words)


def test_a_clean_rule_exits_0_and_says_what_was_compared(run):
    code, printed, _ = run(FOLDER / "rolling_zscore.py", *FEW)
    assert code == 0
    assert printed.startswith("positions: no look-ahead found\n7 runs on 252 bars, 2012-01-02 to 2012-12-18, in ")


def test_look_ahead_exits_1_with_bar_line_and_both_values(run):
    code, printed, _ = run(FOLDER / "centred_mean.py", *FEW)
    assert code == 1
    assert printed.startswith("signals looks ahead\n")
    assert "entries: looks ahead (" in printed
    assert "first on bar " in printed


def test_json_has_everything(run):
    code, printed, _ = run(FOLDER / "scaled_by_all_days.py", *FEW, "--json")
    found = json.loads(printed)
    assert code == found["exit_code"] == 1
    assert found["findings"][0]["line"] == "score"
    assert found["findings"][0]["reach"] is None
    assert {"subject", "runs", "fills", "drifts", "failed", "not_reproducible"} <= set(found)


def test_a_strategy_takes_parameters(run, tmp_path):
    file = tmp_path / "two.py"
    file.write_text(
        "import backtrader as bt\n"
        "class A(bt.Strategy):\n"
        "    params = (('period', 5), ('word', ''))\n"
        "    def __init__(self):\n"
        "        assert (self.p.period, self.p.word) == (7, 'abc')\n"
        "        self.mean = bt.ind.SMA(period=self.p.period)\n"
        "class B(bt.Strategy):\n"
        "    pass\n"
    )
    code, _, error = run(file, *FEW)
    assert code == 2
    assert "has several: A, B; choose one, as in --strategy A" in error
    assert run(file, "--strategy", "A", "--param", "period=7", "--param", "word=abc", *FEW)[0] == 0
    assert "AssertionError" in run(file, "--strategy", "A", *FEW)[2]


def test_a_table_is_cut_where_its_rows_become_known(run, tmp_path):
    path = tmp_path / "news.parquet"
    news = quarterly_news(sample_bars(years=1).index)
    news[news["published"] < "2012-12-18"].to_parquet(path)
    table = f"news={path}:published"
    assert run(FOLDER / "news_by_publication.py", "--table", table)[0] == 0
    assert run(FOLDER / "news_by_period.py", "--table", table)[0] == 1


def test_guidance_and_prompts(run):
    assert run("rules", "--guidance", *FEW)[:1] == (0,)
    code, printed, _ = run("constant", "--guidance", "--param", "direction=1", *FEW)
    assert (code, printed.splitlines()[0]) == (0, "constant: no look-ahead found")
    assert run("P0", "--prompt", *FEW)[:1] == (0,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing.py",), "there is no file nothing.py"),
        (("llm", "--guidance"), "ask a language model first"),
        (("file", "--guidance"), "audit the code that makes it"),
        (("P0", "--prompt", "--guidance"), "give either --guidance or --prompt, not both"),
        (("P9", "--prompt"), "the prompt 'P9' does not exist"),
        (
            (FOLDER / "sma_cross.py", "--param", "period"),
            "expected --param NAME=VALUE, such as period=20, got 'p",
        ),
        ((FOLDER / "sma_cross.py", "--param", "pace=3", *FEW), "unexpected keyword argument 'pace'"),
        ((FOLDER / "news_by_period.py", "--table", "news=none.csv:published"), "there is no file none.csv"),
        ((FOLDER / "news_by_period.py", "--table", "news"), "expected --table NAME=FILE:COLUMN"),
        ((FOLDER / "news_by_period.py", *FEW), "missing 1 required positional argument: 'news'"),
    ],
)
def test_what_could_not_be_audited_exits_2_with_one_line(run, words, message):
    code, printed, error = run(*words)
    assert (code, printed) == (2, "")
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_bars_that_cannot_be_read_exit_2(monkeypatch, capsys, tmp_path):
    code, _, error = run_here(monkeypatch, capsys, "audit", FOLDER / "sma_cross.py", tmp_path / "none.csv")
    assert (code, error.count("\n")) == (2, 1)
