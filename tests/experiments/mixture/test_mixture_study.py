"""The study of the mixture: each figure is that of the same mixture made one at a time."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from showing import shows_what_its_page_says

import llmguide
from llmguide import Guidance, max_drawdown, sample_bars, sharpe_ratio, simulate
from llmguide.errors import DataError, GuidanceError, LlmguideError
from llmguide.experiments.markets import Market
from llmguide.experiments.mixture import read_tables, study_mixture
from llmguide.experiments.mixture.draws import draw_seed, oracle_sides, shuffle_seed, shuffled_sides
from llmguide.experiments.mixture.measure import measure_market
from llmguide.experiments.mixture.sources import guidance_of
from llmguide.experiments.run_folder import RunFolder
from llmguide.guidance.controls import oracle, shuffled
from llmguide.guidance.rules import rules
from llmguide.mixture import FollowGuidance
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=2, seed=5)
CUT, START = 350, 30
MARKET = Market("KO", BARS.iloc[:CUT], BARS.iloc[CUT:])
CONFIG = DQNConfig(hidden=16, batch=8, cash=50_000.0, cost=0.002)
SPLIT = BARS.index[CUT]
SETTINGS = {"split": SPLIT, "seeds": 1, "episodes": 1, "holdout": 300, "config": CONFIG, "progress": False}
MARKS = ["symbol", "arm", "guidance", "accuracy", "draw", "seed"]


def undecided(table, *, every=3):
    """The table with every third month abstaining."""
    rows = [
        {"issued_at": row.issued_at, "direction": None if at % every == 0 else row.direction, "confidence": None}
        if at % every == 0
        else {"issued_at": row.issued_at, "direction": row.direction, "confidence": row.confidence}
        for at, row in enumerate(table.rows)
    ]
    return Guidance.from_rows(rows)


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
    mixed_up = oracle_sides(BARS, accuracy=accuracy, seeds=[3, 11], shuffles=[7, 8])
    for at, (seed, shuffle) in enumerate(((3, 7), (11, 8))):
        table = oracle(BARS, accuracy=accuracy, seed=seed)
        np.testing.assert_array_equal(sides[at], FollowGuidance(table).sides(BARS))
        np.testing.assert_array_equal(mixed_up[at], FollowGuidance(shuffled(table, seed=shuffle)).sides(BARS))


@pytest.mark.parametrize("table", [rules(BARS), undecided(rules(BARS)), undecided(oracle(BARS), every=2)])
def test_many_orders_are_the_sides_of_the_shuffled_tables(table):
    sides = shuffled_sides(table, BARS, shuffles=[1, 2, 3])
    assert len(np.unique(sides, axis=0)) == 3
    for row, seed in zip(sides, (1, 2, 3), strict=True):
        np.testing.assert_array_equal(row, FollowGuidance(shuffled(table, seed=seed)).sides(BARS))


@pytest.mark.parametrize("hours", [1, 3])
def test_many_draws_on_bars_within_the_day_are_seen_no_earlier_than_their_table_is(hours):
    moments = pd.date_range("2017-01-02 10:00", periods=240, freq=f"{hours}h")
    bars = BARS.iloc[:240].set_axis(moments)
    (row,) = oracle_sides(bars, accuracy=0.7, seeds=[1])
    table = oracle(bars, accuracy=0.7, seed=1)
    assert (table.align(moments)["issued_at"].nunique() < len(table)) == (hours == 1)  # some rows are seen by no bar
    np.testing.assert_array_equal(row, 2.0 * table.align(moments)["direction"] - 1.0)
    unsure = undecided(table, every=2)
    (row,) = shuffled_sides(unsure, bars, shuffles=[4])
    np.testing.assert_array_equal(row, FollowGuidance(shuffled(unsure, seed=4)).sides(bars))


def test_rules_in_the_study_see_no_later_bar():
    def asked(bars):
        market = Market("KO", bars.iloc[:CUT], bars.iloc[CUT:])
        (found,) = (
            source.sides[0]
            for source in guidance_of(market, accuracies=(), draws=1, tables={})
            if source.guidance == "rules"
        )
        return found

    sides = asked(BARS)
    assert len(np.unique(sides[CUT:])) == 2
    moved = False
    for t in range(CUT - 12, len(BARS) - 1, 7):
        bars = BARS.copy()
        bars.iloc[t + 1 :] *= np.where(np.arange(len(BARS) - t - 1) % 2, 0.6, 1.5)[:, None]
        changed = asked(bars)
        np.testing.assert_array_equal(changed[: t + 2], sides[: t + 2])
        moved |= bool((changed != sides).any())
    assert moved


@pytest.mark.slow
def test_every_row_is_that_of_the_mixture_made_alone(agents):
    own = undecided(oracle(BARS, accuracy=0.6, seed=8))
    options = {"accuracies": (0.9,), "draws": 2, "tables": {"mine": own}, "config": CONFIG, "periods": 252}
    rows = pd.DataFrame(measure_market(MARKET, agents, **options))
    per_guidance = {"oracle 0.9": 2, "shuffled oracle 0.9": 2, "rules": 1, "mine": 1} | {
        f"shuffled {name}": 2 for name in ("rules", "mine")
    }
    counted = rows.groupby(["guidance", "arm"]).size().to_dict()
    expected = {(name, "guidance"): draws for name, draws in per_guidance.items()}
    expected |= {(name, arm): 2 * draws for name, draws in (per_guidance | {"none": 1}).items() for arm in MIXED}
    assert counted == expected | {("none", "agent"): 2, ("none", "hold"): 1}
    assert not rows.duplicated(MARKS).any()
    by_seed = {agent.seed: agent for agent in agents}
    account = {"cash": CONFIG.cash, "cost": CONFIG.cost}
    for row in rows.itertuples():
        name = row.guidance.removeprefix("shuffled ")
        table = None
        if name == "oracle 0.9":
            assert row.accuracy == 0.9
            table = oracle(BARS, accuracy=0.9, seed=draw_seed("KO", row.draw))
        elif name != "none":
            assert np.isnan(row.accuracy)
            table = {"rules": rules(BARS), "mine": own}[name]
        if name != row.guidance:
            table = shuffled(table, seed=shuffle_seed("KO", row.draw))
        if row.arm == "hold":
            found = simulate(MARKET.test, np.ones(len(MARKET.test) - START), **account)
        elif row.arm == "agent":
            found = simulate(MARKET.test, by_seed[row.seed].decide(BARS)[CUT:], **account)
        elif row.arm == "guidance":
            said = table.align(BARS.index)["direction"].ffill().to_numpy()[CUT + START :]
            found = simulate(MARKET.test, said.astype(int), **account)
        else:
            experts = {"agent": by_seed[row.seed], "hold": "hold"} | ({} if table is None else {"guidance": table})
            mixed = llmguide.mix(BARS, experts, cost=CONFIG.cost, start=CUT + START)
            weights = mixed.positions.iloc[CUT + START :]
            if row.arm == "mixture_all_in":
                assert (weights != 0).all()  # else it were flat, which `simulate` does not decide
                found = simulate(MARKET.test, mixed.decisions, **account)
            else:
                found = simulate(MARKET.test, weights=weights, **account)
        assert row.sr == pytest.approx(sharpe_ratio(found["returns"], periods=252), rel=1e-9)
        assert row.mdd == pytest.approx(max_drawdown(found["value"]), rel=1e-9)
        assert row.total_return == pytest.approx(found["value"].iloc[-1] / CONFIG.cash - 1.0, rel=1e-9)


MIXED = ("mixture", "mixture_all_in")


def test_without_agents_guidance_and_holding_are_mixed():
    rows = pd.DataFrame(measure_market(MARKET, [], accuracies=(0.7,), draws=1, config=CONFIG, periods=252))
    assert set(rows["arm"]) == {"guidance", "hold", "mixture", "mixture_all_in"}
    table = oracle(BARS, accuracy=0.7, seed=draw_seed("KO", 0))
    sharpes = rows.set_index(["guidance", "arm"])["sr"]
    for name, experts in (("oracle 0.7", {"guidance": table, "hold": "hold"}), ("none", {"hold": "hold"})):
        mixed = llmguide.mix(BARS, experts, cost=CONFIG.cost)
        found = simulate(MARKET.test, weights=mixed.positions.iloc[CUT + START :], cash=CONFIG.cash, cost=CONFIG.cost)
        assert sharpes[name, "mixture"] == pytest.approx(sharpe_ratio(found["returns"], periods=252), rel=1e-12)


def test_instruments_are_not_wrong_in_the_same_months_nor_in_the_same_order():
    one, other = (oracle_sides(BARS, accuracy=0.5, seeds=[draw_seed(name, 0)]) for name in ("A", "B"))
    assert not np.array_equal(one, other, equal_nan=True)
    one, other = (shuffled_sides(rules(BARS), BARS, shuffles=[shuffle_seed(name, 0)]) for name in ("A", "B"))
    assert not np.array_equal(one, other, equal_nan=True)


@pytest.mark.slow
def test_agents_are_trained_once_and_meet_other_draws_without_being_trained_again(data, tmp_path, trained):
    first = study_mixture(data, **SETTINGS, accuracies=(0.5, 1.0), draws=2, out=tmp_path / "run")
    assert sorted(trained) == ["A mixture-0", "B mixture-0"]
    agent = llmguide.load_agent(tmp_path / "run" / "A" / "mixture-0.safetensors")
    assert agent.notes["trained_on"]["last"] == str(sample_bars(years=2, seed=0).index[CUT - 301])
    more = study_mixture(data, **SETTINGS, accuracies=(1.0,), draws=3, out=tmp_path / "run")
    assert len(trained) == 2
    shared = first.runs[first.runs["accuracy"] != 0.5].merge(more.runs, on=MARKS, suffixes=("", "_more"))
    assert len(shared) == 2 * (2 + 2 + 3 + (3 * 2) * 3)  # alone and without guidance, by rules, of three kinds of draws
    pd.testing.assert_series_equal(shared["sr"], shared["sr_more"], check_names=False)
    page = more.write(tmp_path / "run")
    shows_what_its_page_says(more, page)
    assert page == tmp_path / "run" / "report.html"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "runs.csv"), more.runs)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "aims.csv"), more.aims)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["symbols"], config["draws"], config["accuracies"]) == (["A", "B"], 3, [1.0])
    assert config["holdout"] == {"A": 300, "B": 300}
    assert config["uses_future"] is True
    with pytest.raises(LlmguideError, match="other settings: holdout is 300 there and 90 here"):
        study_mixture(data, **SETTINGS | {"holdout": 90}, draws=1, out=tmp_path / "run")

    (tmp_path / "run" / "B" / "mixture-0.safetensors").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    said = []
    options = {"accuracies": (1.0,), "draws": 3, "out": tmp_path / "run", "only_trained": True}
    part = study_mixture(data, **SETTINGS | {"seeds": 2}, **options, announce=said.append)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert len(trained) == 2
    assert part.missing == {"A": [1], "B": [0, 1]}
    assert "agents that are not trained yet: 3; instruments without any: 1" in said
    pd.testing.assert_frame_equal(part.runs, more.runs[more.runs["symbol"] == "A"])
    assert part.settings["symbols"] == ["A"]
    with pytest.raises(LlmguideError, match="other settings: holdout is 300 there and 90 here"):
        study_mixture(data, **SETTINGS | {"holdout": 90}, **options)
    for wrong in ({"out": None}, {"seeds": 0}, {"resume": False}):
        with pytest.raises(LlmguideError, match="uses the agents in a run folder"):
            study_mixture(data, **SETTINGS | options | wrong)
    with pytest.raises(LlmguideError, match="holds no trained agent of these instruments"):
        study_mixture(data, symbols=["B"], **SETTINGS | options)


def test_tables_are_read_from_folders_and_used_where_an_instrument_has_one(data, tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    table = oracle(sample_bars(years=2, seed=1), accuracy=0.7, seed=3)
    table.save(folder / "B.parquet")
    table.save(folder / "C.csv")
    tables = read_tables([folder])
    assert {name: list(of_name) for name, of_name in tables.items()} == {"answers": ["B", "C"]}
    assert read_tables([folder / "B.parquet", folder / "C.csv"]) == tables
    said = []
    options = SETTINGS | {"seeds": 0, "accuracies": (0.8,), "draws": 1}
    study = study_mixture(data, **options, tables=tables, announce=said.append)
    assert "guidance answers: of 1 of 2 instruments" in said
    assert set(study.runs.loc[study.runs["guidance"] == "answers", "symbol"]) == {"B"}
    assert study.settings["tables"] == {
        "answers": {"B": {"rows": len(table), "uses_future": True, "sha256": table.hash}}
    }
    compared = study.differences[study.differences["guidance"].isin(["answers", "rules"])]
    assert compared[compared["group"] == "all"].groupby("guidance")["instruments"].agg(set).to_dict() == {
        "answers": {1},
        "rules": {2},
    }
    with pytest.raises(GuidanceError, match="'answers' is of C, and none of the instruments is"):
        study_mixture(data, **options, tables={"answers": {"C": table}})
    seen = table.made_from(sample_bars(years=2, seed=1))
    with pytest.raises(GuidanceError, match="was made from other bars"):
        study_mixture(data, **options, tables={"answers": {"A": seen}})
    for name in ("none", "rules", "oracle 0.5", "shuffled mine", " "):
        with pytest.raises(GuidanceError, match="cannot be called"):
            study_mixture(data, **options, tables={name: {"A": table}})
    with pytest.raises(GuidanceError, match="no guidance at"):
        read_tables([tmp_path / "bars" / "nothing"])
    with pytest.raises(GuidanceError, match="second table of B under the name 'answers'"):
        read_tables([folder, folder / "B.parquet"])


def test_what_cannot_be_done_is_refused(data):
    for accuracies in ((), (0.5, 1.2)):
        with pytest.raises(LlmguideError, match=r"probabilities of a correct direction, in \[0, 1\]"):
            study_mixture(data, **SETTINGS, accuracies=accuracies)
    with pytest.raises(LlmguideError, match="draws must be at least 1, got 0"):
        study_mixture(data, **SETTINGS, draws=0)
    with pytest.raises(DataError, match="hold out fewer"):
        study_mixture(data, **SETTINGS | {"holdout": 400})
