"""A policy that reads as an expert: what it does on its own is its side, and its checkpoint is told from an agent's."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from text_policy import LetterPolicy, TextPolicy

import llmguide
from llmguide.backtest import run_backtest
from llmguide.errors import DataError, LlmguideError, MissingExtra, ModelError
from llmguide.guidance import Guidance
from llmguide.guidance.controls import oracle
from llmguide.mixture import Bar, FollowAgent, FollowPolicy, FollowProvider, LiveMix, Prior
from llmguide.mixture.experts import find_expert
from llmguide.mixture.prior import AGENT
from llmguide.rl.checkpoint import load_agent, save_agent
from llmguide.rl.flag.bases import find_base
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.evaluation import walk_flag
from llmguide.rl.flag.policy import FlagPolicy
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.trained import TrainedPolicy, save_trained
from llmguide.rl.flag.training import train_flag
from llmguide.sources.tables import Tables
from llmguide.states.text import read_state_template
from llmguide.strategies import FlagTrader
from llmguide.trading.flag_rules import FlagRules

COLUMNS = ["open", "high", "low", "close", "volume"]
LAST = 47  # bar that the policies were trained up to


def trained(bars, *, policy=None, template="flag", **settings) -> TrainedPolicy:
    notes = {"trained_on": {"last": str(bars.index[LAST])}}
    return TrainedPolicy(policy or LetterPolicy(), FlagConfig(**settings), read_state_template(template), 0, notes)


def sides_of_walk(walked):
    """What is meant to be held after each action, by the account that was there before it."""
    before = walked["shares"].shift(1, fill_value=0)
    return np.where(walked["action"] == 1, 1.0, np.where(walked["action"] == -1, 0.0, np.sign(before)))


def walk(live, bars):
    said, before = [], None
    for stamp, values in zip(bars.index.to_pydatetime(), bars[COLUMNS].to_numpy().tolist(), strict=True):
        said.append(live.see(stamp, before))
        before = Bar(stamp, values)
    return said


@pytest.fixture(scope="module")
def bars(make_bars):
    return make_bars(130, 5)


@pytest.fixture(scope="module")
def told(bars, tmp_path_factory):
    """A template that tells guidance and factors, and what it tells of; one that tells a table too, and that as well.

    Facts take some milliseconds a bar.
    """
    folder = tmp_path_factory.mktemp("template")
    for name, more in (("told", ""), ("all", '{{ lines("market.*") }}')):
        (folder / f"{name}.md").write_text(
            '{% extends "flag.md" %}{% block market %}\n'
            "Guidance: {{ guidance.direction if guidance else 'none' }}\n"
            "{% for factor in factors %}News: {{ factor.text }}\n{% endfor %}" + more + "\n{% endblock %}\n"
        )
    rows = [(10, 1), (49, 0), (70, None), (90, 1), (110, 0)]
    table = Guidance.from_rows(
        [
            {"issued_at": bars.index[place], "direction": said, "confidence": None if said is None else 3}
            for place, said in rows
        ]
    ).made_from(bars)
    factors = pd.DataFrame(
        [(bars.index[place], f"event {place}", 1, 2) for place in range(5, 130, 7)],
        columns=["issued_at", "text", "sentiment", "impact"],
    )
    levels = 2000.0 + np.random.default_rng(0).normal(0.0, 30.0, len(bars)).cumsum()
    tables = Tables(market=pd.DataFrame({"date": bars.index, "SPX": levels}))
    given = {"guidance": table, "factors": factors}
    return folder / "told.md", given, folder / "all.md", {**given, "tables": tables}


@pytest.mark.parametrize("cost", [0.0, 0.01])
def test_its_sides_are_what_it_does_on_its_own_from_the_first_bar_after_its_training(bars, cost):
    policy = trained(bars, rules=FlagRules(cost=cost))
    sides = llmguide.mix(bars, {"reader": policy}).sides["reader"]
    assert sides.iloc[: LAST + 1].isna().all()
    walked = walk_flag(policy, bars, start=LAST + 1)
    assert sides.iloc[LAST + 1 :].tolist() == sides_of_walk(walked).tolist()
    assert 20 < sides.sum() < 60


def test_what_its_states_tell_of_is_told_as_in_a_walk_and_bar_by_bar(bars, told):
    _, _, path, given = told
    bars = bars.iloc[: LAST + 30]
    policy = trained(bars, template=path)
    own = sides_of_walk(walk_flag(policy, bars, start=LAST + 1, **given))
    expert = FollowPolicy(policy, **given)
    assert expert.sides(bars)[LAST + 1 :].tolist() == own.tolist()
    said = walk(LiveMix({"all": expert}, history=bars.iloc[: LAST + 10]), bars.iloc[LAST + 10 :])
    assert [at.sides["all"] for at in said] == own.tolist()[9:]
    for name in given:
        less = {**given, name: None}
        assert FollowPolicy(policy, **less).sides(bars)[LAST + 1 :].tolist() != own.tolist()


def test_its_record_can_begin_later_and_its_episode_does_so_too(bars):
    policy = trained(bars)
    sides = FollowPolicy(policy, since=bars.index[80]).sides(bars)
    assert np.isnan(sides[:80]).all()
    assert sides[80:].tolist() == sides_of_walk(walk_flag(policy, bars, start=80)).tolist()
    early = FollowPolicy(policy, since=bars.index[3]).sides(bars)  # a state shows 20 bars
    assert np.isnan(early[:20]).all()
    assert early[20:].tolist() == sides_of_walk(walk_flag(policy, bars, start=20)).tolist()


def test_it_reads_no_bar_before_its_record(bars):
    policy = trained(bars)
    FollowPolicy(policy).sides(bars)
    assert policy.policy.read == 1 + len(bars) - LAST - 1  # what all states begin with, and a state for each bar


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 10, LAST + 1, 70])
def test_bar_by_bar_it_does_the_same_with_any_history(bars, told, before):
    path, given, _, _ = told
    asked = FollowProvider(lambda known, at: {"issued_at": at, "direction": len(known) % 2, "confidence": 2})
    experts = {
        "reader": trained(bars),
        "told": FollowPolicy(trained(bars, template=path), **given),
        "asking": FollowPolicy(trained(bars, template=path), **{**given, "guidance": asked}),
        "hold": "hold",
    }
    mixed = llmguide.mix(bars, experts, start=1)
    live = LiveMix(experts, history=bars.iloc[:before] if before else None)
    assert set(live.needs) == set(COLUMNS)
    said = walk(live, bars.iloc[before:])
    for part in ("sides", "weights", "records"):
        got = np.array([list(getattr(at, part).values()) for at in said])
        expected = getattr(mixed, part).iloc[before:].to_numpy()
        if part == "sides":
            np.testing.assert_array_equal(got, expected)
        else:
            np.testing.assert_allclose(got, expected, rtol=0.0, atol=1e-12)
    live.check()


def test_a_language_model_says_bar_by_bar_what_it_says_at_once(make_bars):
    bars = make_bars(75, 3)
    policy = FlagPolicy(tiny_base(2))
    with torch.no_grad():  # with the logits as they begin every action is about as likely
        policy.trained.heads.policy.weight.mul_(500.0)
    reader = trained(bars, policy=policy)
    sides = llmguide.mix(bars, {"reader": reader}).sides["reader"]
    walked = walk_flag(reader, bars, start=LAST + 1)
    assert len(set(walked["action"])) > 1
    assert sides.iloc[LAST + 1 :].tolist() == sides_of_walk(walked).tolist()
    said = walk(LiveMix({"reader": reader}, history=bars.iloc[:50]), bars.iloc[50:])
    assert [at.sides["reader"] for at in said] == sides.iloc[50:].tolist()


@pytest.mark.parametrize("before", [0, 60])
def test_nothing_after_a_bar_changes_anything_up_to_it(bars, told, before):
    path, given, _, _ = told
    given = {**given, "guidance": given["guidance"].of_any_bars()}
    experts = {"reader": trained(bars), "told": FollowPolicy(trained(bars, template=path), **given)}
    history, feed = bars.iloc[:before] if before else None, bars.iloc[before:]
    now, whole = walk(LiveMix(experts, history=history), feed), llmguide.mix(bars, experts, start=1)
    for t in (2, 30, 55):
        moved = np.exp(np.random.default_rng(t).normal(0.0, 0.1, (len(feed) - 1 - t, 5)))
        changed = feed.copy()
        changed.iloc[t + 1 :] = changed.iloc[t + 1 :].to_numpy() * moved
        then = walk(LiveMix(experts, history=history), changed)
        # What to hold from the close of t + 1 on is known at that of t.
        assert repr(now[: t + 2]) == repr(then[: t + 2])
        assert repr(now[t + 2 :]) != repr(then[t + 2 :])
        other = llmguide.mix(pd.concat([bars.iloc[:before], changed]), experts, start=1)
        cut = before + t + 2
        pd.testing.assert_frame_equal(other.sides.iloc[:cut], whole.sides.iloc[:cut])
        assert not other.sides.equals(whole.sides)


def test_its_checkpoint_is_told_from_an_agents(bars, random_agent, tmp_path):
    bars = bars.iloc[: LAST + 15]
    path = save_trained(trained(bars, policy=FlagPolicy(find_base("tiny"))), tmp_path / "flag-0.safetensors")
    own = llmguide.mix(bars, {"reader": trained(bars, policy=FlagPolicy(find_base("tiny")))}).sides["reader"]
    for source in (path, str(path), FollowPolicy(path), FollowPolicy(path, base="tiny")):
        expert = find_expert(source)
        assert isinstance(expert, FollowPolicy)
        assert expert.belief == AGENT
        assert expert.sides(bars)[LAST + 1 :].tolist() == own.iloc[LAST + 1 :].tolist()
    agent = save_agent(random_agent(bars, guided=False), tmp_path / "rl-0.safetensors")
    assert isinstance(find_expert(agent), FollowAgent)
    with pytest.raises(ModelError, match=r"not a checkpoint of llmguide, but of format 'llmguide\.flag_policy'"):
        load_agent(path)
    with pytest.raises(ModelError, match=r"not a checkpoint of a policy .*, but of format 'llmguide\.double_dqn'"):
        FollowPolicy(agent)
    with pytest.raises(ModelError, match="there is no checkpoint"):
        find_expert(tmp_path / "none.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of this kind")
    with pytest.raises(ModelError, match="is not a checkpoint of llmguide"):
        find_expert(tmp_path / "broken.safetensors")


def test_a_missing_or_other_language_model_is_refused_by_name(bars, tmp_path, monkeypatch):
    other = save_trained(trained(bars, policy=FlagPolicy(tiny_base(5))), tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"the expert 'reader': .* on the language model tiny-llama-3x32-5; give its"):
        llmguide.mix(bars, {"reader": other})
    with pytest.raises(
        ModelError, match=r"the expert 'reader': .* on the language model tiny-llama-3x32-5 .* but got .*;"
    ):
        LiveMix({"reader": FollowPolicy(other, base="tiny")})
    tiny = save_trained(trained(bars, policy=FlagPolicy(find_base("tiny"))), tmp_path / "tiny.safetensors")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"the expert 'reader': transformers is needed.*llmguide\[flag\]"):
        llmguide.mix(bars, {"reader": tiny})


def test_what_it_cannot_do_is_said(bars, told, make_bars):
    with pytest.raises(LlmguideError, match="the policy does not say which bars it was trained on; pass the first"):
        FollowPolicy(TrainedPolicy(LetterPolicy(), FlagConfig(), read_state_template(), 0, {})).sides(bars)
    with pytest.raises(LlmguideError, match="no bar is left for a record after"):
        FollowPolicy(trained(bars)).sides(bars.iloc[: LAST + 1])
    with pytest.raises(LlmguideError, match="this policy is shown 20 bars, but there are only 20"):
        FollowPolicy(trained(bars), since=bars.index[5]).sides(bars.iloc[:20])
    with pytest.raises(LlmguideError, match="states need open, high, low, close, volume, and these bars lack volume"):
        FollowPolicy(trained(bars)).sides(bars.drop(columns="volume"))
    with pytest.raises(DataError, match="the history lacks volume, which an expert needs"):
        LiveMix({"reader": trained(bars)}, history=bars.drop(columns="volume"))
    for name, value in told[3].items():
        with pytest.raises(
            ModelError, match=f"the state template flag does not ask for .* would ignore the {name} given"
        ):
            FollowPolicy(trained(bars), **{name: value})
    with pytest.raises(LlmguideError, match=r"expected a trained policy or the path .*, got LetterPolicy"):
        FollowPolicy(LetterPolicy())
    with pytest.raises(LlmguideError, match="base= is for the path of a checkpoint"):
        FollowPolicy(trained(bars), base="tiny")
    with pytest.raises(llmguide.LlmguideError, match="guidance was made from other bars"):
        FollowPolicy(trained(bars, template=told[0]), guidance=llmguide.guide(make_bars(130, 9), "constant")).sides(
            bars
        )


def test_what_was_told_in_training_is_told_in_use_and_nothing_else(bars, told):
    path, given = told[2], told[3]
    config = FlagConfig(steps=40, rollout=20, rules=FlagRules(episode=10))
    news = {"factors": given["factors"]}
    (taught,) = train_flag(bars.iloc[:48], TextPolicy, config=config, template=path, progress=False, **news)
    assert taught.notes["told"] == ["factors"]

    def walked(**more):
        return walk_flag(taught, bars.iloc[40:70], **more)

    def traded(**more):
        return run_backtest(bars.iloc[40:], FlagTrader, model=taught, **more)

    for use in (walked, traded, lambda **more: FollowPolicy(taught, **more)):
        use(**news)
        with pytest.raises(ModelError, match="was trained on states that include factors; give factors= too"):
            use()
        with pytest.raises(ModelError, match="was trained without guidance and tables, and cannot read it"):
            use(**given)


def test_foresight_is_marked(bars, told):
    policy = trained(bars, template=told[0])
    assert FollowPolicy(policy, guidance=oracle(bars)).uses_future
    assert not FollowPolicy(policy, guidance=told[1]["guidance"]).uses_future


def test_a_path_travels_to_another_process_without_what_was_loaded(bars, tmp_path):
    bars = bars.iloc[: LAST + 15]
    path = save_trained(trained(bars, policy=FlagPolicy(find_base("tiny"))), tmp_path / "flag-0.safetensors")
    expert = FollowPolicy(path, prior=Prior(0.01, 20))
    fresh = len(pickle.dumps(expert))
    sides = expert.sides(bars)
    packed = pickle.dumps(expert)
    assert len(packed) == fresh < 1_000
    assert len(pickle.dumps(expert.follow())) < 10_000  # a strategy that comes back brings no language model
    assert pickle.loads(packed).sides(bars).tolist()[LAST + 1 :] == sides.tolist()[LAST + 1 :]


@pytest.mark.slow
def test_torch_is_not_loaded_before_such_a_policy_is_asked(bars, tmp_path):
    path = save_trained(trained(bars, policy=FlagPolicy(find_base("tiny"))), tmp_path / "flag-0.safetensors")
    bars.rename_axis("date").to_csv(tmp_path / "bars.csv")
    code = f"""
import sys, llmguide
bars = llmguide.read_bars({str(tmp_path / "bars.csv")!r})
llmguide.mix(bars, {{"hold": "hold"}})
expert = llmguide.mixture.FollowPolicy({str(path)!r})
print(expert.first(bars), "torch" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(LAST + 1), "False"]
