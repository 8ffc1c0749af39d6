"""`llmguide flag`: a language model is trained, studied and traded from the command line, and resumed."""

from __future__ import annotations

import json

import pytest
from command_line import run_here

from llmguide import sample_bars
from llmguide.backtest import run_backtest
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("flag", "train"), "say which language model with --base"),
        (("train", "--agent", "flag"), "say which language model with --base"),
        (("train", "--agent", "flg"), "--agent is dqn or flag, got 'flg'"),
        (("train", "--agent", "flag", "--episodes", "3"), "--episodes is for --agent dqn"),
        (("train", "--base", "tiny"), "--base is for --agent flag"),
        (("train", "--lora-rank", "0"), "--lora-rank is for --agent flag"),
        (("flag", "train", "--base", "none.gguf"), "there is no model file none.gguf"),
        (("flag", "train", "--base", "tiny", "--rules", "home"), "rules are 'house', 'paper'"),
        (("flag", "train", "--base", "tiny", "--frozen", "2"), "frozen lies between 0 and 1, got 2"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(files, tmp_path, monkeypatch, capsys, words, message):
    code, _, said = run_here(monkeypatch, capsys, *words, files[0], "--out", tmp_path / "run")
    assert code == 1
    assert said.startswith("error: ")
    assert message in " ".join(said.split())


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


def test_the_demonstration_runs_whole(tmp_path, monkeypatch, capsys):
    out = tmp_path / "demo"
    code, printed, said = run_here(monkeypatch, capsys, "flag", "demo", "--steps", "40", "--seeds", "1", "--out", out)
    assert code == 0, said
    assert "in Backtrader, with fills at the close" in printed
    assert "has never read a word" not in printed
    assert (out / "report.html").is_file()
