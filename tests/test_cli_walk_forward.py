"""`llmguide walk-forward` as a user types it."""

from __future__ import annotations

import json
from functools import partial

import pandas as pd
import pytest
from command_line import run_here

from llmguide import sample_bars
from llmguide.rl.config import DQNConfig

BARS = {symbol: sample_bars(years=2, seed=seed) for seed, symbol in enumerate(("AAPL", "KO"))}
START = f"{BARS['KO'].index[380]:%Y-%m-%d}"
QUICK = ("--from", START, "--window", "62b", "--seeds", "1", "--episodes", "1", "--device", "cpu")


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command in this process, in a folder with `bars`; returns its exit code, standard output and error."""
    (tmp_path / "bars").mkdir()
    for symbol, bars in BARS.items():
        bars.to_csv(tmp_path / "bars" / f"{symbol}.csv")
    monkeypatch.chdir(tmp_path)
    original = DQNConfig.__init__
    monkeypatch.setattr(
        DQNConfig, "__init__", lambda self, **settings: original(self, **{"hidden": 16, "batch": 8} | settings)
    )
    return partial(run_here, monkeypatch, capsys)


@pytest.mark.slow
def test_it_walks_a_folder_and_says_where_the_page_is(llmguide, tmp_path):
    words = ("walk-forward", "--data", "bars", *QUICK, "--train", "1y", "--provider", "rules")
    words += ("--arms", "hybrid,llm,hold")
    code, out, err = llmguide(*words, "--out", "run")
    assert code == 0, err
    assert "instruments: 2; windows in all: 4; arms: hybrid, llm, hold; trainings: 4" in " ".join(err.split())
    assert "AAPL hybrid" in out
    assert out.splitlines()[-1] == "page: run/walk.html"
    page = (tmp_path / "run" / "walk.html").read_text(encoding="utf-8")
    assert "Walk-forward backtest: AAPL, KO" in page
    assert "llmguide walk-forward --data bars" in page
    names = {"walk.json", "windows.csv", "stitched.csv", "spread.csv", "intervals.csv", "luck.csv", "tests.csv"}
    names |= {"values.parquet", "decisions.parquet", "orders.csv", "walk.html", "config.toml", "AAPL", "KO"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    values = pd.read_parquet(tmp_path / "run" / "values.parquet")
    stitched = pd.read_csv(tmp_path / "run" / "stitched.csv").set_index(["symbol", "arm"])
    last = values[values["date"] == values["date"].max()].set_index(["symbol", "arm"])["value"]
    assert last.loc[("KO", "llm")] == pytest.approx(stitched.loc[("KO", "llm"), "final_value"])
    code, _, err = llmguide(*words, "--out", "run")
    assert code == 0
    assert "4 of 4 agents are already trained" in err


def test_json_is_everything_on_standard_output(llmguide):
    words = ("walk-forward", "bars/KO.csv", *QUICK, "--arms", "trend,hold", "--json")
    code, out, _ = llmguide(*words)
    assert code == 0
    result = json.loads(out)
    names = ["stitched", "windows", "spread", "intervals", "luck", "tests"]
    assert list(result) == ["page", "uses_future", *names]
    assert [(row["window"], row["arm"]) for row in result["windows"]][:2] == [
        (START, "trend"),
        (f"{BARS['KO'].index[442]:%Y-%m-%d}", "trend"),
    ]
    assert {row["symbol"] for row in result["stitched"]} == {"KO"}
    assert result["tests"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give either files of BARS, or --data FOLDER"),
        (("bars/KO.csv", "--data", "bars"), "give either files of BARS, or --data FOLDER"),
        (("bars/KO.csv", "--symbols", "KO"), "--symbols is for --data"),
        (("--data", "bars", "--symbol", "KO"), "--symbol is for files of BARS"),
        (("bars/KO.csv", "--provider", "llm"), "ask a language model first"),
        (("bars/KO.csv", "--provider", "rules", "--guidance", "x.parquet"), "not both"),
        (("bars/KO.csv", "--window", "9y"), "a window of 9 years is longer than the bars"),
        (("bars/KO.csv", "--train", "often"), "number of years, months, weeks, days or bars"),
        (("bars/KO.csv", "--arms", "flag"), "--base"),
    ],
)
def test_wrong_words_are_one_line(words, said, llmguide, tmp_path):
    code, out, err = llmguide("walk-forward", *QUICK, *words, "--out", "run")
    assert (code, out) == (1, "")
    assert said in " ".join(err.split())
    assert not (tmp_path / "run").exists()
