"""The study of the mixture: each figure is that of the same mixture made one at a time."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide import max_drawdown, sample_bars, sharpe_ratio, simulate
from llmguide.errors import DataError, LlmguideError
from llmguide.experiments.markets import Market
from llmguide.experiments.mixture import MixtureStudy, study_mixture
from llmguide.experiments.mixture.draws import draw_seed, oracle_sides
from llmguide.experiments.mixture.measure import measure_market
from llmguide.experiments.run_folder import RunFolder
from llmguide.guidance.controls import oracle
from llmguide.mixture import FollowGuidance
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=2, seed=5)
CUT, START = 350, 30
MARKET = Market("KO", BARS.iloc[:CUT], BARS.iloc[CUT:])
CONFIG = DQNConfig(hidden=16, batch=8, cash=50_000.0, cost=0.002)
SPLIT = BARS.index[CUT]
SETTINGS = {"split": SPLIT, "seeds": 1, "episodes": 1, "holdout": 100, "config": CONFIG, "progress": False}


@pytest.fixture
def agents(random_agent):
    """Two agents that were trained up to bar 249, and stay on a side for a while."""
    last = {"trained_on": {"last": str(BARS.index[249])}}
    return [dataclasses.replace(random_agent(BARS, guided=False, seed=seed), notes=last) for seed in (4, 9)]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "bars"
    folder.mkdir()
    for seed, symbol in enumerate(("A", "B")):
        sample_bars(years=2, seed=seed).to_parquet(folder / f"{symbol}.parquet")
    return folder


@pytest.fixture
def trained(monkeypatch):
    """The agents stored since the beginning of the test."""
    names = []
    original = RunFolder.save_agent

    def watch(self, arm, agent):
        names.append(f"{self.path.name} {arm}-{agent.seed}")
        original(self, arm, agent)

    monkeypatch.setattr(RunFolder, "save_agent", watch)
    return names


@pytest.mark.parametrize("accuracy", [0.0, 0.6, 1.0])
def test_many_draws_are_the_sides_of_the_oracles_tables(accuracy):
    sides = oracle_sides(BARS, accuracy=accuracy, seeds=[3, 11])
    for row, seed in zip(sides, (3, 11), strict=True):
        table = oracle(BARS, accuracy=accuracy, seed=seed)
        np.testing.assert_array_equal(row, FollowGuidance(table).sides(BARS))


def test_many_draws_on_bars_within_the_day_are_seen_no_earlier_than_their_table_is():
    moments = pd.date_range("2017-01-02 10:00", periods=240, freq="3h")
    bars = BARS.iloc[:240].set_axis(moments)
    (row,) = oracle_sides(bars, accuracy=0.7, seeds=[1])
    direction = oracle(bars, accuracy=0.7, seed=1).align(moments)["direction"]
    np.testing.assert_array_equal(row, 2.0 * direction - 1.0)


def test_every_row_is_that_of_the_mixture_made_alone(agents):
    options = {"accuracies": (0.6, 0.9), "draws": 3, "config": CONFIG, "periods": 252}
    rows = pd.DataFrame(measure_market(MARKET, agents, **options))
    assert rows["arm"].value_counts().to_dict() == {
        "mixture": 12,
        "mixture_all_in": 12,
        "guidance": 6,
        "agent": 2,
        "hold": 1,
    }
    by_seed = {agent.seed: agent for agent in agents}
    account = {"cash": CONFIG.cash, "cost": CONFIG.cost}
    for row in rows.itertuples():
        table = oracle(BARS, accuracy=row.accuracy, seed=draw_seed("KO", row.draw)) if row.draw >= 0 else None
        if row.arm == "hold":
            found = simulate(MARKET.test, np.ones(len(MARKET.test) - START), **account)
        elif row.arm == "agent":
            found = simulate(MARKET.test, by_seed[row.seed].decide(BARS)[CUT:], **account)
        elif row.arm == "guidance":
            said = table.align(MARKET.test.index)["direction"].to_numpy()[START:]
            found = simulate(MARKET.test, said.astype(int), **account)
        else:
            experts = {"agent": by_seed[row.seed], "guidance": table, "hold": "hold"}
            mixed = llmguide.mix(BARS, experts, cost=CONFIG.cost, start=CUT + START)
            weights = mixed.positions.iloc[CUT + START :]
            if row.arm == "mixture_all_in":
                assert (weights != 0).all()  # else it were flat, which `simulate` does not decide
                found = simulate(MARKET.test, mixed.decisions, **account)
            else:
                found = simulate(MARKET.test, weights=weights, **account)
        assert row.sr == pytest.approx(sharpe_ratio(found["returns"], periods=252), rel=1e-12)
        assert row.mdd == pytest.approx(max_drawdown(found["value"]), rel=1e-12)


def test_without_agents_guidance_and_holding_are_mixed():
    rows = pd.DataFrame(measure_market(MARKET, [], accuracies=(0.7,), draws=1, config=CONFIG, periods=252))
    assert set(rows["arm"]) == {"guidance", "hold", "mixture", "mixture_all_in"}
    table = oracle(BARS, accuracy=0.7, seed=draw_seed("KO", 0))
    mixed = llmguide.mix(BARS, {"guidance": table, "hold": "hold"}, cost=CONFIG.cost)
    found = simulate(MARKET.test, weights=mixed.positions.iloc[CUT + START :], cash=CONFIG.cash, cost=CONFIG.cost)
    sharpe = rows.set_index("arm").loc["mixture", "sr"]
    assert sharpe == pytest.approx(sharpe_ratio(found["returns"], periods=252), rel=1e-12)


def made_runs(hold, drawn):
    """Runs of symbols with these Sharpe ratios: of holding, and of guidance, mixture and all in by symbol and draw."""
    columns = ["symbol", "arm", "accuracy", "draw", "seed", "sr", "mdd"]
    rows = [(symbol, "hold", np.nan, -1, -1, sr, 0.1) for symbol, sr in hold.items()]
    for symbol, draws in drawn.items():
        for draw, values in enumerate(draws):
            arms = zip(("guidance", "mixture", "mixture_all_in"), values, strict=True)
            rows += [(symbol, arm, 0.7, draw, -1, sr, 0.1) for arm, sr in arms]
    return pd.DataFrame(rows, columns=columns)


def test_tables_are_means_over_draws_then_over_instruments():
    drawn = {"A": [(0.0, 1.0, 0.5), (1.0, 2.0, 0.5)], "B": [(-1.0, 0.0, 0.25)]}
    study = MixtureStudy(made_runs({"A": 0.4, "B": -0.2}, drawn), {})
    assert study.arms == ("guidance", "hold", "mixture", "mixture_all_in")
    expected = pd.DataFrame(
        [(0.7, "A", 0.5, 0.4, 1.5, 0.5), (0.7, "B", -1.0, -0.2, 0.0, 0.25)],
        columns=["accuracy", "symbol", *study.arms],
    )
    pd.testing.assert_frame_equal(study.instruments, expected, check_names=False)
    assert study.table.loc[0.7].tolist() == pytest.approx([-0.25, 0.1, 0.75, 0.375])


def test_intervals_are_of_instruments_drawn_anew_each_with_its_own_difference():
    study = MixtureStudy(made_runs({"A": 0.4, "B": -0.2}, {"A": [(0.5, 1.4, 0.4)], "B": [(0.0, 0.0, -0.2)]}), {})
    row = study.differences.set_index(["arm", "minus"]).loc[("mixture", "hold")]
    # Of two instruments a resample has the first twice, both, or the second twice: one in four at either end.
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((0.6, 0.2, 1.0))
    same = study.differences.set_index(["arm", "minus"]).loc[("mixture_all_in", "hold")]
    assert (same["difference"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
    alone = MixtureStudy(made_runs({"A": 0.4}, {"A": [(0.5, 1.4, 0.4)]}), {}).differences
    assert alone[["low", "high"]].isna().all(axis=None)
    assert alone["instruments"].tolist() == [1] * 4


def test_agents_are_trained_once_and_meet_other_draws_without_being_trained_again(data, tmp_path, trained):
    first = study_mixture(data, **SETTINGS, accuracies=(0.5, 1.0), draws=2, out=tmp_path / "run")
    assert sorted(trained) == ["A mixture-0", "B mixture-0"]
    agent = llmguide.load_agent(tmp_path / "run" / "A" / "mixture-0.safetensors")
    assert agent.notes["trained_on"]["last"] == str(sample_bars(years=2, seed=0).index[CUT - 101])
    more = study_mixture(data, **SETTINGS, accuracies=(1.0,), draws=3, out=tmp_path / "run")
    assert len(trained) == 2
    keys = ["symbol", "arm", "accuracy", "draw", "seed"]
    shared = first.runs[first.runs["accuracy"] != 0.5].merge(more.runs, on=keys, suffixes=("", "_more"))
    assert len(shared) == 2 * (1 + 1 + 3 * 2)
    pd.testing.assert_series_equal(shared["sr"], shared["sr_more"], check_names=False)
    more.write(tmp_path / "run")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "runs.csv"), more.runs)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["symbols"], config["draws"], config["accuracies"]) == (["A", "B"], 3, [1.0])
    assert config["holdout"] == {"A": 100, "B": 100}
    assert config["uses_future"] is True
    with pytest.raises(LlmguideError, match="other settings: holdout is 100 there and 90 here"):
        study_mixture(data, **SETTINGS | {"holdout": 90}, draws=1, out=tmp_path / "run")


def test_instruments_are_not_wrong_in_the_same_months():
    one, other = (oracle_sides(BARS, accuracy=0.5, seeds=[draw_seed(name, 0)]) for name in ("A", "B"))
    assert not np.array_equal(one, other, equal_nan=True)


def test_what_cannot_be_done_is_refused(data):
    for accuracies in ((), (0.5, 1.2)):
        with pytest.raises(LlmguideError, match=r"chances of a right direction in \[0, 1\]"):
            study_mixture(data, **SETTINGS, accuracies=accuracies)
    with pytest.raises(LlmguideError, match="draws must be at least 1, got 0"):
        study_mixture(data, **SETTINGS, draws=0)
    with pytest.raises(DataError, match="hold out fewer"):
        study_mixture(data, **SETTINGS | {"holdout": 400})
