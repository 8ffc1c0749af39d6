"""`llmguide flag`: a language model is trained, studied and traded from the command line, and resumed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from command_line import run_here

import llmguide
from llmguide import sample_bars
from llmguide.backtest import run_backtest
from llmguide.mixture import FollowPolicy, Prior
from llmguide.rl.flag.bases import open_trained
from llmguide.strategies import FlagTrader

FAST = ("--base", "tiny", "--seeds", "1", "--steps", "20")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    bars = sample_bars(years=1, seed=4)
    for name, part in (("train", bars.iloc[:100]), ("test", bars.iloc[100:135])):
        part.rename_axis("date").to_csv(folder / f"{name}.csv")
    return folder / "train.csv", folder / "test.csv", bars.iloc[100:135]


def test_train_writes_policies_curves_and_a_page_and_backtest_trades_one(files, tmp_path, monkeypatch, capsys):
    train, test, bars = files
    out = tmp_path / "run"
    code, printed, _ = run_here(
        monkeypatch, capsys, "flag", "train", train, "--test", test, *FAST, "--rules", "paper", "--json", "--out", out
    )
    assert code == 0
    told = json.loads(printed)
    assert [row["arm"] for row in told["table"]] == ["flag", "untrained", "zero-shot", "hold"]
    names = {file.name for file in out.iterdir()}
    assert {"flag-0.safetensors", "curves.csv", "runs.csv", "table.csv", "values.parquet", "report.html"} <= names
    model = out / "flag-0.safetensors"
    config = open_trained(model).config
    assert (config.steps, config.rules.cost, config.algorithm) == (20, 0.0, "ppo")
    code, printed, _ = run_here(
        monkeypatch, capsys, "backtest", test, "--strategy", "FlagTrader", "--model", model, "--base", "tiny",
        "--cost", "0", "--json",
    )  # fmt: skip
    assert code == 0
    traded = json.loads(printed)
    assert traded["final_value"] == run_backtest(bars, FlagTrader, model=model, cost=0.0).values.iloc[-1]
    assert traded["max_drawdown"] == pytest.approx(told["table"][0]["max_drawdown_mean"])


@pytest.mark.slow
def test_train_with_agent_flag_is_the_same_and_resumes(files, tmp_path, monkeypatch, capsys):
    train, _, _ = files
    folders = []
    for number, words in enumerate((("flag", "train", train), ("train", train, "--agent", "flag"))):
        folders.append(tmp_path / str(number))
        code, printed, said = run_here(monkeypatch, capsys, *words, *FAST, "--out", folders[-1])
        assert code == 0, said
        assert f"written to {folders[-1]}" in printed.replace("\n", "")
    one, two = ((folder / "flag-0.safetensors").read_bytes() for folder in folders)
    assert one == two
    stamp = (folders[0] / "flag-0.safetensors").stat().st_mtime_ns
    code, _, _ = run_here(monkeypatch, capsys, "flag", "train", train, *FAST, "--out", folders[0])
    assert code == 0
    assert (folders[0] / "flag-0.safetensors").stat().st_mtime_ns == stamp
    code, _, said = run_here(
        monkeypatch, capsys, "flag", "train", train, *FAST, "--algorithm", "reinforce", "--out", folders[0]
    )
    assert code == 1
    assert "is of another training (other settings)" in said
    code, _, _ = run_here(
        monkeypatch,
        capsys,
        "flag",
        "train",
        train,
        *FAST,
        "--algorithm",
        "reinforce",
        "--no-resume",
        "--out",
        folders[0],
    )
    assert code == 0


@pytest.fixture
def beside(files, tmp_path):
    """A folder with a table of the market, factors of the news, and a template that tells both and guidance."""
    days = pd.concat([pd.read_csv(file, parse_dates=["date"]) for file in files[:2]])["date"]
    (tmp_path / "tables" / "train").mkdir(parents=True)
    market = pd.DataFrame({"date": days, "SPX": 2000.0 + 5.0 * np.sin(np.arange(len(days)))})
    market.to_csv(tmp_path / "tables" / "market.csv", index=False)
    rows = [(day, f"event {number}", 1, 2) for number, day in enumerate(days[::9])]
    frame = pd.DataFrame(rows, columns=["issued_at", "text", "sentiment", "impact"])
    frame.to_csv(tmp_path / "factors.csv", index=False)
    return tmp_path


@pytest.mark.slow
def test_states_tell_of_guidance_tables_and_factors(files, beside, monkeypatch, capsys):
    train, test, _ = files
    out = beside / "run"
    told = ("--tables", beside / "tables", "--symbol", "train", "--factors", beside / "factors.csv")
    words = (
        "flag", "train", train, "--test", test, *FAST, "--template", "multimodal", "--provider", "rules", *told,
        "--out", out,
    )  # fmt: skip
    code, printed, said = run_here(monkeypatch, capsys, *words, "--json")
    assert code == 0, said
    study = json.loads(printed)
    model = out / "flag-0.safetensors"
    trade = (
        "backtest", test, "--strategy", "FlagTrader", "--model", model, "--guidance", out / "guidance.parquet", *told,
        "--json",
    )  # fmt: skip
    code, printed, said = run_here(monkeypatch, capsys, *trade)
    assert code == 0, said
    assert json.loads(printed)["max_drawdown"] == pytest.approx(study["table"][0]["max_drawdown_mean"])
    told_less = tuple(word for word in words if word not in told[-2:])  # without the factors it is another training
    code, _, said = run_here(monkeypatch, capsys, *told_less)
    assert code == 1
    assert "is of another training (other bars or template)" in said


@pytest.mark.slow
def test_a_policy_is_an_expert_of_the_mixture(files, tmp_path, monkeypatch, capsys):
    train, test, bars = files
    code, _, said = run_here(monkeypatch, capsys, "flag", "train", train, *FAST, "--out", tmp_path)
    assert code == 0, said
    model = tmp_path / "flag-0.safetensors"
    experts = ("--history", train, "--expert", f"reader={model},m0=0.05", "--expert", "hold", "--base", "tiny")
    out = tmp_path / "mixed"
    code, printed, said = run_here(
        monkeypatch, capsys, "backtest", test, "--strategy", "MixtureOfExperts", *experts, "--json", "--out", out
    )
    assert code == 0, said
    told = json.loads(printed)
    whole = pd.concat([sample_bars(years=1, seed=4).iloc[:100], bars])
    mixed = llmguide.mix(whole, {"reader": FollowPolicy(model, prior=Prior(0.05, 252)), "hold": "hold"}, start=130)
    account = llmguide.simulate(bars, weights=mixed.positions.iloc[130:])
    assert told["final_value"] == pytest.approx(account["value"].iloc[-1])
    sides = pd.read_csv(out / "mixture.csv")["side_reader"]
    assert sides.tolist() == mixed.sides["reader"].iloc[100:].tolist()
    code, printed, said = run_here(
        monkeypatch, capsys, "sweep", test, "--rule", "mixture", *experts, "--param", "m0_reader=0,0.05", "--json"
    )
    assert code == 0, said
    ends = {row["m0_reader"]: row["total_return"] for row in json.loads(printed)["top"]}
    assert ends[0.05] == pytest.approx(told["final_value"] / 100_000.0 - 1.0)
    for words, message in (
        (("--factors", train), "with the columns issued_at, text, sentiment, impact"),
        (("--tables", tmp_path, "--symbol", "train"), "holds no table"),
        (("--symbol", "train"), "--symbol names a folder in --tables"),
    ):
        for command in (("backtest", test, "--strategy", "MixtureOfExperts"), ("sweep", test, "--rule", "mixture")):
            code, _, said = run_here(monkeypatch, capsys, *command, *experts, *words)
            assert code == 1
            assert message in " ".join(said.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("backtest", "--strategy", "DQN", "--base", "tiny"),
            "--base is for FlagTrader and for language-model exp",
        ),
        (("backtest", "--strategy", "BuyAndHold", "--factors", "f.csv"), "--factors is for FlagTrader and for"),
        (("sweep", "--rule", "trend", "--base", "tiny"), "--base is for the rule mixture"),
        (
            ("backtest", "--strategy", "MixtureOfExperts", "--expert", "hold", "--base", "tiny"),
            "--base is for experts that read, the checkpoints of `llmguide flag train`, and there is none",
        ),
        (("sweep", "--rule", "mixture", "--expert", "hold,base=tiny"), "only a policy that reads has a language model"),
        (("train", "--tables", "tables"), "--tables is for --agent flag"),
        (("flag", "train", "--base", "tiny", "--provider", "rules"), "the state template flag does not ask for 'guid"),
        (("flag", "train", "--base", "tiny", "--factors", "none.csv"), "there is no file of factors none.csv"),
    ],
)
def test_options_that_nothing_reads_are_refused(files, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    code, _, said = run_here(monkeypatch, capsys, *words, files[0])
    assert code == 1
    assert message in " ".join(said.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("flag", "train"), "say which language model with --base"),
        (("train", "--agent", "flag"), "say which language model with --base"),
        (("train", "--agent", "flg"), "expected --agent to be dqn or flag, got 'flg'"),
        (("train", "--agent", "flag", "--episodes", "3"), "--episodes is for --agent dqn"),
        (("train", "--base", "tiny"), "--base is for --agent flag"),
        (("train", "--lora-rank", "0"), "--lora-rank is for --agent flag"),
        (("flag", "train", "--base", "none.gguf"), "there is no model file none.gguf"),
        (("flag", "train", "--base", "tiny", "--rules", "home"), "rules must be 'house', 'paper'"),
        (("flag", "train", "--base", "tiny", "--frozen", "2"), "frozen lies between 0 and 1, got 2"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(files, tmp_path, monkeypatch, capsys, words, message):
    code, _, said = run_here(monkeypatch, capsys, *words, files[0], "--out", tmp_path / "run")
    assert code == 1
    assert said.startswith("error: ")
    assert message in " ".join(said.split())


@pytest.mark.slow
def test_compare_trains_the_arm_beside_the_others_and_resumes(files, tmp_path, monkeypatch, capsys, undrawn):
    train, test, _ = files
    out = tmp_path / "run"
    words = ("compare", "--train", train, "--test", test, "--arms", "flag,hold", *FAST, "--template", "brief",
             "--frozen", "1", "--device", "cpu", "--out", out)  # fmt: skip
    with undrawn():
        code, printed, said = run_here(monkeypatch, capsys, *words, "--json")
    assert code == 0, said
    told = json.loads(printed)
    assert [(row["arm"], row["seeds"]) for row in told["table"]] == [("flag", 1), ("hold", 0)]
    settings = json.loads((out / "config.json").read_text())["flag"]
    assert (settings["training"]["steps"], settings["template"]["name"]) == (20, "brief")
    assert "--base tiny" in (out / "report.html").read_text(encoding="utf-8")
    code, _, said = run_here(monkeypatch, capsys, *words, "--algorithm", "reinforce")
    assert code == 1
    assert "flag.training.algorithm is ppo there and reinforce here" in " ".join(said.split())


def test_replicate_trains_the_arm_on_a_folder(files, tmp_path, monkeypatch, capsys):
    train, test, _ = files
    data = tmp_path / "bars"
    data.mkdir()
    (data / "A_2012-1-1_2012-6-1.csv").write_bytes(train.read_bytes())
    (data / "A_2012-6-1_2012-8-1.csv").write_bytes(test.read_bytes())
    code, printed, said = run_here(
        monkeypatch, capsys, "replicate", "--data", data, "--arms", "flag", *FAST, "--template", "brief", "--device",
        "cpu", "--json", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, said
    assert [(row["symbol"], row["arm"]) for row in json.loads(printed)["runs"]] == [("A", "flag")]
    assert (tmp_path / "run" / "A" / "flag-0.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--arms", "flag,rl"), "say which language model with --base"),
        (("--arms", "rl", "--base", "tiny"), "--base is for the arm flag; add it with --arms, or leave --base out"),
        (("--arms", "rl", "--lora-rank", "4"), "--lora-rank is for the arm flag"),
        (("--arms", "flag", "--base", "tiny", "--ray", "auto"), "not on a Ray cluster"),
    ],
)
def test_an_arm_that_cannot_be_trained_is_refused_in_one_line(files, tmp_path, monkeypatch, capsys, words, message):
    train, test, _ = files
    code, _, said = run_here(
        monkeypatch, capsys, "compare", "--train", train, "--test", test, *words, "--out", tmp_path / "run"
    )
    assert code == 1
    assert said.startswith("error: ")
    assert message in " ".join(said.split())


@pytest.mark.slow
def test_the_demonstration_runs_whole(tmp_path, monkeypatch, capsys):
    out = tmp_path / "demo"
    code, printed, said = run_here(monkeypatch, capsys, "flag", "demo", "--steps", "40", "--seeds", "1", "--out", out)
    assert code == 0, said
    assert "in Backtrader, with fills at the close" in printed
    assert "this shows that everything runs" not in printed
    assert (out / "report.html").is_file()
