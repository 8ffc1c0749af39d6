"""The arm `flag` on a folder of instruments: one language model for all, resumed, and stale where it was another."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from llmguide import compare, replicate, sample_bars
from llmguide.errors import LlmguideError
from llmguide.experiments.replicate import grid
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag import trainer
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.flag.tiny import tiny_base
from llmguide.trading.flag_rules import FlagRules

HISTORIES = {symbol: sample_bars(years=1, seed=seed).iloc[:140] for seed, symbol in enumerate(("KO", "TWTR"))}
SPLIT = HISTORIES["KO"].index[100]
PLAN = FlagPlan(
    tiny_base(0, layers=2, width=32),
    config=FlagConfig(steps=40, rollout=20, accumulation=1, shown=10, rules=FlagRules(episode=20)),
    template="brief",
)
SETTINGS = {
    "arms": ("flag", "rl"),
    "seeds": 1,
    "episodes": 1,
    "config": DQNConfig(hidden=16, batch=8),
    "flag": PLAN,
    "device": "cpu",
    "progress": False,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for symbol, bars in HISTORIES.items():
        bars.to_parquet(folder / f"{symbol}.parquet")
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "run"


@pytest.fixture(scope="module")
def first(data, out):
    """All instruments, and how often the language model was read."""
    read = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "find_base", lambda base, *, device: read.append(device) or base)
        found = replicate(data, split=SPLIT, out=out, **SETTINGS)
    return found, read


def test_an_instruments_rows_are_those_of_a_comparison_and_the_language_model_is_read_once(first):
    found, read = first
    assert read == ["cpu"]
    for symbol, bars in HISTORIES.items():
        alone = compare(bars[bars.index < SPLIT], bars[bars.index >= SPLIT], None, **SETTINGS).runs
        ours = found.runs[found.runs["symbol"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours[list(alone.columns)], alone)


def test_it_stands_in_the_tables(first, tmp_path):
    found, _ = first
    assert found.experiment_2[["arm", "seeds"]].values.tolist() == [["flag", 1], ["rl", 1]] * 2
    assert set(found.tests["arm_a"]) == {"flag"}
    assert found.settings["flag"]["base_sha256"] == PLAN.base.digest
    folder = found.write(tmp_path / "tables")
    assert "flag" in (folder / "experiment_2.tex").read_text(encoding="utf-8")


def test_the_same_call_trains_and_measures_nothing_and_another_plan_is_refused(first, data, out, monkeypatch):
    found, _ = first
    measured = []
    monkeypatch.setattr(grid, "measure", lambda arm, *args, **options: measured.append(arm.name))
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/flag-0.safetensors")}
    assert len(stamps) == 2
    said = []
    again = replicate(data, split=SPLIT, out=out, announce=said.append, **SETTINGS)
    assert "2 of 2 policies are already trained" in said
    assert measured == []
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    pd.testing.assert_frame_equal(again.runs, found.runs)
    longer = dataclasses.replace(PLAN, config=dataclasses.replace(PLAN.config, steps=60))
    with pytest.raises(LlmguideError, match=r"flag\.training\.steps is 40 there and 60 here"):
        replicate(data, split=SPLIT, out=out, **SETTINGS | {"flag": longer})


def test_a_row_of_another_policy_is_stale(first, data, out, monkeypatch):
    measured = []
    original = grid.measure
    monkeypatch.setattr(grid, "measure", lambda arm, *args, **options: (
        measured.append(arm.name) or original(arm, *args, **options)))  # fmt: skip
    (out / "KO" / "flag-0.safetensors").unlink()
    replicate(data, split=SPLIT, out=out, **SETTINGS)
    assert measured == []  # the same seed gives the same bits
    monkeypatch.setattr("llmguide.experiments.learners.flag.fingerprint", lambda policy: "another")
    replicate(data, split=SPLIT, out=out, **SETTINGS)
    assert measured == ["flag", "flag"]


def test_the_arm_needs_a_language_model(data):
    with pytest.raises(LlmguideError, match=r"the arm flag needs a language model: give flag=FlagPlan\(base\)"):
        replicate(data, split=SPLIT, **SETTINGS | {"flag": None})
