"""`llmguide replicate` as a user types it."""

from __future__ import annotations

import json
from functools import partial

import pandas as pd
import pytest
from command_line import run_here

from llmguide import guide, sample_bars
from llmguide.experiments.run_folder import RunFolder
from llmguide.rl.config import DQNConfig

BARS = {symbol: sample_bars(years=2, seed=seed) for seed, symbol in enumerate(("AAPL", "KO"))}
SPLIT = f"{BARS['KO'].index[350]:%Y-%m-%d}"
QUICK = ("replicate", "--data", "bars", "--split", SPLIT, "--seeds", "2", "--episodes", "1")


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


def test_it_prints_the_tables_and_says_how_well_they_agree(llmguide, tmp_path):
    code, out, err = llmguide(*QUICK, "--provider", "rules", "--out", "run")
    assert code == 0
    assert "instruments: 2; arms: hybrid, rl, llm; runs in all: 10" in err
    assert "KO Sharpe: rl - llm" in out
    assert "1.70 (0.43)" in out
    assert "On 2 instruments the mean Sharpe ratio here is" in " ".join(out.split())
    assert "2 runs are few" in " ".join(out.split())
    assert out.splitlines()[-1] == "written to run"
    assert (tmp_path / "run" / "replication.png").exists()
    assert (tmp_path / "run" / "AAPL" / "hybrid-1.safetensors").exists()


def test_json_is_everything_on_standard_output_with_null_for_what_is_undefined(llmguide):
    words = (*QUICK, "--symbols", "KO", "--arms", "rl,hold", "--cost", "0.002", "--json")
    code, out, _ = llmguide(*words)
    assert code == 0
    result = json.loads(out)
    assert list(result) == ["out", "uses_future", "fit", "appendix_e", "experiment_2", "tests", "summary", "runs"]
    assert result["out"] == "runs/replicate"
    assert [(row["arm"], row["seed"]) for row in result["runs"]] == [("rl", 0), ("rl", 1), ("hold", -1)]
    assert result["experiment_2"][1]["sr_std"] is None
    assert result["summary"][0]["correlation"] is None
    assert json.loads(llmguide(*words)[1]) == result


def test_guidance_comes_from_a_folder(llmguide, tmp_path):
    for symbol, bars in BARS.items():
        guide(bars, "oracle").save(tmp_path / f"{symbol}.parquet")
    code, out, _ = llmguide(*QUICK, "--guidance", ".", "--arms", "llm", "--out", "run")
    assert code == 0
    assert "knowledge of later bars" in out


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(llmguide, tmp_path, monkeypatch):
    original = RunFolder.save_agent

    def interrupt(self, arm, agent):
        original(self, arm, agent)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save_agent", interrupt)
    code, out, err = llmguide(*QUICK, "--out", "run")
    assert (code, out) == (130, "")
    assert "interrupted; run keeps 1 trained agent and " in err
    assert "in training; run the same command again to resume" in err
    monkeypatch.setattr(RunFolder, "save_agent", original)
    code, _, err = llmguide(*QUICK, "--out", "run")
    assert code == 0
    assert "1 of 4 agents are already trained" in err
    assert len(pd.read_csv(tmp_path / "run" / "runs.csv")) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--symbols", "KOO"), "did you mean 'KO'"),
        (("--arms", "hybrid"), "need guidance"),
        (("--guidance", ".", "--provider", "rules"), "not both"),
        (("--provider", "rule"), "did you mean 'rules'"),
        (("--split", "soon"), "split to be a date"),
        (("--split", "2035-01-01"), "AAPL: AAPL.csv has no bars from 2035-01-01"),
        (("--data", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_1(llmguide, words, message):
    code, out, err = llmguide(*QUICK, *words)
    assert (code, out) == (1, "")
    assert message in err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
