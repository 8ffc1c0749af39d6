"""The comparison end to end on a small agent: arms, tests, run folder, resuming, and no look ahead."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from llmguide import Guidance, compare, guide, load_agent, sample_bars, sharpe_ratio
from llmguide.errors import DataError, GuidanceError, LlmguideError, ModelError
from llmguide.experiments.compare.write import report_data
from llmguide.rl.config import DQNConfig
from llmguide.stats import bootstrap_difference, holm
from llmguide.trading.simulate import simulate

BARS = sample_bars(years=3, seed=6)
TRAIN, TEST = BARS.iloc[:504], BARS.iloc[504:]
CONFIG = DQNConfig(hidden=16, batch=8, cash=50_000.0, cost=0.002)
SETTINGS = {"seeds": 3, "episodes": 1, "config": CONFIG, "progress": False}


@pytest.fixture(scope="module")
def guidance():
    return guide(BARS, "rules")


@pytest.fixture(scope="module")
def comparison(guidance):
    return compare(TRAIN, TEST, guidance, **SETTINGS)


@pytest.fixture(scope="module")
def folder(comparison, undrawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "new"
    with undrawn():
        comparison.write(path)
    return path


def test_every_arm_and_seed_is_there(comparison):
    assert comparison.arms == ("hybrid", "rl", "llm", "hold", "sell")
    assert comparison.runs.groupby("arm", sort=False).size().tolist() == [3, 3, 1, 1, 1]
    assert comparison.table["seeds"].tolist() == [3, 3, 0, 0, 0]


def test_the_table_is_made_of_the_runs(comparison):
    for arm in ("hybrid", "rl"):
        values = [sharpe_ratio(comparison.results[arm, seed].returns) for seed in range(3)]
        assert comparison.table.loc[arm, "sr_mean"] == pytest.approx(np.mean(values))
        assert comparison.table.loc[arm, "sr_std"] == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(comparison.table.loc["hold", "sr_std"])


def test_hold_and_sell_are_the_simulated_ones_with_the_given_capital_and_cost(comparison):
    for arm, decision in (("hold", 1), ("sell", 0)):
        expected = simulate(TEST, np.full(len(TEST) - 30, decision), cash=50_000.0, cost=0.002)
        np.testing.assert_allclose(comparison.values(arm).iloc[:, 0], expected["value"], rtol=1e-9)


def test_the_agents_in_backtrader_do_what_they_do_on_the_account(comparison, guidance):
    for arm, tau in (("hybrid", guidance.tau(TEST.index)), ("rl", None)):
        for agent in comparison.agents[arm]:
            expected = simulate(TEST, agent.decide(TEST, tau), cash=50_000.0, cost=0.002)
            np.testing.assert_allclose(comparison.values(arm)[agent.seed], expected["value"], rtol=1e-9)


def test_the_last_point_of_a_curve_is_the_sharpe_ratio_of_the_table(comparison):
    curves = comparison.curves.set_index(["arm", "seed"])
    for row in comparison.runs[comparison.runs["arm"].isin(["hybrid", "rl"])].itertuples():
        assert curves.loc[(row.arm, row.seed), "test_sr"] == pytest.approx(row.sr, rel=1e-9)


def test_the_tests_are_scipys_on_the_paired_seeds(comparison):
    runs = comparison.runs.set_index("arm")
    for measure in ("sr", "mdd"):
        row = comparison.tests.query("measure == @measure and arm_b == 'rl'").iloc[0]
        expected = stats.ttest_rel(runs.loc["hybrid", measure], runs.loc["rl", measure])
        assert (row.t, row.p, row.n) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue), 3)
        single = comparison.tests.query("measure == @measure and arm_b == 'hold'").iloc[0]
        alone = stats.ttest_1samp(runs.loc["hybrid", measure], runs.loc["hold", measure])
        assert single.p == pytest.approx(alone.pvalue)
        of_measure = comparison.tests.query("measure == @measure")
        assert row.p_wilcoxon == pytest.approx(
            stats.wilcoxon(runs.loc["hybrid", measure], runs.loc["rl", measure], method="exact").pvalue
        )
        np.testing.assert_array_equal(of_measure["p_holm"], holm(of_measure["p"]))


def test_intervals_are_of_the_means_over_seeds_in_the_table_and_of_their_differences(comparison):
    intervals = comparison.intervals
    own = intervals[intervals["minus"].isna()].set_index("arm")
    assert tuple(own.index) == comparison.arms
    for measure in ("sr", "mdd"):
        table = comparison.table[f"{measure}_mean"]
        np.testing.assert_allclose(own[measure], table)
        pairs = intervals[intervals["minus"].notna()]
        of_first = pairs[pairs["arm"] == "hybrid"].set_index("minus")
        assert tuple(of_first.index) == comparison.arms[1:]
        np.testing.assert_allclose(of_first[measure], table["hybrid"] - table[1:])
        from_holding = pairs[pairs["minus"] == "hold"].set_index("arm")
        assert set(from_holding.index) == set(comparison.arms) - {"hold"}
        np.testing.assert_allclose(from_holding[measure], table[from_holding.index] - table["hold"])
        assert (intervals[f"{measure}_low"] < intervals[f"{measure}_high"]).all()
    assert (own["mdd_low"] >= 0).all()
    assert intervals["block"].nunique() == 1


def test_intervals_are_those_of_the_bootstrap_on_the_same_bars_for_all_seeds(comparison):
    row = comparison.intervals.set_index(["arm", "minus"]).loc[("hybrid", "rl")]
    ours, theirs = (
        np.column_stack([comparison.results[arm, seed].returns for seed in range(3)]) for arm in ("hybrid", "rl")
    )
    found = bootstrap_difference(ours, theirs, resamples=2000, block=row["block"])
    assert (row["sr_low"], row["sr_high"]) == (found.sharpe.low, found.sharpe.high)
    assert (row["mdd_low"], row["mdd_high"]) == (found.drawdown.low, found.drawdown.high)


def test_q_values_are_those_behind_the_decisions(comparison):
    for arm in ("hybrid", "rl"):
        q = comparison.q_values(arm)
        side = comparison.sides(arm).iloc[30:, 0]
        np.testing.assert_array_equal(np.where(q["q_long"] > q["q_short"], 1, -1), side)


def test_nothing_up_to_a_bar_depends_on_later_test_bars(comparison, guidance):
    t = 120
    changed = TEST.copy()
    changed.iloc[t + 1 :] *= np.linspace(2, 0.4, len(TEST) - t - 1)[:, None]
    cut = guidance.between(None, TEST.index[t])
    again = compare(TRAIN, changed, cut, **SETTINGS)
    for arm in comparison.arms:
        for frame in ("values", "sides"):
            a, b = (getattr(x, frame)(arm).iloc[: t + 1] for x in (comparison, again))
            pd.testing.assert_frame_equal(a, b)


def test_the_run_folder_describes_itself(folder, comparison, guidance):
    config = json.loads((folder / "config.json").read_text())
    assert config["seeds"] == [0, 1, 2]
    assert config["agent"]["cost"] == 0.002
    assert config["guidance"]["sha256"] == guidance.hash
    assert config["data"]["test"]["bars"] == len(TEST)
    assert Guidance.read(folder / "guidance.parquet") == guidance
    table = pd.read_csv(folder / "table.csv", index_col="arm")
    np.testing.assert_allclose(table["sr_mean"], comparison.table["sr_mean"])
    values = pd.read_parquet(folder / "values.parquet")
    assert len(values) == 9 * len(TEST)
    assert len(pd.read_parquet(folder / "curves.parquet")) == 6
    orders = pd.read_csv(folder / "orders.csv")
    assert set(orders["arm"]) == set(comparison.arms)
    assert len(pd.read_csv(folder / "runs.csv")) == 9
    assert {path.stem for path in (folder / "tearsheets").iterdir()} == set(comparison.arms)
    report = (folder / "report.html").read_text()
    assert "hybrid" in report
    assert 'src="http' not in report
    agent = load_agent(folder / "hybrid-2.safetensors", guided=True)
    np.testing.assert_array_equal(agent.q_table(TEST, guidance.tau(TEST.index)),
                                  comparison.agents["hybrid"][2].q_table(TEST, guidance.tau(TEST.index)))  # fmt: skip


def test_a_finished_run_is_not_trained_again_and_more_seeds_join_it(folder, comparison, guidance):
    said = []
    again = compare(TRAIN, TEST, guidance, **SETTINGS | {"seeds": 4, "out": folder, "announce": said.append})
    assert said[0] == "6 of 8 agents are already trained"
    merged = again.runs[again.runs["seed"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(merged, comparison.runs)


@pytest.mark.slow
def test_an_interrupted_run_keeps_the_agents_that_were_finished(guidance, tmp_path, monkeypatch):
    from llmguide.experiments.run_folder import RunFolder

    stored = []
    original = RunFolder.save_agent

    def interrupt(self, arm, agent):
        original(self, arm, agent)
        stored.append(agent.seed)
        if len(stored) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save_agent", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compare(TRAIN, TEST, guidance, **SETTINGS, out=tmp_path / "run")
    monkeypatch.undo()
    assert len(list((tmp_path / "run").glob("*.safetensors"))) == 2
    resumed = compare(TRAIN, TEST, guidance, **SETTINGS, out=tmp_path / "run")
    straight = compare(TRAIN, TEST, guidance, **SETTINGS)
    pd.testing.assert_frame_equal(resumed.runs, straight.runs)


@pytest.mark.slow
def test_a_run_that_is_not_to_be_resumed_begins_anew_whatever_the_folder_holds(guidance, tmp_path):
    arms = {"arms": ("rl", "hold"), "out": tmp_path / "run"}
    first = compare(TRAIN, TEST, guidance, **SETTINGS | arms)
    said = []
    again = compare(TRAIN, TEST, guidance, **SETTINGS | arms, resume=False, announce=said.append)
    assert not any("already trained" in line for line in said)
    pd.testing.assert_frame_equal(again.runs, first.runs)
    other = compare(TRAIN, TEST, guidance, **SETTINGS | arms | {"episodes": 2, "seeds": 1}, resume=False)
    assert len(other.runs) == 2
    assert [path.name for path in (tmp_path / "run").glob("*.safetensors")] == ["rl-0.safetensors"]


def test_a_folder_of_another_run_is_refused(folder, guidance):
    with pytest.raises(LlmguideError, match=r"other settings: episodes is \d+ there and \d+ here"):
        compare(TRAIN, TEST, guidance, **SETTINGS | {"episodes": 2}, out=folder)
    with pytest.raises(LlmguideError, match=r"other settings: data\.\w+\.\w+ is .* there and .* here"):
        compare(TRAIN.iloc[1:], TEST, guidance, **SETTINGS, out=folder)


def test_an_agent_from_elsewhere_in_the_folder_is_refused(folder, guidance, tmp_path):
    other = compare(TRAIN.iloc[5:], TEST, guidance, **SETTINGS | {"arms": ("rl",)}, out=tmp_path / "other")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "rl-0.safetensors").write_bytes((tmp_path / "other" / "rl-0.safetensors").read_bytes())
    assert other.arms == ("rl",)
    with pytest.raises(ModelError, match="rl-0 in this folder was trained on other bars"):
        compare(TRAIN, TEST, guidance, **SETTINGS | {"arms": ("rl",)}, out=tmp_path / "mixed")


def test_wrong_input_is_refused(guidance):
    with pytest.raises(DataError, match="must come after the training bars"):
        compare(TEST, TRAIN, guidance, **SETTINGS)
    with pytest.raises(GuidanceError, match=r"arms \['hybrid', 'llm'\] need guidance"):
        compare(TRAIN, TEST, None, **SETTINGS)
    with pytest.raises(LlmguideError, match=r"unknown arm 'hybird'.*did you mean 'hybrid'"):
        compare(TRAIN, TEST, guidance, **SETTINGS | {"arms": ("hybird",)})


def test_without_guidance_the_other_arms_run():
    result = compare(TRAIN, TEST, None, **SETTINGS | {"arms": ("rl", "hold"), "seeds": 2})
    assert result.usage.empty
    assert result.tests["arm_a"].unique().tolist() == ["rl"]
    assert result.intervals["minus"].tolist() == [None, None, "hold"]


def test_a_comparison_without_seeds_has_no_tests_but_intervals():
    result = compare(TRAIN, TEST, None, **SETTINGS | {"arms": ("hold", "sell")})
    assert result.tests.empty
    assert list(result.tests.columns)[-2:] == ["p_wilcoxon", "p_holm"]
    assert result.intervals["arm"].tolist() == ["hold", "sell", "sell"]
    assert result.intervals["minus"].tolist() == [None, None, "hold"]


def test_the_report_is_named_after_the_instrument_and_the_dates_of_the_test(tmp_path):
    settings = SETTINGS | {"arms": ("hold", "sell"), "out": tmp_path}
    named = compare(TRAIN, TEST, None, **settings, name="KO")
    dates = f"{TEST.index[0]:%Y-%m-%d} to {TEST.index[-1]:%Y-%m-%d}"
    assert report_data(named).title == f"KO, {dates}"
    assert report_data(compare(TRAIN, TEST, None, **settings)).title == f"Comparison, {dates}"  # resumed under no name


@pytest.mark.slow
@pytest.mark.real_bars
def test_the_guidance_alone_earns_what_it_knows(real_bars):
    """Perfect foresight earns a Sharpe ratio near 3 on AAPL, inverted it loses, shuffled it does neither."""
    train, test = real_bars("AAPL", "train"), real_bars("AAPL", "test")
    whole = pd.concat([train, test])
    oracle = guide(whole, "oracle")

    def alone(table):
        return compare(train, test, table, arms=("llm",), seeds=1, episodes=1).table.loc["llm", "sr_mean"]

    assert 2.3 < alone(oracle) < 3.5
    assert alone(guide(whole, "inverted", source=oracle)) < -2
    shuffled = [alone(guide(whole, "shuffled", source=oracle, seed=seed)) for seed in range(8)]
    assert abs(np.mean(shuffled)) < 1.2
