"""One file of bars for training and test: --split, and --from and --to of a backtest."""

import json

import pandas as pd
import pytest
import torch
from command_line import run_here
from safetensors.torch import load_file

from llmguide import sample_bars

SPLIT = "2016-01-04"
QUICK = ("--seeds", "1", "--episodes", "1", "--arms", "hybrid,hold", "--json")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in a folder that holds a market in one file, and the same in two."""
    monkeypatch.chdir(tmp_path)
    market = sample_bars(years=2, seed=4)
    market.index = pd.bdate_range("2015-01-01", periods=len(market), name="date")
    market.to_csv("both.csv")
    market[:SPLIT].iloc[:-1].to_csv("train.csv")
    market[SPLIT:].to_csv("test.csv")
    return lambda *words: run_here(monkeypatch, capsys, *words)


@pytest.mark.slow
def test_a_comparison_of_one_file_is_that_of_its_two_parts(run, tmp_path, undrawn):
    found = []
    for out, bars in (("one", ("both.csv", "--split", SPLIT)), ("two", ("--train", "train.csv", "--test", "test.csv"))):
        with undrawn():
            code, told, _ = run("compare", *bars, *QUICK, "--out", out)
        assert code == 0
        found.append(json.loads(told)["runs"])
        assert (tmp_path / out / "report.html").is_file()
    assert found[0] == found[1]
    assert (tmp_path / "one/hybrid-0.safetensors").read_bytes() == (tmp_path / "two/hybrid-0.safetensors").read_bytes()


@pytest.mark.parametrize("more", [(), ("--adjust",)])
def test_training_with_a_split_never_sees_the_test_bars(run, tmp_path, more):
    bars = pd.read_csv("both.csv")
    if more:  # only the closes are adjusted, for a dividend half a year before the split
        bars.loc[:130, "close"] *= 0.9
        bars.to_csv("both.csv", index=False)
    _changed_from(bars, SPLIT).to_csv("changed.csv", index=False)
    for name in ("both", "changed"):
        quick = ("--seeds", "1", "--episodes", "1", "--out", name)
        code, _, err = run("train", f"{name}.csv", "--split", SPLIT, *quick, *more)
        assert code == 0, err
    ours, theirs = (load_file(tmp_path / name / "rl-0.safetensors") for name in ("both", "changed"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def _changed_from(bars, day):
    later = bars["date"] >= day
    prices = ["open", "high", "low", "close"]
    bars.loc[later, prices] = bars.loc[later, prices] * [1.4, 1.6, 1.3, 1.5]
    return bars


def test_a_backtest_from_a_day_is_that_of_a_file_that_begins_there(run):
    told = []
    for bars in (("both.csv", "--from", SPLIT), ("test.csv",)):
        code, out, _ = run("backtest", *bars, "--strategy", "BuyAndHold", "--json")
        assert code == 0
        told.append(json.loads(out))
    assert told[0] == told[1]
    _, out, _ = run("backtest", "both.csv", "--strategy", "BuyAndHold", "--to", "2015-12-31", "--json")
    assert json.loads(out)["last"] == "2015-12-31"


def test_windows_and_records_of_the_same_file_end_before_the_first_day_traded(run):
    for one, two in (
        (("--strategy", "TrendFollowing", "--train"), "train.csv"),
        (("--strategy", "MixtureOfExperts", "--expert", "hold", "--expert", "t=ma:5,20", "--history"), "train.csv"),
    ):
        same, apart = (
            run("backtest", *bars, *one, before, "--json")
            for bars, before in ((("both.csv", "--from", SPLIT), "both.csv"), (("test.csv",), two))
        )
        assert same[0] == apart[0] == 0
        assert json.loads(same[1]) == json.loads(apart[1])


def test_a_sweep_validates_on_the_later_bars_of_its_file(run):
    told = []
    for bars in (("both.csv", "--split", SPLIT), ("train.csv", "--validate", "test.csv")):
        code, out, _ = run("sweep", *bars, "--param", "short=2:5", "--param", "long=10:30:5", "--json")
        assert code == 0
        told.append(json.loads(out))
    assert told[0] == told[1]
    assert told[0]["validation"] is not None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compare", "both.csv"), "--split 2018-01-01"),
        (("compare", "--split", SPLIT), "give that file"),
        (("compare", "--train", "train.csv"), "give the bars"),
        (("compare", "both.csv", "--train", "train.csv", "--split", SPLIT), "give either BARS"),
        (("compare", "both.csv", "--split", "2030"), "0 bars from 2030-01-01"),
        (("compare", "both.csv", "--split", "2015-01-20"), "bars before 2015-01-20, and at least 32 are needed"),
        (("compare", "both.csv", "--split", "soon"), "got 'soon'"),
        (("train", "both.csv", "--test", "test.csv", "--split", SPLIT), "give either --test FILE"),
        (("sweep", "both.csv", "--validate", "test.csv", "--split", SPLIT), "give either --validate FILE"),
        (("backtest", "both.csv", "--strategy", "BuyAndHold", "--from", "2030"), "from 2030"),
    ],
)
def test_what_cannot_be_cut_is_one_clear_error(run, words, told):
    code, _, err = run(*words)
    assert code == 1
    assert told in err
    assert "Traceback" not in err
