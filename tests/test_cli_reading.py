"""How every command reads its bars: --tz, --adjust and --strict."""

import json

import numpy as np
import pandas as pd
import pytest
from command_line import run_here

COMMANDS = (
    *("train", "backtest", "compare", "replicate", "mixture", "levers", "sweep"),
    *("guide", "prompt", "prompts", "memory", "bias", "tune"),
)


def bars(index, close):
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), index=index.rename("date"))
    return frame.assign(volume=1000.0)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: run_here(monkeypatch, capsys, *words)


@pytest.fixture
def close():
    return 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, 120)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_reads_bars_has_the_options_once(run, command):
    _, out, _ = run(command, "--help")
    for option in ("--tz", "--adjust", "--strict"):
        assert len([line for line in out.splitlines() if line.strip().startswith(option)]) == 1


def test_stamps_on_another_clock_are_refused_and_read_in_the_zone_that_is_given(run, tmp_path, close):
    days = pd.bdate_range("2017-10-02", periods=120)
    path = tmp_path / "tokyo.csv"
    bars(days.tz_localize("Asia/Tokyo").tz_convert("UTC"), close).to_csv(path)
    code, _, err = run("backtest", str(path), "--strategy", "BuyAndHold", "--json")
    assert code == 1
    assert "--tz" in err
    code, out, _ = run("backtest", str(path), "--strategy", "BuyAndHold", "--tz", "Asia/Tokyo", "--json")
    assert code == 0
    assert json.loads(out)["first"] == "2017-10-02"


def test_bars_that_look_wrong_are_named_and_refused_with_strict(run, tmp_path, close):
    path = tmp_path / "split.csv"
    bars(pd.bdate_range("2017-10-02", periods=120), np.r_[7 * close[:60], close[60:]]).to_csv(path)
    for command in (("backtest", str(path), "--strategy", "BuyAndHold"), ("guide", str(path), "--out", "g.csv")):
        code, _, err = run(*command)
        assert code == 0
        assert "7:1 split" in err
        code, _, err = run(*command, "--strict")
        assert code == 1
        assert "7:1 split" in err


def test_adjust_puts_the_four_prices_on_one_scale(run, tmp_path, close):
    path, index = tmp_path / "unadjusted.csv", pd.bdate_range("2017-10-02", periods=120)
    frame = bars(index, close).assign(**{"adj close": 0.9 * close})
    frame.to_csv(path)
    values = []
    for more in ((), ("--adjust",)):
        code, out, _ = run("backtest", str(path), "--strategy", "BuyAndHold", "--cost", "0", "--json", *more)
        assert code == 0
        values.append(json.loads(out)["final_value"])
    shares = [int(100_000 // (close[30] * scale)) for scale in (1.0, 0.9)]
    expected = [100_000 + n * scale * (close[-1] - close[30]) for n, scale in zip(shares, (1.0, 0.9), strict=True)]
    assert values == pytest.approx(expected, rel=1e-9)
