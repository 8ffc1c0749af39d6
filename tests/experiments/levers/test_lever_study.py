"""The study of levers: each figure is that of the same agent trained and measured alone."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from showing import shows_what_its_page_says

from llmguide import load_agent, max_drawdown, sample_bars, sharpe_ratio, simulate, train_dqn
from llmguide.backtest import run_backtest
from llmguide.errors import LlmguideError
from llmguide.experiments.levers import LEVERS, LeverStudy, find_levers, study_levers
from llmguide.experiments.levers.measure import MEASURES
from llmguide.experiments.levers.result import FEWEST
from llmguide.experiments.run_folder import RunFolder
from llmguide.guidance.controls import oracle
from llmguide.guidance.rules import rules
from llmguide.rl.config import DQNConfig
from llmguide.strategies import LLMGuidedDQN, LLMOnly

CUT, START = 380, 30
CONFIG = DQNConfig(hidden=16, batch=8, epsilon_decay=200, cash=50_000.0, cost=0.002)
BARS = {symbol: sample_bars(years=2, seed=seed) for seed, symbol in enumerate(("A", "B"))}
SETTINGS = {"split": BARS["A"].index[CUT], "seeds": 2, "episodes": 1, "config": CONFIG, "progress": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for symbol, bars in BARS.items():
        bars.to_parquet(folder / f"{symbol}.parquet")
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("levers") / "run"


@pytest.fixture(scope="module")
def study(data, out):
    return study_levers(data, levers=["constant", "raw-bars+flat"], accuracy=0.7, out=out, **SETTINGS)


def table_of(symbol):
    seed = zlib.crc32(symbol.encode())
    return oracle(BARS[symbol], accuracy=0.7, seed=seed, confidence="varying")


def test_every_instrument_lever_and_seed_is_there_once_and_the_references_beside_them(study):
    assert study.levers == ("published", "constant", "raw-bars+flat")
    assert len(study.runs) == 2 * (3 * 2 + 2)
    assert not study.runs.duplicated(["symbol", "lever", "seed"]).any()
    assert study.uses_future
    assert list(study.table.index) == [*study.levers, "guidance", "hold"]
    flat = study.table["flat"]
    assert (flat["published"], flat["constant"]) == (0.0, 0.0)


def test_every_row_is_that_of_the_agent_trained_and_backtested_alone(study):
    """In Backtrader, where the study uses the account's own kernels."""
    for lever, changes in (("published", {}), ("raw-bars+flat", {"smoothing": 0, "actions": 3})):
        bars, table = BARS["B"], table_of("B")
        (agent,) = train_dqn(bars.iloc[:CUT], table, seeds=[1], episodes=1, config=replace(CONFIG, **changes))
        result = run_backtest(
            bars.iloc[CUT:], LLMGuidedDQN, model=agent, guidance=table, cash=CONFIG.cash, cost=CONFIG.cost
        )
        row = study.runs.set_index(["symbol", "lever", "seed"]).loc[("B", lever, 1)]
        assert row["sr"] == pytest.approx(result.sharpe, rel=1e-9)
        assert row["mdd"] == pytest.approx(result.max_drawdown, rel=1e-9)
        assert row["flat"] == pytest.approx(np.mean(result.decisions == -1))


def test_the_references_are_the_guidance_alone_and_holding(study):
    test, table = BARS["A"].iloc[CUT:], table_of("A")
    held = simulate(test, np.ones(len(test) - START), cash=CONFIG.cash, cost=CONFIG.cost)
    alone = run_backtest(test, LLMOnly, guidance=table, cash=CONFIG.cash, cost=CONFIG.cost)
    rows = study.runs[study.runs["symbol"] == "A"].set_index("lever")
    assert rows.loc["hold", "sr"] == pytest.approx(sharpe_ratio(held["returns"]))
    assert rows.loc["hold", "mdd"] == pytest.approx(max_drawdown(held["value"]))
    assert rows.loc["guidance", "sr"] == pytest.approx(alone.sharpe)


def made(gains, *, seeds=1):
    """A study in which the lever constant adds these to every measure, one number for each instrument and seed."""
    rows = []
    for number, gain in enumerate(np.reshape(gains, (-1, seeds))):
        for seed in range(seeds):
            cell = {"symbol": f"S{number}", "seed": seed}
            rows.append(cell | {"lever": "published"} | dict.fromkeys(MEASURES, number))
            rows.append(cell | {"lever": "constant"} | dict.fromkeys(MEASURES, number + gain[seed]))
    return LeverStudy(pd.DataFrame(rows), {"uses_future": False})


def test_differences_are_paired_by_seed_and_their_intervals_are_over_instruments():
    found = made([0.0, 2.0, 3.0, 5.0], seeds=2).differences
    row = found[found["measure"] == "sr"].iloc[0]
    # Of two instruments that gain 1 and 4 a resample has the first twice, both, or the second twice.
    assert (row["difference"], row["low"], row["high"], row["instruments"]) == pytest.approx((2.5, 1.0, 4.0, 2))
    assert (row["low_all"], row["high_all"], row["verdict"]) == (1.0, 4.0, "open")
    alone = made([1.0]).differences
    assert alone[["low", "high", "low_all", "high_all"]].isna().all(axis=None)
    assert set(alone["verdict"]) == {"open"}


def test_a_lever_is_told_apart_only_by_enough_instruments_and_by_the_interval_of_all():
    assert set(made([1.0, 2.0] * (FEWEST // 2)).differences["verdict"]) == {"higher"}
    assert set(made([-1.0, -2.0] * (FEWEST // 2)).differences["verdict"]) == {"lower"}
    assert set(made([1.0] * (FEWEST - 1)).differences["verdict"]) == {"open"}
    assert set(made([1.0, -1.0] * FEWEST).differences["verdict"]) == {"open"}
    # 10 of 13 instruments gain 1, three lose 1: the interval of one lever leaves out 0, those of ten together do not.
    one = made([1.0] * 10 + [-1.0] * 3)
    assert set(one.differences["verdict"]) == {"higher"}
    names = [f"discount=0.{digit}" for digit in range(1, 10)]
    others = [one.runs[one.runs["lever"] == "constant"].assign(lever=name) for name in names]
    many = LeverStudy(pd.concat([one.runs, *others]), {"uses_future": False}).differences
    assert set(many["verdict"]) == {"open"}
    assert (many["low"] > 0).all()
    assert (many["low_all"] <= 0).all()


def test_what_is_undefined_is_left_out():
    study = made([1.0, 2.0, 4.0])
    runs = study.runs.copy()
    runs.loc[(runs["symbol"] == "S2") & (runs["lever"] == "constant"), "sr"] = np.nan
    found = LeverStudy(runs, {"uses_future": False}).differences.set_index("measure")
    assert (found.loc["sr", "difference"], found.loc["sr", "instruments"]) == (1.5, 2)
    assert (found.loc["mdd", "difference"], found.loc["mdd", "instruments"]) == (pytest.approx(7 / 3), 3)


def test_a_second_call_trains_only_what_is_new_and_finds_the_same(study, data, out, monkeypatch):
    trained = []
    original = RunFolder.save_agent

    def watch(self, arm, agent):
        trained.append(f"{self.path.relative_to(out)} {arm}-{agent.seed}")
        original(self, arm, agent)

    monkeypatch.setattr(RunFolder, "save_agent", watch)
    again = study_levers(
        data, symbols=["B"], levers=["constant", "agreement"], accuracy=0.7, out=out, **SETTINGS | {"seeds": [0]}
    )
    assert trained == ["B/agreement=0.01 hybrid-0"]
    keys = ["symbol", "lever", "seed"]
    shared = study.runs.merge(again.runs, on=keys, suffixes=("", "_again"))
    assert len(shared) == 4
    pd.testing.assert_series_equal(shared["sr"], shared["sr_again"], check_names=False)
    assert load_agent(out / "B" / "agreement=0.01" / "hybrid-0.safetensors").config.agreement == 0.01
    with pytest.raises(LlmguideError, match="other settings: episodes is 1 there and 2 here"):
        study_levers(data, levers=["constant"], accuracy=0.7, out=out, **SETTINGS | {"episodes": 2})


def test_what_is_written_can_be_read_again_and_the_page_says_what_it_is(study, tmp_path):
    page = study.write(tmp_path / "written").read_text(encoding="utf-8")
    folder = tmp_path / "written"
    pd.testing.assert_frame_equal(pd.read_csv(folder / "runs.csv"), study.runs)
    written = pd.read_csv(folder / "differences.csv")
    pd.testing.assert_frame_equal(written, study.differences)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "instruments.csv"), study.instruments)
    config = json.loads((folder / "config.json").read_text())
    assert config["levers"]["raw-bars+flat"] == {"smoothing": 0, "actions": 3}
    assert (config["accuracy"], config["uses_future"], config["symbols"]) == (0.7, True, ["A", "B"])
    for text in (
        "made with knowledge of later bars",
        "tuning on the test set",
        "raw-bars+flat",
        "no significant difference",
    ):
        assert text in page
    for tag in ("table", "p", "h2"):
        assert page.count(f"<{tag}") == page.count(f"</{tag}>")


def test_guidance_by_rules_does_not_use_the_future(data):
    found = study_levers(data, symbols=["A"], levers=["agreement=0.5"], accuracy=None, **SETTINGS | {"seeds": 1})
    assert not found.uses_future
    table, test = rules(BARS["A"]), BARS["A"].iloc[CUT:]
    alone = run_backtest(test, LLMOnly, guidance=table, cash=CONFIG.cash, cost=CONFIG.cost)
    assert found.runs.set_index("lever").loc["guidance", "sr"] == pytest.approx(alone.sharpe)


def test_levers_have_names_numbers_and_can_be_joined():
    found = find_levers([*LEVERS, "discount=0", "constant + agreement=0.25"])
    assert [lever.name for lever in found[-4:]] == ["discount=0.9", "flat", "discount=0", "constant+agreement=0.25"]
    config = found[-1].apply(DQNConfig())
    assert (config.tau, config.agreement, config.actions) == ("constant", 0.25, 2)
    assert all(lever.apply(DQNConfig()) != DQNConfig() for lever in found)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["constnat"], r"unknown lever 'constnat', choose from .*did you mean 'constant'\?"),
        (["flat=2"], "the lever 'flat' takes no number"),
        (["discount=half"], r"takes a number, as in discount=0\.9"),
        (["constant+jittered"], "change the same setting; choose one"),
        (["flat", "flat"], "one or more different levers"),
        ([], "one or more different levers"),
    ],
)
def test_impossible_levers_are_refused(names, message):
    with pytest.raises(LlmguideError, match=message):
        find_levers(names)


def test_what_cannot_be_studied_is_refused(data):
    with pytest.raises(LlmguideError, match=r"the lever discount=0\.4 changes nothing"):
        study_levers(data, levers=["discount=0.4"], **SETTINGS)
    with pytest.raises(LlmguideError, match=r"the probability of a correct direction, in \[0, 1\], got 1\.2"):
        study_levers(data, levers=["flat"], accuracy=1.2, **SETTINGS)
    with pytest.raises(LlmguideError, match="discount must lie in"):
        study_levers(data, levers=["discount=7"], **SETTINGS)


def test_a_study_shows_itself_as_its_page_begins(study, tmp_path):
    shows_what_its_page_says(study, study.write(tmp_path / "shown"))
