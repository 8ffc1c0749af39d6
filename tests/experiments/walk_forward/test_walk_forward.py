"""The walk end to end on small agents: what is trained on, tables and files, resuming, and no look-ahead."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
from showing import shows_what_its_page_says

from llmguide import (
    Guidance,
    guide,
    load_agent,
    max_drawdown,
    sample_bars,
    sharpe_ratio,
    simulate,
    train_dqn,
    walk_forward,
)
from llmguide.errors import DataError, DataWarning, GuidanceError, LlmguideError
from llmguide.experiments.learners import dqn
from llmguide.mixture import mix
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.flag.tiny import tiny_base
from llmguide.stats import deflated_sharpe, paired_tests, pbo
from llmguide.trading.flag_rules import FlagRules
from llmguide.trading.moving_averages import choose_windows

BARS = {"KO": sample_bars(years=2, seed=0), "AAPL": sample_bars(years=2, seed=1)}
KO = BARS["KO"]
START = f"{KO.index[380]:%Y-%m-%d}"
CONFIG = DQNConfig(hidden=16, batch=8, cash=50_000.0, cost=0.002)
RULES = partial(guide, provider="rules")
SETTINGS = {
    "start": START,
    "window": "45b",
    "seeds": 2,
    "episodes": 1,
    "config": CONFIG,
    "device": "cpu",
    "progress": False,
}
ARMS = ("hybrid", "rl", "llm", "hold", "trend", "mixture")


@pytest.fixture(scope="module")
def walk():
    return walk_forward(BARS, RULES, arms=ARMS, holdout=60, **SETTINGS)


@pytest.fixture
def trained(monkeypatch):
    """Names of the jobs that are trained since the beginning of the test."""
    names: list[str] = []
    train = dqn.train_agents

    def watch(jobs, **options):
        names.extend(job.name for job in jobs)
        return train(jobs, **options)

    monkeypatch.setattr(dqn, "train_agents", watch)
    return names


def bits(walk, symbol="KO", arms=None, until=None):
    """Everything that the accounts of a walk hold, up to a date."""
    return {
        (arm, seed): (run.account.loc[:until], run.decisions.loc[:until])
        for (name, arm, seed), run in walk.runs.items()
        if name == symbol and (arms is None or arm in arms)
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        for ours, theirs in zip(one[key], other[key], strict=True):
            assert ours.equals(theirs), key


def test_every_cell_is_there_in_the_order_asked_for(walk):
    runs = [("hybrid", 0), ("hybrid", 1), ("rl", 0), ("rl", 1), ("llm", -1), ("hold", -1), ("trend", -1)]
    runs += [("mixture", 0), ("mixture", 1)]
    assert list(walk.runs) == [(symbol, *run) for symbol in BARS for run in runs]
    assert len(walk.windows) == 2 * len(runs) * 3
    assert (walk.symbols, walk.arms) == (("KO", "AAPL"), ARMS)
    windows = walk.laid["KO"].windows
    assert [window.trades for window in windows] == [(380, 425), (425, 470), (470, len(KO))]


def test_agents_are_those_of_the_bars_before_their_window(tmp_path):
    walk_forward({"KO": KO}, arms=["rl"], train="200b", out=tmp_path, **SETTINGS)
    for at in (380, 425, 470):
        folder = tmp_path / "KO" / f"{KO.index[at]:%Y-%m-%d}"
        for agent in train_dqn(
            KO.iloc[at - 200 : at], episodes=1, seeds=2, config=CONFIG, device="cpu", progress=False
        ):
            stored = load_agent(folder / f"rl-{agent.seed}.safetensors")
            assert all(np.array_equal(stored.weights[name], agent.weights[name]) for name in agent.weights)


def test_moving_averages_are_chosen_on_the_bars_before_their_window(walk):
    decisions = walk.runs["KO", "trend", -1].decisions
    close = KO["close"].to_numpy()
    for window in walk.laid["KO"].windows:
        chosen = choose_windows(KO.iloc[: window.trades[0]], "trend", cash=50_000.0, cost=0.002, start=30, longest=30)
        for t in range(*window.trades):
            means = [close[t - length : t].mean() for length in (chosen.short, chosen.long)]
            if not math.isclose(*means, rel_tol=1e-12):
                assert decisions[KO.index[t]] == (means[0] >= means[1])


def test_the_mixture_takes_the_positions_of_each_windows_mix(tmp_path):
    found = walk_forward({"KO": KO}, RULES, arms=["mixture"], holdout=60, out=tmp_path, **SETTINGS)
    for window in found.laid["KO"].windows:
        agent = load_agent(tmp_path / "KO" / window.name / "mixture-1.safetensors")
        known = KO.iloc[: window.trades[1]]
        experts = {"agent": agent, "guidance": guide(known, "rules"), "hold": "hold"}
        positions = mix(known, experts, cost=0.002, start=window.trades[0]).positions.iloc[window.trades[0] :]
        taken = found.runs["KO", "mixture", 1].decisions.loc[positions.index]
        np.testing.assert_array_equal(taken, positions)


def test_the_account_of_every_arm_is_that_of_its_decisions(walk):
    for (symbol, arm, seed), run in walk.runs.items():
        bars = BARS[symbol]
        given = {"weights" if arm == "mixture" else "decisions": run.decisions}
        account = simulate(bars, start=len(bars) - len(run.decisions), cash=50_000.0, cost=0.002, **given).iloc[380:]
        np.testing.assert_allclose(run.account["value"], account["value"], rtol=1e-9, err_msg=f"{arm} {seed}")
        np.testing.assert_array_equal(run.account["side"], account["side"])


def test_there_are_no_idle_bars(walk):
    for run in walk.runs.values():
        assert len(run.decisions) == len(run.account) == len(KO) - 380


@pytest.mark.parametrize("train", ["anchored", "200b"])
def test_windows_know_nothing_of_the_bars_after_them(train):
    options = SETTINGS | {"train": train, "seeds": [3], "arms": ["hybrid", "rl", "llm", "trend"]}
    changed = KO.copy()
    changed.iloc[425:] *= np.random.default_rng(1).uniform(0.5, 2.0, (len(KO) - 425, 1))
    one, other = (walk_forward({"KO": bars}, RULES, **options) for bars in (KO, changed))
    last = KO.index[424]
    assert_same(bits(one, until=last), bits(other, until=last))
    first = one.windows["window"] == one.windows["window"].iloc[0]
    pd.testing.assert_frame_equal(one.windows[first], other.windows[first])
    assert not one.windows[~first].equals(other.windows[~first])


def test_guidance_of_a_function_is_asked_anew_for_each_window_and_sees_no_later_bar():
    shown = []

    def ask(bars):
        shown.append(len(bars))
        return guide(bars, "rules")

    walk_forward({"KO": KO}, ask, arms=["llm"], **SETTINGS)
    assert shown == [425, 470, len(KO)]


def test_a_table_is_the_guidance_of_all_windows(walk):
    found = walk_forward({"KO": KO}, {"KO": guide(KO, "rules")}, arms=["llm"], **SETTINGS)
    assert_same(bits(found), bits(walk, arms=["llm"]))


def test_measures_of_a_window_are_those_of_its_part_of_the_account(walk):
    run = walk.runs["AAPL", "rl", 1]
    rows = walk.windows.query("symbol == 'AAPL' and arm == 'rl' and seed == 1").reset_index()
    value = np.append(50_000.0, run.account["value"])
    for number, (begin, end) in enumerate([(0, 45), (45, 90), (90, len(value) - 1)]):
        part = value[begin : end + 1]
        row = rows.loc[number]
        assert row["sr"] == pytest.approx(sharpe_ratio(np.diff(part) / part[:-1], periods=252))
        assert row["mdd"] == pytest.approx(max_drawdown(part))
        assert row["total_return"] == pytest.approx(part[-1] / part[0] - 1.0)
        assert row["bars"] == end - begin
    assert math.prod(1.0 + rows["total_return"]) == pytest.approx(value[-1] / 50_000.0)
    whole = walk.stitched.query("symbol == 'AAPL' and arm == 'rl' and seed == 1").iloc[0]
    assert whole["sr"] == pytest.approx(sharpe_ratio(np.diff(value) / value[:-1], periods=252))
    assert whole["trades"] == rows["trades"].sum() == 1 + (np.diff(run.account["side"]) != 0).sum()


def test_holding_opens_one_position_in_all(walk):
    trades = walk.windows.query("symbol == 'KO' and arm == 'hold'")["trades"]
    assert list(trades) == [1, 0, 0]


def test_spread_is_over_windows_of_means_over_seeds(walk):
    row = walk.spread.set_index(["symbol", "arm"]).loc[("KO", "rl")]
    own = walk.windows.query("symbol == 'KO' and arm == 'rl'")
    means = [own[own["window"] == name]["sr"].mean() for name in own["window"].unique()]
    assert (row["windows"], row["sr_mean"], row["sr_std"]) == (3, np.mean(means), pytest.approx(np.std(means, ddof=1)))
    assert (row["sr_low"], row["sr_high"]) == (min(means), max(means))
    assert row["positive"] == np.mean([mean > 0 for mean in means])


def test_luck_counts_every_arm_and_seed(walk):
    row = walk.luck.set_index("symbol").loc["KO"]
    own = walk.stitched[walk.stitched["symbol"] == "KO"]
    returns = {(arm, seed): run.account["returns"] for (name, arm, seed), run in walk.runs.items() if name == "KO"}
    best = own.loc[own["sr"].idxmax()]
    assert (row["arm"], row["seed"], row["trials"]) == (best["arm"], best["seed"], 9)
    found = deflated_sharpe(returns[best["arm"], best["seed"]], own["sr"], periods=252)
    assert (row["deflated"], row["hurdle"]) == (pytest.approx(found.probability), pytest.approx(found.hurdle))
    assert row["pbo"] == pbo(np.column_stack(list(returns.values())), blocks=16).probability


def test_tests_pair_seeds_and_windows(walk):
    tests = walk.tests.set_index(["symbol", "over", "measure", "arm_b"])
    assert set(tests["arm_a"]) == {"hybrid"}
    ours, theirs = (
        walk.windows.query(f"symbol == 'KO' and arm == '{arm}'").groupby("window")["mdd"].mean()
        for arm in ("hybrid", "llm")
    )
    expected = paired_tests(ours, theirs)
    assert tests.loc[("KO", "windows", "mdd", "llm"), "p"] == pytest.approx(expected.p)
    assert tests.loc[("KO", "seeds", "sr", "rl"), "n"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4])
def test_a_walk_that_was_killed_goes_on_to_the_same_bits(walk, after, tmp_path, monkeypatch, trained):
    options = SETTINGS | {"arms": ["hybrid", "rl", "hold"], "out": tmp_path}
    train = dqn.train_agents

    def killed(jobs, **settings):
        for done, pair in enumerate(train(jobs, **settings)):
            if done == after:
                raise KeyboardInterrupt
            yield pair

    with monkeypatch.context() as patch:
        patch.setattr(dqn, "train_agents", killed)
        with pytest.raises(KeyboardInterrupt):
            walk_forward({"KO": KO}, RULES, **options)
    assert len(list(tmp_path.rglob("*.safetensors"))) == after
    trained.clear()
    found = walk_forward({"KO": KO}, RULES, **options)
    assert len(trained) == 12 - after
    assert_same(bits(found), bits(walk, arms=["hybrid", "rl", "hold"]))
    trained.clear()
    assert_same(bits(walk_forward({"KO": KO}, RULES, **options)), bits(found))
    assert trained == []


def test_a_folder_of_other_windows_is_refused_where_they_have_the_same_name(tmp_path):
    walk_forward({"KO": KO}, arms=["rl"], out=tmp_path, **SETTINGS)
    with pytest.raises(LlmguideError, match=r"train[.]bars is 380 there and 200 here"):
        walk_forward({"KO": KO}, arms=["rl"], out=tmp_path, train="200b", **SETTINGS)
    walk_forward({"KO": KO}, arms=["rl"], out=tmp_path, train="200b", resume=False, **SETTINGS)


def test_the_arm_flag_takes_over_what_its_predecessor_held(tmp_path):
    base = tiny_base(0, layers=2, width=32)
    rules = FlagRules(episode=20)
    config = FlagConfig(steps=20, rollout=20, accumulation=1, minibatch=20, learning_rate=3e-3, shown=10, rules=rules)
    plan = FlagPlan(base, config=config, template="brief")
    bars = KO.iloc[:200]
    options = SETTINGS | {"start": f"{bars.index[160]:%Y-%m-%d}", "window": "20b", "seeds": 1}
    found = walk_forward({"KO": bars}, arms=["flag", "hold"], flag=plan, out=tmp_path, **options)
    run = found.runs["KO", "flag", 0]
    assert len(run.account) == 40
    assert set(run.decisions) <= {1, -1}  # long, or nothing
    start = 200 - len(run.decisions)
    account = simulate(bars, run.decisions, start=start, flat=True, cash=50_000.0, cost=0.002).iloc[160:]
    np.testing.assert_allclose(run.account["value"], account["value"], rtol=1e-9)
    for window in found.laid["KO"].windows:
        assert (tmp_path / "KO" / window.name / "flag-0.safetensors").exists()


@pytest.mark.parametrize(
    ("bars", "options", "error", "said"),
    [
        ({"KO": KO}, {"window": "3y"}, DataError, "KO: a window of 3 years is longer than the bars"),
        ({"KO": KO}, {"start": f"{KO.index[20]:%Y-%m-%d}"}, DataError, "would train on 20 bars, and at least 32"),
        ({"KO": KO}, {"window": "soon"}, LlmguideError, "window is a number of years"),
        ({"KO": KO}, {"arms": ["hybrid"]}, GuidanceError, "need guidance"),
        ({"KO": KO}, {"arms": ["rll"]}, LlmguideError, "did you mean 'rl'"),
        ({"KO": KO}, {"arms": ["flag"]}, LlmguideError, "needs a language model"),
        ({"KO": KO}, {"holdout": 5}, LlmguideError, "the arm mixture"),
        (KO, {}, DataError, "expected bars by symbol"),
        ({}, {}, DataError, "expected bars by symbol"),
    ],
)
def test_what_cannot_be_walked_is_refused_before_anything_is_written(bars, options, error, said, tmp_path):
    with pytest.raises(error) as caught:
        walk_forward(bars, out=tmp_path / "out", **SETTINGS | options)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_page_of_a_single_run_judges_no_search(tmp_path):
    found = walk_forward({"KO": KO}, arms=["hold"], **SETTINGS)
    assert math.isnan(found.luck["pbo"].iloc[0])
    assert len(found.tests) == 0
    page = found.write(tmp_path, command="llmguide walk-forward <bars>").read_text(encoding="utf-8")
    assert "KO: a single run, hold, with a Sharpe ratio of " in page
    assert "<pre>llmguide walk-forward &lt;bars&gt;</pre>" in page
    assert "knowledge of later bars" not in page


def test_a_page_says_that_guidance_knew_later_bars(tmp_path):
    found = walk_forward({"KO": KO}, partial(guide, provider="oracle"), arms=["llm", "hold"], **SETTINGS)
    assert found.uses_future
    page = found.write(tmp_path).read_text(encoding="utf-8")
    assert "This guidance was made with knowledge of later bars: a control, not a result." in page
    assert not walk_forward({"KO": KO}, partial(guide, provider="oracle"), arms=["hold"], **SETTINGS).uses_future


def test_a_window_without_a_trade_has_no_sharpe_ratio_and_the_page_shows_the_others(tmp_path):
    said = Guidance(guide(KO, "rules").rows[-3:])
    found = walk_forward({"KO": KO}, {"KO": said}, arms=["llm"], **SETTINGS)
    first = found.windows.iloc[0]
    assert math.isnan(first["sr"])
    assert (first["mdd"], first["total_return"], first["trades"], first["exposure"]) == (0.0, 0.0, 0, 0.0)
    assert len(found.runs["KO", "llm", -1].decisions) < len(KO) - 380
    assert found.write(tmp_path).exists()


def test_windows_shorter_than_the_guidance_holds_are_nothing_to_warn_of():
    found = walk_forward({"KO": KO}, RULES, arms=["llm"], **SETTINGS | {"window": "7b"})  # warnings are errors
    assert len(found.laid["KO"].windows) == 18


def test_a_table_that_ends_before_the_walk_is_warned_of_once():
    old = Guidance(guide(KO, "rules").rows[:6])
    with pytest.warns(DataWarning, match="all bars saw the same guidance") as warned:
        walk_forward({"KO": KO}, {"KO": old}, arms=["llm"], **SETTINGS)
    assert len(warned) == 1


def test_a_walk_shows_itself_as_its_page_begins(walk, tmp_path):
    shows_what_its_page_says(walk, walk.write(tmp_path / "shown"))
