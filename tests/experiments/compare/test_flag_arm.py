"""The arm `flag`, a language model as the policy, beside the others: same account, seeds, bars, files and pages."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide import compare, guide, sample_bars
from llmguide.errors import DataError, LlmguideError, MissingExtra, ModelError
from llmguide.experiments.arms import FLAG
from llmguide.experiments.compare.sensitivity import sensitivity
from llmguide.experiments.compare.write import report_data, write_comparison
from llmguide.guidance import Guidance
from llmguide.report.accounts import run_returns
from llmguide.report.page import render_report
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag import run as flag_run
from llmguide.rl.flag.bases import policy_factory
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.evaluation import walk_flag
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.flag.policy import PolicyConfig
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.training import train_flag
from llmguide.trading.flag_rules import FlagRules

BARS = sample_bars(years=1, seed=4)
CUT, START = 150, 30
TRAIN, TEST = BARS.iloc[:CUT], BARS.iloc[CUT : CUT + 60]
CONFIG = DQNConfig(hidden=16, batch=8, cash=50_000.0, cost=0.002)
BASE = tiny_base(0, layers=2, width=32)
RULES = FlagRules(episode=20)
TRAINING = FlagConfig(
    steps=60, rollout=20, accumulation=1, minibatch=20, learning_rate=3e-3, entropy=0.5, shown=10, rules=RULES
)
SHORT = dataclasses.replace(TRAINING, steps=20)
PLAN = FlagPlan(BASE, config=TRAINING, template="brief")
SETTINGS = {"episodes": 1, "config": CONFIG, "device": "cpu", "progress": False}


def run(*arms, train=TRAIN, test=TEST, guidance=None, seeds=2, flag=PLAN, **options):
    return compare(train, test, guidance, arms=arms or ("flag",), seeds=seeds, flag=flag, **SETTINGS | options)


def weights(policy):
    return {name: tensor.detach().numpy() for name, tensor in policy.policy.trainable().items()}


def same_weights(one, other):
    return all(np.array_equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


@pytest.fixture(scope="module")
def guidance():
    return guide(BARS, "rules")


@pytest.fixture(scope="module")
def comparison(guidance):
    return run("flag", "rl", "hold", guidance=guidance)


@pytest.fixture(scope="module")
def folder(comparison, undrawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    with undrawn():
        write_comparison(comparison, path, seeds=0)
    return path


@pytest.mark.slow
def test_its_policies_are_those_that_the_seeds_give_in_the_account_of_the_comparison(comparison):
    rules = dataclasses.replace(RULES, cash=50_000.0, cost=0.002)
    settings = dataclasses.replace(TRAINING, rules=rules)
    alone = train_flag(TRAIN, policy_factory(BASE), config=settings, seeds=2, template="brief", progress=False)
    for ours, theirs in zip(comparison.agents["flag"], alone, strict=True):
        assert ours.seed == theirs.seed
        assert ours.config.rules == rules
        assert same_weights(ours, theirs)
    pd.testing.assert_frame_equal(comparison.rollouts.drop(columns="arm"), alone.curves)


def test_it_trades_in_backtrader_as_its_policies_walk_the_test_bars_after_as_many_idle_ones_as_every_arm(comparison):
    assert comparison.runs.query("arm == 'flag'")["trades"].sum() > 0
    for policy in comparison.agents["flag"]:
        walk = walk_flag(policy, TEST, start=START)
        result = comparison.results["flag", policy.seed]
        assert (result.values.iloc[:START] == 50_000.0).all()
        np.testing.assert_allclose(result.values.iloc[START:], walk["value"], rtol=1e-9)
        np.testing.assert_array_equal(result.account["shares"].iloc[START:], walk["shares"])
        assert len(result.decisions) == len(comparison.results["rl", 0].decisions) == len(TEST) - START


def test_it_stands_in_the_tables_and_is_paired_with_the_other_trained_arm_by_seed(comparison, guidance):
    assert comparison.table["seeds"].to_dict() == {"flag": 2, "rl": 2, "hold": 0}
    mdd = comparison.tests.query("measure == 'mdd' and arm_b == 'rl'").iloc[0]
    by_seed = comparison.runs.set_index(["arm", "seed"])["mdd"]
    assert mdd["mean_difference"] == pytest.approx((by_seed["flag"] - by_seed["rl"]).mean())
    assert mdd["n"] == 2
    assert comparison.intervals.query("arm == 'flag'")["minus"].tolist() == [None, "rl", "hold"]
    said = guidance.align(TEST.index)["direction"].iloc[START:].map({1: 1, 0: -1}).dropna()
    shares = comparison.sides("flag").loc[said.index].eq(said, axis=0).mean()
    usage = comparison.usage.loc["flag"]
    assert usage["agreement_test"] == pytest.approx(shares.mean())
    assert usage.drop("agreement_test").isna().all()


@pytest.mark.parametrize("template", ["brief", "multimodal"])
def test_nothing_up_to_a_bar_depends_on_later_test_bars_or_guidance(guidance, template):
    t, test = 37, TEST.iloc[:42]
    changed = test.copy()
    changed.iloc[t + 1 :] *= np.linspace(2, 0.4, len(test) - t - 1)[:, None]
    plan = dataclasses.replace(PLAN, template=template, config=SHORT)
    one = run(test=test, guidance=guidance, flag=plan, seeds=1)
    other = run(test=changed, guidance=guidance.between(None, test.index[t]), flag=plan, seeds=1)
    assert one.sides("flag").iloc[START : t + 1].nunique().item() == 2  # it has decided something
    assert same_weights(one.agents["flag"][0], other.agents["flag"][0])
    for frame in ("values", "sides"):
        a, b = (getattr(found, frame)("flag").iloc[: t + 1] for found in (one, other))
        pd.testing.assert_frame_equal(a, b)


@pytest.mark.slow
def test_the_guidance_reaches_it_only_where_its_template_tells_it(guidance):
    inverted = guide(BARS, "inverted", source=guidance)
    for template, reads in (("brief", False), ("multimodal", True)):
        plan = dataclasses.replace(PLAN, template=template, config=SHORT)
        one, other = (run(test=TEST.iloc[:35], guidance=it, flag=plan, seeds=1) for it in (guidance, inverted))
        assert same_weights(one.agents["flag"][0], other.agents["flag"][0]) != reads
        assert one.settings["flag"]["template"]["tells_guidance"] == reads
        told = report_data(one).notes
        assert any(("reads the guidance" if reads else "does not read the guidance") in note for note in told)
        strategy = FLAG.params(one.agents["flag"][0], guidance, TRAIN, CONFIG)
        assert strategy.get("guidance") is (guidance if reads else None)


def test_it_can_do_without_guidance():
    assert run(seeds=1).usage.empty


def interrupt_after(monkeypatch, rollouts):
    """Press Ctrl-C when so many rollouts have been learned from and one more is collected."""
    original, done = flag_run.estimate_advantages, []

    def estimate(*args, **options):
        if len(done) == rollouts:
            raise KeyboardInterrupt
        done.append(1)
        return original(*args, **options)

    monkeypatch.setattr(flag_run, "estimate_advantages", estimate)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_same_bits(comparison, guidance, folder, tmp_path, monkeypatch):
    out = tmp_path / "run"
    arms = ("flag", "rl", "hold")
    interrupt_after(monkeypatch, 4)  # of three of each seed
    with pytest.raises(KeyboardInterrupt):
        run(*arms, guidance=guidance, out=out)
    monkeypatch.undo()
    kept = {path.name for path in out.iterdir() if path.suffix in (".safetensors", ".training")}
    assert kept == {"rl-0.safetensors", "rl-1.safetensors", "flag-0.safetensors", "flag-1.training"}
    said = []
    resumed = run(*arms, guidance=guidance, out=out, announce=said.append)
    assert said[:2] == ["2 of 2 agents are already trained", "1 of 2 policies are already trained"]
    assert not list(out.glob("*.training"))
    pd.testing.assert_frame_equal(resumed.runs, comparison.runs)
    pd.testing.assert_frame_equal(resumed.rollouts, comparison.rollouts)
    for seed in (0, 1):
        name = f"flag-{seed}.safetensors"
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_it_joins_a_folder_is_not_trained_again_and_other_settings_are_refused(tmp_path):
    out = tmp_path / "run"
    compare(TRAIN, TEST, None, arms=("rl",), seeds=1, out=out, **SETTINGS)
    first = run("rl", "flag", seeds=1, out=out)
    stamp = (out / "flag-0.safetensors").stat().st_mtime_ns
    again = run("flag", "rl", "hold", seeds=2, out=out)
    assert (out / "flag-0.safetensors").stat().st_mtime_ns == stamp
    kept = again.runs.query("arm == 'flag' and seed == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, first.runs.query("arm == 'flag'").reset_index(drop=True))
    settings = json.loads((out / "config.json").read_text())
    assert settings["flag"]["base_sha256"] == BASE.digest
    assert settings["flag"]["training"]["rules"]["cash"] == 50_000.0
    assert settings["flag"]["policy"]["frozen"] == 1
    assert "transformers" in settings["versions"]
    slower = dataclasses.replace(PLAN, config=dataclasses.replace(TRAINING, learning_rate=1e-3))
    with pytest.raises(LlmguideError, match=r"flag\.training\.learning_rate is 0\.003 there and 0\.001 here"):
        run(flag=slower, out=out)
    with pytest.raises(LlmguideError, match=r"flag\.base_sha256 is .* there and .* here"):
        run(flag=dataclasses.replace(PLAN, base=tiny_base(1, layers=2, width=32)), out=out)
    with pytest.raises(LlmguideError, match=r"flag\.template\.name is brief there and flag here"):
        run(flag=dataclasses.replace(PLAN, template="flag"), out=out)


def test_a_run_that_is_not_to_be_resumed_trains_it_anew(tmp_path):
    out = tmp_path / "run"
    first = run(seeds=1, out=out)
    stamp = (out / "flag-0.safetensors").stat().st_mtime_ns
    again = run(seeds=1, out=out, resume=False)
    assert (out / "flag-0.safetensors").stat().st_mtime_ns > stamp
    pd.testing.assert_frame_equal(first.runs, again.runs)


def test_the_folder_holds_its_rollouts_and_the_page_its_learning_and_no_q_values(comparison, folder):
    rollouts = pd.read_parquet(folder / "rollouts.parquet")
    assert rollouts.groupby("seed")["steps"].last().to_dict() == {0: 60, 1: 60}
    assert set(pd.read_parquet(folder / "curves.parquet")["arm"]) == {"rl"}
    data = report_data(comparison)
    assert set(data.q_values) == {"rl"}
    page = render_report(data)
    assert "How the arm flag learned" in page
    assert "the last of its 2 layers, trained by PPO for 60 steps a seed" in page
    with pytest.raises(LlmguideError, match="the arm 'flag' has no Q-values"):
        comparison.q_values("flag")
    shown = run_returns(folder, "flag", None).parameters
    assert (shown["Language model"], shown["Steps"]) == (BASE.name, 60)
    assert "Episodes" not in shown
    assert run_returns(folder, "rl", None).parameters["Episodes"] == 1


def test_the_call_on_the_page_makes_the_same_comparison_again(comparison, folder, guidance, monkeypatch, tmp_path):
    page = (folder / "report.html").read_text(encoding="utf-8")
    script = html.unescape(re.search(r"<pre>(import llmguide.*?)</pre>", page, re.DOTALL).group(1))
    assert f"base = ...  # the language model {BASE.name}, sha256 {BASE.digest[:16]}..." in script
    bars = iter((TRAIN, TEST))
    monkeypatch.setattr(llmguide, "read_bars", lambda path: next(bars))
    monkeypatch.setattr(Guidance, "read", staticmethod(lambda path: guidance))
    monkeypatch.chdir(tmp_path)
    there: dict[str, object] = {"its_base": BASE}
    exec(script.replace("base = ...", "base = its_base").replace('comparison.write("again")', ""), there)  # our own
    pd.testing.assert_frame_equal(there["comparison"].runs, comparison.runs)


def test_under_other_costs_the_same_policies_trade_anew(comparison):
    found = sensitivity(comparison, costs=(0.01,), slippages=(0.001,), seeds=1)
    rows = found[found["arm"] == "flag"].set_index(["what", "level"])
    assert set(rows.index) == {("cost", 0.002), ("cost", 0.01), ("slippage", 0.0), ("slippage", 0.001), ("fill", 0.0),
                               ("fill", 1.0)}  # fmt: skip
    policy = comparison.agents["flag"][0]
    dearer = dataclasses.replace(policy, config=dataclasses.replace(policy.config, rules=dataclasses.replace(
        policy.config.rules, cost=0.01)))  # fmt: skip
    value = np.concatenate([np.full(START, 50_000.0), walk_flag(dearer, TEST, start=START)["value"]])
    peak = np.maximum.accumulate(value)
    assert rows.loc[("cost", 0.01), "mdd"] == pytest.approx((1.0 - value / peak).max(), rel=1e-9)


def test_runs_that_never_traded_are_told(comparison):
    runs = comparison.runs.copy()
    runs.loc[(runs["arm"] == "flag") & (runs["seed"] == 1), "sr"] = np.nan
    page = render_report(report_data(dataclasses.replace(comparison, runs=runs)))
    assert "1 of 2 runs of flag never traded and has no Sharpe ratio" in page
    runs.loc[runs["arm"] == "flag", "sr"] = np.nan
    assert "flag never traded, so it has" in render_report(report_data(dataclasses.replace(comparison, runs=runs)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"flag": None}, LlmguideError, r"the arm flag needs a language model: give flag=FlagPlan\(base\)"),
        ({"flag": "tiny"}, LlmguideError, r"or 'tiny', got str"),
        ({"arms": ("rl",)}, LlmguideError, r"flag= is for the arm flag, which is not among \['rl'\]"),
        ({"ray": "auto"}, LlmguideError, "trained on this machine, not on a Ray cluster; train the other arms there"),
        (
            {"flag": FlagPlan(BASE, config=FlagConfig(shown=31))},
            LlmguideError,
            "decides from bar 30 of the test bars on .* shows 31 bars needs more; show at most 30",
        ),
        (
            {"flag": FlagPlan(BASE, config=FlagConfig(rules=FlagRules(cost=0.0)))},
            LlmguideError,
            r"whose cost is 0.002, but the rules of flag= have 0; leave it out there, or give DQNConfig\(cost=0\)",
        ),
        ({"train": TRAIN.iloc[:60], "flag": FlagPlan(BASE)}, DataError, "expected at least 85 bars"),
        ({"flag": FlagPlan("none.gguf")}, ModelError, "there is no model file none.gguf"),
        ({"flag": FlagPlan(BASE, template="none.md")}, ModelError, "none.md"),
        ({"flag": FlagPlan(BASE, PolicyConfig(frozen=2))}, ModelError, "frozen lies between 0 and 1, got 2"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(options, error, message, tmp_path):
    options = {"arms": ("flag", "rl")} | options
    with pytest.raises(error, match=message):
        run(*options.pop("arms"), out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("library", "plan"),
    [("transformers", FlagPlan("tiny")), ("peft", FlagPlan(BASE, PolicyConfig(lora_rank=2)))],
)
def test_without_the_extra_the_error_says_what_to_install(library, plan, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=r"llmguide\[flag\]"):
        run("flag", "rl", flag=plan, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
