"""The benchmarks: their timing is right, and each of them runs."""

from __future__ import annotations

import importlib
import json
import math
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
COUNTED = {
    "Cerebro bars",
    "FLAG-Trader steps",
    "a study",
    "a sweep's first call",
    "a training step",
    "account steps",
    "decisions of 7 policies side by side",
    "double-DQN updates",
    "mixtures",
    "states encoded",
    "states of a minibatch",
    "sweep memory",
    "sweep",
    "training",
    "window pairs",
}


@pytest.fixture
def bench(monkeypatch):
    """The benchmarks' shared module, as their own scripts import it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("_bench")


@pytest.mark.slow
def test_contenders_warm_up_and_then_take_turns(bench, monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr(bench, "perf_counter", lambda: now[0])

    def contender(name, units, seconds):
        def work():
            now[0] += 100.0 if name not in calls else seconds[calls.count(name) - 1]
            calls.append(name)
            return units

        return work

    measured = bench.rates({"a": contender("a", 10, (1.0, 2.0, 5.0)), "b": contender("b", 6, (2.0, 3.0, 1.0))}, 3)
    assert calls == ["a", "b"] * 4
    np.testing.assert_allclose(measured["a"], [10.0, 5.0, 2.0])
    np.testing.assert_allclose(measured["b"], [3.0, 2.0, 6.0])


def test_a_figure_has_the_median_of_the_ratios_and_not_the_ratio_of_the_medians(bench):
    figure = bench.Figure.of("ours", np.array([10.0, 5.0, 2.0]), "theirs", np.array([2.0, 5.0, 1.0]))
    assert (figure.rate, figure.peer_rate) == (5.0, 2.0)
    assert figure.ratio == 2.0  # of 5, 1 and 2
    assert figure.spread == 5.0


@pytest.mark.parametrize(("number", "text"), [(1234567.8, "1,234,568"), (100.4, "100"), (12.345, "12.3"), (0.5, "0.5")])
def test_rates_are_printed_with_the_digits_that_count(bench, number, text):
    assert bench.short(number) == text


def test_where_figures_count_each_benchmark_has_a_process_and_the_options_of_all(bench, tmp_path):
    file = tmp_path / "pids.py"
    file.write_text(
        f"import os, sys\nsys.path.insert(0, {str(FOLDER)!r})\nfrom _bench import Figure, run\n"
        "def measure(options):\n"
        "    assert (options.quick, options.repeats, options.threads) == (False, 3, 1)\n"
        "    return [Figure('pid', os.getpid(), 'parent', os.getppid(), 1.0, 1.0)]\n"
        "run(__doc__, measure)\n",
        encoding="utf-8",
    )
    measure = runpy.run_path(str(FOLDER / "all.py"))["measure"]
    (figure,) = measure(file, bench.Options(quick=False, repeats=3, threads=1, json=None))
    assert (figure.name, figure.peer_rate) == ("pid", os.getpid())
    assert figure.rate != os.getpid()


@pytest.mark.slow
def test_every_benchmark_runs_and_stands_beside_a_peer(tmp_path):
    written = tmp_path / "figures.json"
    command = [sys.executable, str(FOLDER / "all.py"), "--quick", "--threads", "1", "--repeats", "1"]
    strict = os.environ | {"PYTHONWARNINGS": "error"}  # reaches the processes that it starts, too
    command += ["--json", str(written)]
    done = subprocess.run(command, cwd=tmp_path, env=strict, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(written.read_text(encoding="utf-8"))
    assert {figure["name"].partition(",")[0] for figure in figures} == COUNTED
    for figure in figures:
        assert figure["name"] in done.stdout
        assert figure["peer"]
        assert all(figure[key] > 0 and math.isfinite(figure[key]) for key in ("rate", "peer_rate", "ratio"))
