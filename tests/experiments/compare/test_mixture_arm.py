"""The arm `mixture`: whom it follows, what its agents learned from, what it holds, and that it never looks ahead."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from llmguide import compare, guide, load_agent, sample_bars, simulate, train_dqn
from llmguide.errors import DataError, GuidanceError, LlmguideError
from llmguide.experiments.compare.sensitivity import sensitivity
from llmguide.experiments.compare.write import report_data, write_comparison
from llmguide.experiments.plan import Plan
from llmguide.report.page import render_report
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=2, seed=6)
CUT, HOLDOUT, START = 300, 120, 30
TRAIN, TEST = BARS.iloc[:CUT], BARS.iloc[CUT:]
CONFIG = DQNConfig(hidden=16, batch=8, cash=50_000.0, cost=0.002)
SETTINGS = {"seeds": 2, "episodes": 1, "config": CONFIG, "progress": False}
MIXTURE = SETTINGS | {"holdout": HOLDOUT, "curves": False}


@pytest.fixture(scope="module")
def guidance():
    return guide(BARS, "rules")


@pytest.fixture(scope="module")
def comparison(guidance):
    return compare(TRAIN, TEST, guidance, **SETTINGS, holdout=HOLDOUT, arms=("rl", "mixture", "hold"))


def changed_after(bars, t, seed=0):
    """The bars with every price and volume after bar t another one."""
    changed = bars.copy()
    changed.iloc[t + 1 :] *= np.random.default_rng(seed).uniform(0.5, 2.0, (len(bars) - t - 1, 1))
    return changed


def same_weights(one, other):
    return all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_its_agents_are_those_of_the_bars_before_the_holdout(comparison):
    alone = train_dqn(TRAIN.iloc[:-HOLDOUT], seeds=2, episodes=1, config=CONFIG, progress=False)
    for ours, theirs in zip(comparison.agents["mixture"], alone, strict=True):
        assert same_weights(ours, theirs)
        assert ours.scaler == theirs.scaler
        assert not ours.guided
        assert ours.notes["trained_on"] == theirs.notes["trained_on"]
        assert ours.notes["trained_on"]["last"] == str(TRAIN.index[-HOLDOUT - 1])


def test_the_other_arms_are_what_they_are_without_it(comparison, guidance):
    without = compare(TRAIN, TEST, guidance, **SETTINGS, arms=("rl", "hold"))
    ours = comparison.runs[comparison.runs["arm"] != "mixture"].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, without.runs)
    for one, other in zip(comparison.agents["rl"], without.agents["rl"], strict=True):
        assert same_weights(one, other)
        assert one.notes == other.notes
    assert "holdout" in comparison.settings
    assert "holdout" not in without.settings


def test_its_experts_are_the_agent_the_guidance_and_holding_each_from_its_first_bar_out_of_sample(comparison, guidance):
    direction = guidance.align(BARS.index)["direction"].ffill()
    for agent in comparison.agents["mixture"]:
        sides = comparison.mixed[agent.seed].sides
        first = CUT - HOLDOUT
        assert sides["agent"].iloc[:first].isna().all()
        decided = agent.decide(BARS)[first - START :]
        np.testing.assert_array_equal(sides["agent"].iloc[first:], np.where(decided == 1, 1.0, -1.0))
        np.testing.assert_array_equal(sides["guidance"], direction.map({1: 1.0, 0: -1.0}))
        assert (sides["hold"] == 1.0).all()


def test_it_holds_the_mean_side_weighted_by_the_positive_records_after_as_many_idle_bars_as_every_arm(comparison):
    for seed in (0, 1):
        mixed = comparison.mixed[seed]
        trust = mixed.records.clip(lower=0.0).where(mixed.sides.notna(), 0.0)
        expected = (trust * mixed.sides.fillna(0.0)).sum(axis=1) / trust.sum(axis=1)
        positions = mixed.positions
        assert (positions.iloc[: CUT + START] == 0.0).all()
        np.testing.assert_allclose(positions.iloc[CUT + START :], expected.iloc[CUT + START :], atol=1e-12)
        account = simulate(TEST, weights=positions.iloc[CUT + START :], cash=50_000.0, cost=0.002)
        result = comparison.results["mixture", seed]
        np.testing.assert_allclose(result.values, account["value"], rtol=1e-9)
        np.testing.assert_array_equal(result.sides, account["side"])


@pytest.mark.parametrize("t", [100, 140])
def test_nothing_up_to_a_bar_depends_on_later_test_bars(comparison, guidance, t):
    cut = guidance.between(None, TEST.index[t])
    again = compare(TRAIN, changed_after(TEST, t), cut, **MIXTURE, arms=("mixture",))
    for seed in (0, 1):
        one, other = comparison.mixed[seed], again.mixed[seed]
        for name in ("sides", "records", "weights", "positions"):
            known = CUT + t + (2 if name == "records" else 1)  # those of t + 1 are known at the close of t
            a, b = (getattr(mixed, name).iloc[:known] for mixed in (one, other))
            assert a.equals(b), name
        assert one.results.iloc[: CUT + t + 1].equals(other.results.iloc[: CUT + t + 1])
        assert same_weights(comparison.agents["mixture"][seed], again.agents["mixture"][seed])
    for frame in ("values", "sides"):
        a, b = (getattr(found, frame)("mixture").iloc[: t + 1] for found in (comparison, again))
        pd.testing.assert_frame_equal(a, b)


def test_the_bars_held_out_teach_its_agents_nothing_and_move_its_weights(comparison):
    train = changed_after(TRAIN, CUT - HOLDOUT - 1)
    table = guide(pd.concat([train, TEST]), "rules")
    again = compare(train, TEST, table, **MIXTURE, arms=("mixture",))
    for seed in (0, 1):
        assert same_weights(comparison.agents["mixture"][seed], again.agents["mixture"][seed])
        assert not again.mixed[seed].weights.iloc[CUT:].equals(comparison.mixed[seed].weights.iloc[CUT:])


def test_a_year_of_bars_is_held_out_where_nothing_is_said():
    def kept(bars, **options):
        return Plan(bars.iloc[:-40], bars.iloc[-40:], None, (0,), 1, CONFIG, **options).kept

    assert kept(BARS) == 252
    assert kept(BARS.resample("W").last()) == 52
    assert kept(BARS, periods=100) == 100
    assert kept(BARS, holdout=7) == 7


def test_it_can_do_without_a_record_but_not_without_guidance_or_bars_to_learn_from(guidance):
    late = compare(TRAIN, TEST, guidance, **MIXTURE | {"seeds": 1, "holdout": 0}, arms=("mixture",))
    assert late.mixed[0].sides["agent"].first_valid_index() == TEST.index[0]
    with pytest.raises(GuidanceError, match=r"arms \['mixture'\] need guidance"):
        compare(TRAIN, TEST, None, **MIXTURE, arms=("mixture",))
    with pytest.raises(
        DataError, match=r"expected holdout, .* from 0 to 299 of these 300 bars, got 300; hold out fewer"
    ):
        compare(TRAIN, TEST, guidance, **MIXTURE | {"holdout": 300}, arms=("mixture",))


def test_it_stands_in_the_tables_and_how_it_used_the_guidance_is_told_as_far_as_that_is_defined(comparison, guidance):
    assert comparison.table.loc["mixture", "seeds"] == 2
    assert comparison.tests["arm_b"].tolist() == ["mixture", "hold"] * 2
    direction = guidance.align(TEST.index)["direction"].iloc[START:]
    shares = []
    for seed in (0, 1):
        position = comparison.mixed[seed].positions.iloc[CUT + START :]
        agrees = [(x > 0) if said == 1 else (x < 0) for x, said in zip(position, direction, strict=True) if said >= 0]
        shares.append(np.mean(agrees))
    usage = comparison.usage.loc["mixture"]
    assert usage["agreement_test"] == pytest.approx(np.mean(shares))
    assert usage.drop("agreement_test").isna().all()


def test_its_weights_are_those_of_every_seed_on_the_test_bars(comparison):
    weights = comparison.weights
    assert list(weights) == ["agent", "guidance", "hold"]
    assert all(frame.index.equals(TEST.index) and list(frame) == [0, 1] for frame in weights.values())
    np.testing.assert_allclose(sum(weights.values()), 1.0)
    with pytest.raises(LlmguideError, match="does not trade by its agent's Q-values alone"):
        comparison.q_values("mixture")


def test_under_other_costs_it_keeps_its_positions(comparison):
    found = sensitivity(comparison, costs=(0.01,), slippages=(), seeds=1)
    row = found.query("what == 'cost' and level == 0.01 and arm == 'mixture'").iloc[0]
    weights = comparison.mixed[0].positions.iloc[CUT + START :]
    account = simulate(TEST, weights=weights, cash=CONFIG.cash, cost=0.01)
    assert row["mdd"] == pytest.approx(1.0 - (account["value"] / account["value"].cummax()).min(), rel=1e-9)


def test_the_page_shows_whom_it_trusted(comparison):
    data = report_data(comparison)
    assert set(data.q_values) == {"rl"}
    assert set(data.weights) == {"agent", "guidance", "hold"}
    page = render_report(data)
    assert "Expert weights of the mixture" in page
    assert 'data-plot="weights"' in page
    assert 'id="plot-weights"' in page
    assert f"did not learn from the last {HOLDOUT} training bars" in page
    plain = render_report(dataclasses.replace(data, weights={}))
    assert "Expert weights of the mixture" not in plain


@pytest.mark.slow
def test_it_joins_a_folder_is_resumed_from_it_and_another_holdout_is_refused(guidance, tmp_path):
    said = []

    def run(*arms, seeds=1, **options):
        said.clear()
        settings = MIXTURE | {"seeds": seeds} | options
        return compare(TRAIN, TEST, guidance, **settings, arms=arms, out=tmp_path / "run", announce=said.append)

    run("rl", holdout=None)
    first = run("rl", "mixture")
    assert said[0] == "1 of 2 agents are already trained"
    write_comparison(first, tmp_path / "run", seeds=0)
    again = run("rl", "mixture")
    assert not any("training" in line for line in said)
    pd.testing.assert_frame_equal(again.runs, first.runs)
    stored = load_agent(tmp_path / "run" / "mixture-0.safetensors")
    assert stored.notes["trained_on"]["last"] == str(TRAIN.index[-HOLDOUT - 1])
    table = pd.read_parquet(tmp_path / "run" / "mixture.parquet")
    assert set(table["expert"]) == {"agent", "guidance", "hold"}
    assert len(table) == 3 * len(BARS)
    shown = table[table["expert"] == "agent"].set_index("date")["weight"]
    np.testing.assert_array_equal(shown.loc[TEST.index], first.weights["agent"][0])
    assert "    holdout=120," in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(LlmguideError, match="other settings: holdout is 120 there and 90 here"):
        run("rl", "mixture", holdout=90)
