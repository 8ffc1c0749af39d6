"""Each expert beside the part of llmguide that it stands for, and where its record begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide import Guidance, train_dqn
from llmguide.backtest import run_backtest
from llmguide.errors import DataError, DataWarning, GuidanceError, LlmguideError, ModelError
from llmguide.guidance.controls import oracle
from llmguide.mixture import (
    FollowAgent,
    FollowGuidance,
    FollowProvider,
    Function,
    Hold,
    MovingAverages,
    Prior,
    Sides,
    sides_of,
)
from llmguide.mixture.experts import find_expert
from llmguide.mixture.prior import AGENT, GUIDANCE, HOLD, OTHER
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.config import DQNConfig
from llmguide.strategies import DQN, BuyAndHold, LLMGuidedDQN, LLMOnly, TrendFollowing

BARS = 110


@pytest.fixture(scope="module")
def bars(make_bars):
    return make_bars(BARS, 3)


@pytest.fixture(scope="module")
def table(bars):
    rows = [(20, 1), (34, 0), (50, None), (66, 1), (80, None), (95, 0)]
    return Guidance.from_rows(
        [
            {"issued_at": bars.index[place], "direction": said, "confidence": None if said is None else 2}
            for place, said in rows
        ]
    )


def trained(agent, last):
    return replace(agent, notes={"trained_on": {"first": "2016-01-04", "last": str(last)}})


def side_after(result, bars):
    """The side that a strategy holds after each bar from its first decision on, else NaN."""
    return (result.decisions * 2.0 - 1.0).reindex(bars.index).to_numpy()


def test_guidance_is_followed_as_the_strategy_does(bars, table):
    proposed = FollowGuidance(table).sides(bars)
    ran = side_after(run_backtest(bars, LLMOnly, guidance=table, start=1), bars)
    np.testing.assert_array_equal(proposed, ran)
    assert np.isnan(proposed[:20]).all()
    # An abstention, from bar 50 on, leaves it short; one from bar 80 on leaves it long.
    assert (proposed[34:66] == -1).all()
    assert (proposed[66:95] == 1).all()
    assert (proposed[95:] == -1).all()


@pytest.mark.parametrize("guided", [False, True])
def test_an_agent_decides_as_the_strategy_does(bars, table, make_agent, guided):
    agent = make_agent(bars, table.tau(bars.index) if guided else None)
    guidance = {"guidance": table} if guided else {}
    proposed = FollowAgent(agent, **guidance).sides(bars)
    ran = run_backtest(bars, LLMGuidedDQN if guided else DQN, model=agent, start=30, **guidance)
    np.testing.assert_array_equal(proposed, side_after(ran, bars))
    assert np.isnan(proposed[:30]).all()
    assert set(proposed[30:]) == {-1.0, 1.0}


def test_moving_averages_decide_as_the_strategy_does(bars):
    proposed = MovingAverages(3, 10).sides(bars)
    ran = run_backtest(bars, TrendFollowing, short=3, long=10, start=10)
    np.testing.assert_array_equal(proposed, side_after(ran, bars))
    reverse = MovingAverages(3, 10, rule="reversion").sides(bars)
    np.testing.assert_array_equal(reverse[10:], -proposed[10:])


def test_holding_is_holding(bars):
    np.testing.assert_array_equal(Hold().sides(bars), np.ones(BARS))
    assert (side_after(run_backtest(bars, BuyAndHold, start=1), bars)[1:] == 1.0).all()


def test_a_users_array_stays_as_it_is(bars):
    given = np.ones(BARS)
    given.flags.writeable = False
    assert np.isnan(Sides(given, since=bars.index[9]).sides(bars)[:9]).all()
    assert (given == 1.0).all()


def test_sides_are_taken_as_they_are(bars):
    given = np.linspace(-1.0, 1.0, BARS)
    given[5] = np.nan
    for source in (given, given.tolist(), pd.Series(given, index=bars.index)):
        np.testing.assert_array_equal(Sides(source).sides(bars), given)
    assert given[5] != given[5]


def test_decisions_are_not_taken_for_sides(bars, table):
    decisions = run_backtest(bars, LLMOnly, guidance=table, start=20).decisions
    whole = pd.Series(decisions.reindex(bars.index).to_numpy(), index=bars.index, name="decision")
    with pytest.raises(LlmguideError, match=r"of which 0 is short.*sides_of"):
        Sides(whole).sides(bars)
    np.testing.assert_array_equal(sides_of([1, 0, -1]), [1.0, -1.0, 0.0])
    with pytest.raises(LlmguideError, match="decisions are 1"):
        sides_of([1, 0.5])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.ones(BARS - 1), "shape"),
        (np.ones((BARS, 1)), "shape"),
        (np.full(BARS, 1.01), r"\[-1, 1\].*got 1.01"),
        (np.full(BARS, np.inf), r"\[-1, 1\]"),
        (["long"] * BARS, "numbers"),
        (pd.Series(np.ones(BARS)), "different dates"),
    ],
)
def test_sides_that_cannot_be_are_refused(bars, wrong, said):
    with pytest.raises(LlmguideError, match=said):
        Sides(wrong).sides(bars)


def momentum(bars):
    return np.sign(bars["close"].pct_change(5).shift(1))


def test_a_function_of_the_bars_is_an_expert(bars):
    expected = np.sign(bars["close"].to_numpy()[5:-1] / bars["close"].to_numpy()[:-6] - 1.0)
    np.testing.assert_array_equal(Function(momentum).sides(bars)[6:], expected)
    assert np.isnan(Function(momentum).sides(bars)[:6]).all()


@pytest.mark.parametrize(
    "peek",
    [
        lambda bars: np.sign(bars["close"].pct_change(5)),  # the close that it is filled at
        lambda bars: np.sign(bars["close"].shift(-1) - bars["close"]),
        lambda bars: np.sign(bars["close"].shift(1) - bars["close"].mean()),
        lambda bars: np.where(bars["volume"] > bars["volume"].median(), 1.0, -1.0),
        lambda bars: np.random.default_rng().random(len(bars)),
    ],
)
def test_a_function_that_looks_ahead_is_refused(bars, peek):
    with pytest.raises(LlmguideError, match="looks ahead"):
        Function(peek).sides(bars)


def test_a_function_cannot_change_the_bars(bars):
    def spoil(frame):
        frame["close"] = 1.0
        return np.ones(len(frame))

    before = bars.copy()
    Function(spoil).sides(bars)
    pd.testing.assert_frame_equal(bars, before)


def test_an_agents_record_begins_after_its_last_training_bar(make_bars):
    bars = make_bars(160, 8)
    agent = train_dqn(
        bars.iloc[:120], seeds=1, episodes=1, config=DQNConfig(hidden=16, batch=8), progress=False, device="cpu"
    )[0]
    expert = FollowAgent(agent)
    assert expert.first(bars) == 120
    sides = expert.sides(bars)
    assert np.isnan(sides[:120]).all()
    assert not np.isnan(sides[120:]).any()
    assert expert.first(bars.iloc[125:]) == 0
    with pytest.raises(LlmguideError, match="no bar is left for a record after"):
        expert.sides(bars.iloc[:120])
    early = FollowAgent(agent, since=bars.index[150])
    assert np.isnan(early.sides(bars)[:150]).all()
    np.testing.assert_array_equal(early.sides(bars)[150:], sides[150:])


def test_an_agent_that_does_not_say_what_it_learned_from_needs_a_date(bars, random_agent):
    agent = random_agent(bars, guided=False)
    with pytest.raises(LlmguideError, match="pass the first later one as since="):
        FollowAgent(agent).sides(bars)
    assert FollowAgent(agent, since="2016-03-01").first(bars) == bars.index.searchsorted(pd.Timestamp("2016-03-01"))


def test_an_agent_and_its_guidance_belong_together(bars, table, random_agent):
    for guided, guidance in ((True, None), (False, table)):
        agent = trained(random_agent(bars, guided=guided), bars.index[40])
        with pytest.raises(ModelError, match="guidance"):
            FollowAgent(agent, guidance).sides(bars)
    with pytest.raises(LlmguideError, match="looks back 30 bars"):
        FollowAgent(trained(random_agent(bars, guided=False), bars.index[0])).sides(bars.iloc[:30])


@pytest.mark.parametrize(
    "expert",
    [Hold(since="2016-03-01"), MovingAverages(2, 5, since="2016-03-01"), Function(momentum, since="2016-03-01")],
)
def test_any_record_can_begin_later(bars, expert):
    first = bars.index.searchsorted(pd.Timestamp("2016-03-01"))
    whole = replace(expert, since=None).sides(bars)
    assert np.isnan(expert.sides(bars)[:first]).all()
    np.testing.assert_array_equal(expert.sides(bars)[first:], whole[first:])


def test_a_record_that_begins_after_the_bars_or_never_is_refused(bars):
    with pytest.raises(LlmguideError, match="no bar is left for a record since 2030-01-01"):
        Hold(since="2030-01-01").sides(bars)
    with pytest.raises(LlmguideError, match="expected since to be the date of a bar, got 'soon'"):
        Hold(since="soon").sides(bars)
    with pytest.raises(LlmguideError, match="needs bars with dates"):
        Hold(since="2016-03-01").sides(bars.reset_index(drop=True))


def test_guidance_of_other_bars_or_of_none_is_refused(make_bars, bars, table):
    with pytest.raises(GuidanceError, match="made from other bars"):
        FollowGuidance(llmguide.guide(make_bars(BARS, 9), "constant")).sides(bars)
    with pytest.raises(GuidanceError, match="no bar sees any guidance: it begins"):
        FollowGuidance(table).sides(bars.iloc[:20])
    with pytest.raises(GuidanceError, match="has no rows"):
        FollowGuidance(Guidance(())).sides(bars)
    with pytest.raises(LlmguideError, match=r"expected a llmguide\.Guidance, got str"):
        FollowGuidance("aapl.parquet")


def test_guidance_of_another_time_is_refused_and_guidance_that_ends_early_is_noted(make_bars, table, make_agent):
    later = make_bars(600, 3)
    tau = table.tau(later.index)
    experts = {FollowGuidance: (table,), FollowAgent: (make_agent(later, tau), table)}
    for kind, parts in experts.items():
        with pytest.raises(GuidanceError, match=r"ends on 2016-05-16, \d+ days before the first tradable bar"):
            kind(*parts, since="2018-01-01").sides(later)
        with pytest.warns(DataWarning, match="all of these see the last row"):
            kind(*parts).sides(later)


def test_what_stands_for_an_expert(bars, table, random_agent, tmp_path):
    agent = random_agent(bars, guided=False)
    path = save_agent(agent, tmp_path / "rl-0.safetensors")
    kinds = {
        "hold": (Hold, HOLD),
        table: (FollowGuidance, GUIDANCE),
        path: (FollowAgent, AGENT),
        str(path): (FollowAgent, AGENT),
        momentum: (Function, OTHER),
    }
    for source, (kind, prior) in kinds.items():
        expert = find_expert(source)
        assert type(expert) is kind
        assert expert.belief == prior
    assert type(find_expert(agent)) is FollowAgent
    assert type(find_expert(np.ones(3))) is type(find_expert([1.0])) is Sides
    own = MovingAverages(2, 20, prior=Prior(0.0, 10))
    assert find_expert(own) is own
    assert own.belief == Prior(0.0, 10)
    assert MovingAverages(2, 20).belief == OTHER == Prior(0.03, 252)
    assert [Prior(0.0, 252), Prior(0.02, 252), Prior(0.02, 1000)] == [AGENT, GUIDANCE, HOLD]


@pytest.mark.parametrize("wrong", ["holding", 3, None, {"a": 1}, "guidance.txt", Hold])
def test_anything_else_is_refused(wrong):
    with pytest.raises(LlmguideError, match=r"the expert 'mine' is .*; expected 'hold', guidance"):
        find_expert(wrong, name="mine")
    with pytest.raises(LlmguideError, match="windows"):
        MovingAverages(20, 5)


def test_foresight_is_marked(bars, table):
    assert FollowGuidance(oracle(bars)).uses_future
    assert not FollowGuidance(table).uses_future
    assert not Hold().uses_future


def test_guidance_that_is_asked_for_is_followed_as_the_strategy_does(bars):
    def by_sum(known, issued_at):
        direction = None if len(known) > 80 else int(known["close"].sum() * 1e4) % 2
        return {"issued_at": issued_at, "direction": direction, "confidence": None if direction is None else 2}

    for provider in ("rules", by_sum):
        proposed = FollowProvider(provider).sides(bars)
        ran = side_after(run_backtest(bars, LLMOnly, provider=provider, start=1), bars)
        np.testing.assert_array_equal(proposed, ran)
        assert np.isfinite(proposed[30:]).all()
    table = llmguide.guide(bars, "rules")
    np.testing.assert_array_equal(find_expert("rules").sides(bars), FollowGuidance(table).sides(bars))
    with pytest.raises(DataError, match=r"needs bars with open, high, low, close, volume, and these lack \['volume'\]"):
        FollowProvider("rules").sides(bars.drop(columns="volume"))


def test_an_agent_observes_guidance_that_is_asked_for(bars, make_agent):
    asked = FollowProvider("rules")
    agent = make_agent(bars, asked.ask(bars).tau(bars.index))
    table = llmguide.guide(bars, "rules")
    np.testing.assert_array_equal(FollowAgent(agent, asked).sides(bars), FollowAgent(agent, table).sides(bars))
    with pytest.raises(ModelError, match="without guidance"):
        FollowAgent(make_agent(bars), asked).sides(bars)


def test_a_path_of_guidance_and_a_language_model_stand_for_guidance(bars, table, tmp_path):
    for name in ("g.parquet", "g.csv"):
        expert = find_expert(table.save(tmp_path / name))
        assert type(expert) is FollowGuidance
        np.testing.assert_array_equal(expert.sides(bars), FollowGuidance(table).sides(bars))
    for source in ("llm", "replay", "rules", llmguide.LanguageModel(replay=True)):
        expert = find_expert(source)
        assert type(expert) is FollowProvider
        assert expert.belief == GUIDANCE
        assert expert.provider is source
    with pytest.raises(GuidanceError, match="expected provider 'llm'"):
        FollowProvider("rule").sides(bars)
