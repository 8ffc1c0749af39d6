"""Every example runs as a user runs it, in a reduced form, without a warning, and shows what it claims."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llmguide import Guidance, sample_bars

FOLDER = Path(__file__).resolve().parents[1] / "examples"
REDUCED = {
    "add_to_cerebro": [],
    "close_fills": [],
    "compare_arms": ["--seeds", "2", "--episodes", "1", "--hidden", "16"],
    "guidance_controls": ["--controls", "shuffled", "--hidden", "16"],
    "guide_with_openai": [],
    "made_up_news": ["AAPL", "KO"],
    "mixture": ["--out", "mine"],
    "paper_trading": [],
    "sb3_agent_in_cerebro": ["--steps", "300"],
    "sweep_guidance_threshold": [],
    "tearsheet_from_cerebro": [],
    "your_own_guidance": [],
}
UNDRAWN = """
import runpy, sys
import llmguide.report.tearsheet
sys.modules["llmguide.report.tearsheet"].quantstats_page = lambda *_, **__: "not drawn"
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_example(name: str, folder: Path, *more: str, drawn: bool = True) -> str:
    """Run it in an empty folder and return what it printed; not `drawn`: without quantstats, seconds a tearsheet."""
    # One thread: with these tiny networks more of them only wait for each other.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    # Backtrader's loop over live bars asks for the time by what is deprecated since Python 3.12.
    clock = "ignore:datetime.datetime.utcnow:DeprecationWarning"
    python = [sys.executable, "-W", "error", "-W", clock, *(() if drawn else ("-c", UNDRAWN))]
    command = [*python, str(FOLDER / f"{name}.py"), *REDUCED[name], *more]
    done = subprocess.run(command, cwd=folder, env=os.environ | threads, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_example_has_a_test():
    assert set(REDUCED) == {path.stem for path in FOLDER.glob("*.py")}


@pytest.mark.slow
def test_an_agent_trades_in_an_ordinary_cerebro_and_no_order_is_rejected(tmp_path):
    printed = run_example("add_to_cerebro", tmp_path)
    (value,) = re.findall(r"^final value ([\d,.]+)$", printed, re.MULTILINE)
    (end,) = re.findall(r"^end_value ([\d,.]+)$", printed, re.MULTILINE)
    assert float(value.replace(",", "")) == pytest.approx(float(end.replace(",", "")), abs=0.01)
    assert re.search(r"'Completed': [1-9]", printed)
    assert "Margin" not in printed
    assert "Rejected" not in printed

    stored = tmp_path / "runs" / "add_to_cerebro"
    files = [str(stored / "test.csv"), "--model", str(stored / "hybrid-0.safetensors")]
    again = run_example("add_to_cerebro", tmp_path, *files, "--guidance", str(stored / "guidance.parquet"))
    assert again == printed


@pytest.mark.slow
def test_close_fills_reproduce_the_account_and_the_next_open_does_not(tmp_path):
    printed = run_example("close_fills", tmp_path)
    rows = [line.split() for line in printed.splitlines() if re.match(r"\d{4}-", line)]
    assert len(rows) > 3
    assert all(cerebro == simulated for _, cerebro, simulated, _ in rows)
    assert any(following != simulated for _, _, simulated, following in rows)
    assert written(tmp_path) == set()


@pytest.mark.slow
def test_guidance_of_ones_own_is_stored_and_followed(tmp_path):
    printed = run_example("your_own_guidance", tmp_path, "--out", "mine")
    assert re.search(r"Sharpe ratio -?\d", printed)
    assert written(tmp_path) == {"mine/momentum.parquet"}


def test_guidance_of_ones_own_sees_no_bar_from_its_issue_on():
    momentum = runpy.run_path(str(FOLDER / "your_own_guidance.py"))["momentum"]
    bars = sample_bars(years=2)
    table = momentum(bars)
    assert len(table.rows) > 4
    for row in table.rows:
        changed = bars.copy()
        changed.loc[row.issued_at :, ["open", "high", "low", "close"]] *= np.e
        assert row in momentum(changed).rows


@pytest.mark.slow
def test_a_mixture_trusts_guidance_as_much_as_it_deserves(tmp_path):
    weights = {}
    for accuracy in ("0.3", "0.8"):
        printed = run_example("mixture", tmp_path, "--accuracy", accuracy, drawn=accuracy == "0.8")
        assert "made with knowledge of later bars" in printed
        years = [line.split() for line in printed.splitlines() if re.match(r"20\d\d ", line)]
        quarters = [line.split() for line in printed.splitlines() if re.match(r"20\d\dQ", line)]
        assert (len(years), len(quarters)) == (6, 9)
        for _, *shares, position in years:
            assert sum(map(float, shares)) == pytest.approx(1.0, abs=0.02)
            assert -1.0 <= float(position) <= 1.0
        assert "guidance  hold  agent  contrarian" in printed
        for _, *shares in quarters:
            assert len(shares) == 4
            assert sum(map(float, shares)) == pytest.approx(1.0, abs=0.03)
        assert re.search(r"^mine/tearsheet.html: Sharpe ratio -?\d", printed, re.MULTILINE)
        assert re.search(r"^mine/mixture.html: \w+ had the most weight: mean 0\.\d\d in the ", printed, re.MULTILINE)
        weights[accuracy] = float(years[-1][1]), float(quarters[-1][1])
    for worthless, worth in zip(weights["0.3"], weights["0.8"], strict=True):
        assert worthless == 0.0 < 0.4 < worth
    assert written(tmp_path) == {"mine/tearsheet.html", "mine/mixture.html"}
    assert "A mixture of experts, USES THE FUTURE" in (tmp_path / "mine" / "tearsheet.html").read_text(encoding="utf-8")
    page = (tmp_path / "mine" / "mixture.html").read_text(encoding="utf-8")
    assert "knowledge of later bars" in page
    assert "contrarian" in page


@pytest.mark.slow
def test_a_tearsheet_comes_from_backtraders_own_analyzer(tmp_path):
    printed = run_example("tearsheet_from_cerebro", tmp_path, "--out", "page.html")
    assert printed.startswith("page.html: Sharpe ratio ")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Crossing means" in page
    assert "Benchmark" in page
    assert written(tmp_path) == {"page.html"}


@pytest.mark.slow
def test_a_language_model_is_asked_within_its_budget_and_the_second_run_costs_nothing(tmp_path, monkeypatch):
    from openai_server import OpenAIServer

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    sample_bars(years=1).to_csv(tmp_path / "ACME.csv")
    with OpenAIServer(key="sk-test-0123456789") as server:
        printed = run_example("guide_with_openai", tmp_path, "ACME.csv", "--base-url", server.url)
        asked = len(server.requests)
        again = run_example("guide_with_openai", tmp_path, "ACME.csv", "--base-url", server.url)
        assert len(server.requests) == asked == 12 + 1  # and the probe
    assert printed.startswith("to ask: 12 questions, 0 more have their answers in the cache")
    assert again.startswith("to ask: 0 questions, 12 more have their answers in the cache")
    most = float(re.search(r"at most ([\d.]+) \$", printed)[1])
    spent = float(re.search(r"cost so far: 13 answers, ([\d.]+) \$", printed)[1])
    assert 0.0 < spent < most < 0.5
    assert printed.partition("issued_at")[2] == again.partition("issued_at")[2]
    table = Guidance.read(tmp_path / "runs" / "guide_with_openai" / "guidance.parquet")
    assert len(table.rows) == 12
    assert re.search(r"^final value [\d,.]+$", printed, re.MULTILINE)
    assert written(tmp_path) == {
        "ACME.csv",
        "runs/guide_with_openai/llm.sqlite",
        "runs/guide_with_openai/guidance.parquet",
    }


@pytest.mark.slow
def test_the_arms_are_compared_and_reported(tmp_path):
    printed = run_example("compare_arms", tmp_path, "--out", "compared", drawn=False)
    for arm in ("hybrid", "rl", "llm", "hold", "sell"):
        assert re.search(rf"^{arm} .*\d", printed, re.MULTILINE)
    assert printed.splitlines()[-1] == "report: compared/report.html"
    assert (tmp_path / "compared" / "report.html").is_file()


@pytest.mark.slow
def test_guidance_controls_share_the_agents_without_guidance(tmp_path):
    printed = run_example("guidance_controls", tmp_path, "--out", "controls", drawn=False)
    assert re.search(r"^shuffled .*\d", printed, re.MULTILINE)
    assert {name for name in written(tmp_path) if not name.startswith("controls/shuffled/")} == set()


@pytest.mark.slow
def test_the_threshold_of_guidance_is_swept_and_its_best_setting_tried_on_later_bars(tmp_path):
    printed = run_example("sweep_guidance_threshold", tmp_path, "--out", "swept")
    best = re.search(r"Best of 304 combinations of the rule \w+: (.*?)\. Sharpe", printed)
    assert best is not None
    assert re.findall(r"(\w+) [\d.]+", best[1]) == ["threshold", "hold", "stop_loss"]
    assert re.search(r"^pbo +0\.\d", printed, re.MULTILINE)
    assert re.search(r"^deflated_sharpe +0\.\d", printed, re.MULTILINE)
    assert written(tmp_path) == {"swept/heatmap.html", "swept/best.html"}


@pytest.mark.slow
def test_an_agent_of_another_library_has_the_same_account_in_cerebro_and_in_the_environment(tmp_path):
    printed = run_example("sb3_agent_in_cerebro", tmp_path)
    (cerebro, environment) = re.search(r"in Cerebro ([\d,.]+), in the environment ([\d,.]+)$", printed.strip()).groups()
    assert cerebro == environment
    assert written(tmp_path) == set()


@pytest.mark.slow
def test_the_example_with_another_librarys_agent_says_what_to_install(tmp_path):
    (tmp_path / "stable_baselines3.py").write_text("raise ImportError")
    command = [sys.executable, str(FOLDER / "sb3_agent_in_cerebro.py")]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "this example needs stable-baselines3; install it with: pip install stable-baselines3"


def test_the_agent_of_another_library_sees_in_cerebro_what_it_sees_in_the_environment(monkeypatch):
    pytest.importorskip("stable_baselines3")
    import backtrader as bt

    from llmguide import TradingEnv, guide
    from llmguide.backtest import use_close_fills

    class Recorder:
        """Remembers what it is asked, and answers by it."""

        def __init__(self):
            self.seen = []

        def predict(self, observation, deterministic):
            self.seen.append(observation)
            return int(observation.sum() * 1000) % 2, None

    spec = importlib.util.spec_from_file_location("sb3_example", FOLDER / "sb3_agent_in_cerebro.py")
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sb3_example", example)  # where Backtrader looks for a strategy's module
    spec.loader.exec_module(example)
    bars = sample_bars(years=1, seed=5)
    guidance = guide(bars, "constant", direction=0)
    env = TradingEnv(bars, guidance)
    in_environment, in_cerebro = Recorder(), Recorder()
    example.value_in_environment(env, in_environment)

    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(example.FollowAgent, agent=in_cerebro, scaler=env.scaler, guidance=guidance)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    use_close_fills(cerebro)
    cerebro.run()
    np.testing.assert_allclose(in_cerebro.seen, in_environment.seen, rtol=1e-6, atol=1e-7)
    assert len({seen[-2] for seen in in_cerebro.seen}) == 3  # nothing, long and short were held


@pytest.mark.slow
def test_a_paper_trader_is_stopped_and_goes_on(tmp_path, monkeypatch):
    if Path("/dev/shm").is_dir():
        monkeypatch.setenv("TMPDIR", "/dev/shm")  # its journal is on the disk after every order
    live = run_example("paper_trading", tmp_path)
    pattern = r"^(?:stopped|went on): .*, ([\d-]+) shares, weights .*, (\d+) orders sent$"
    stopped, went_on = re.findall(pattern, live, re.MULTILINE)
    assert 0 < int(stopped[1]) < int(went_on[1])
    assert "0 that nobody heard of" in live
    assert live.endswith("kill switch on: the example is over\n")


@pytest.mark.slow
def test_a_dry_run_of_the_paper_trader_fills_as_the_market_does(tmp_path, monkeypatch):
    if Path("/dev/shm").is_dir():
        monkeypatch.setenv("TMPDIR", "/dev/shm")
    assert run_example("paper_trading", tmp_path, "--dry-run") == run_example("paper_trading", tmp_path)
