"""llmguide inside Backtrader's own namespaces, and under its own command line."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

import llmguide.btrun
import llmguide.plugin
from llmguide.backtest import run_backtest
from llmguide.errors import LlmguideError
from llmguide.guidance import Guidance
from llmguide.strategies import BuyAndHold, LLMOnly, MeanReversion, MixtureOfExperts

SHIM = Path(llmguide.btrun.__file__)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    close = 50.0 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 0.02, 80)))
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1_000.0})
    return frame.set_index(pd.bdate_range("2018-01-01", periods=80, name="date"))


@pytest.fixture(scope="module")
def csv(bars, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    bars.assign(openinterest=0).to_csv(path, date_format="%Y-%m-%d")
    return path


def test_every_class_is_backtraders_too():
    assert bt.ind.LLMGuidance is llmguide.indicators.LLMGuidance
    assert bt.ind.QValues is llmguide.indicators.QValues
    for name in ("Slope", "ZScore", "WeeklyReturns", "HistoricalVolatility", "VWAP", "MACDStrength", "ExpertWeights"):
        assert getattr(bt.ind, name) is getattr(llmguide.indicators, name)
    for name in ("LLMGuidedDQN", "DQN", "LLMOnly", "BuyAndHold", "SellAndHold", "TrendFollowing", "MeanReversion",
                 "MixtureOfExperts", "FlagTrader"):  # fmt: skip
        assert getattr(bt.strategies, name) is getattr(llmguide.strategies, name)
    assert bt.analyzers.SharpeDrawdown is llmguide.backtest.SharpeDrawdown
    assert bt.observers.GuidanceAction is llmguide.backtest.GuidanceAction
    assert bt.brokers.CloseFillBroker is llmguide.backtest.CloseFillBroker


def test_registering_twice_changes_nothing():
    before = {room: dict(vars(room)) for room in llmguide.plugin.CLASSES}
    llmguide.plugin.register()
    importlib.import_module("llmguide.plugin")
    assert before == {room: dict(vars(room)) for room in llmguide.plugin.CLASSES}


def test_a_foreign_class_of_the_same_name_is_never_replaced(monkeypatch):
    class QValues(bt.Indicator):
        pass

    monkeypatch.setattr(bt.indicators, "QValues", QValues)
    monkeypatch.delattr(bt.observers, "GuidanceAction")
    with pytest.raises(LlmguideError, match=r"indicators.QValues is already .*QValues; import llmguide's own as"):
        llmguide.plugin.register()
    assert bt.indicators.QValues is QValues
    assert not hasattr(bt.observers, "GuidanceAction")  # nothing is registered by halves


@pytest.mark.slow
def test_nothing_of_backtraders_own_is_touched():
    code = (
        "import backtrader as bt\n"
        "rooms = (bt.indicators, bt.strategies, bt.analyzers, bt.observers, bt.brokers)\n"
        "before = [dict(vars(room)) for room in rooms]\n"
        "import llmguide.plugin\n"
        "new = [set(vars(room)) - set(names) for room, names in zip(rooms, before)]\n"
        "assert all(vars(room)[name] is cls for room, names in zip(rooms, before) for name, cls in names.items())\n"
        "ours = [{cls.__name__ for cls in llmguide.plugin.CLASSES[room]} for room in rooms]\n"
        "assert new == ours, (new, ours)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def btrun(csv, *arguments) -> dict[str, str]:
    """Run Backtrader's command in a process of its own; return what its analyzer printed."""
    command = [Path(sys.executable).with_name("btrun"), "--csvformat", "btcsv", "--data", csv]
    account = ["--cash", "100000", "--commission", "0.001", "--nostdstats", "--pranalyzer"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    run = subprocess.run([*command, *account, *arguments], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    pairs = (line.strip(" -").split(": ", 1) for line in run.stdout.splitlines() if ": " in line)
    return dict(pairs)


def test_btrun_runs_our_strategies_with_parameters_analyzer_and_close_fills(csv, bars, tmp_path):
    rows = [{"issued_at": bars.index[k], "direction": k % 2, "confidence": 3} for k in (20, 41, 60)]
    guidance = Guidance.from_rows(rows)
    table = guidance.save(tmp_path / "guidance.csv")
    printed = btrun(
        csv,
        *("--strategy", f"{SHIM}:LLMOnly:guidance={str(table)!r},start=35"),
        *("--analyzer", f"{SHIM}:SharpeDrawdown", "--observer", f"{SHIM}:GuidanceAction"),
        *("--hook", f"{SHIM}:close_fills"),
    )
    # The text format of dates and prices is exact enough for six digits.
    expected = run_backtest(bars, LLMOnly, guidance=guidance, start=35)
    assert float(printed["sharpe"]) == pytest.approx(expected.sharpe, rel=1e-6)
    assert float(printed["end_value"]) == pytest.approx(expected.values.iloc[-1], rel=1e-6)


@pytest.mark.slow
def test_btrun_without_the_hook_fills_at_the_next_open(csv, bars):
    printed = btrun(csv, "--strategy", f"{SHIM}:BuyAndHold", "--analyzer", f"{SHIM}:SharpeDrawdown")
    expected = run_backtest(bars, BuyAndHold, fill="next_open")
    assert float(printed["sharpe"]) == pytest.approx(expected.sharpe, rel=1e-6)


@pytest.mark.slow
def test_btrun_passes_windows_of_moving_averages(csv, bars):
    strategy = f"{SHIM}:MeanReversion:short=3,long=10"
    printed = btrun(
        csv, "--strategy", strategy, "--analyzer", f"{SHIM}:SharpeDrawdown", "--hook", f"{SHIM}:close_fills"
    )
    expected = run_backtest(bars, MeanReversion, short=3, long=10)
    assert float(printed["end_value"]) == pytest.approx(expected.values.iloc[-1], rel=1e-6)


@pytest.mark.slow
def test_btrun_passes_experts_by_name(csv, bars, tmp_path):
    table = Guidance.from_rows([{"issued_at": bars.index[20], "direction": 0, "confidence": 3}]).save(
        tmp_path / "g.csv"
    )
    printed = btrun(
        csv,
        *("--strategy", f"{SHIM}:MixtureOfExperts:experts=dict(guidance={str(table)!r},hold='hold'),all_in=True"),
        *("--analyzer", f"{SHIM}:SharpeDrawdown", "--hook", f"{SHIM}:close_fills"),
    )
    expected = run_backtest(bars, MixtureOfExperts, experts={"guidance": str(table), "hold": "hold"}, all_in=True)
    assert float(printed["end_value"]) == pytest.approx(expected.values.iloc[-1], rel=1e-6)


def test_the_shim_has_every_strategy_of_the_plugin():
    assert {cls.__name__ for cls in llmguide.plugin.CLASSES[bt.strategies]} <= set(llmguide.btrun.__all__)


@pytest.mark.slow
def test_btrun_can_add_our_indicator_to_a_stock_strategy(csv, bars, tmp_path):
    table = Guidance.from_rows([{"issued_at": bars.index[3], "direction": 1, "confidence": 3}]).save(tmp_path / "g.csv")
    printed = btrun(
        csv,
        *("--strategy", ":SMA_CrossOver", "--indicator", f"{SHIM}:LLMGuidance:guidance={str(table)!r}"),
        *("--analyzer", f"{SHIM}:SharpeDrawdown"),
    )
    assert printed["bars"] == "80"


def test_after_the_plugin_btrun_needs_no_file(csv, capsys):
    from backtrader.btrun import btrun as run

    arguments = ["--csvformat", "btcsv", "--data", str(csv), "--nostdstats", "--pranalyzer"]
    run([*arguments, "--strategy", ":BuyAndHold", "--analyzer", ":SharpeDrawdown"])
    assert "sharpe: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_shim_says_where_it_is():
    printed = subprocess.run(
        [sys.executable, "-m", "llmguide.btrun"], check=True, capture_output=True, text=True
    ).stdout
    assert Path(printed.strip()).samefile(SHIM)


def test_the_shim_imports_absolutely():
    assert "from ." not in SHIM.read_text()
