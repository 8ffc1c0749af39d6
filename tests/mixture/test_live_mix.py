"""`LiveMix` beside `mix` on all bars at once, and what it refuses on the way."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide import Guidance
from llmguide.errors import DataError, DataWarning, GuidanceError, LlmguideError
from llmguide.guidance.controls import oracle
from llmguide.mixture import Bar, Expert, FollowAgent, FollowProvider, Hold, LiveMix, MovingAverages, Prior

BARS = 170
COLUMNS = ["open", "high", "low", "close", "volume"]


def momentum(bars):
    return np.tanh(20.0 * bars["close"].pct_change(5).shift(1))


def says_by_sum(known, issued_at):
    """A provider whose every answer depends on every number that it gets."""
    side = int(known[COLUMNS].to_numpy().sum() * 1e4) % 2
    return {"issued_at": issued_at, "direction": side, "confidence": 1 + len(known) % 3}


@dataclass(frozen=True, eq=False)
class Range(Expert):
    """A user's own kind: long after a close in the upper half of its bar."""

    share: float = 0.5

    def propose(self, bars):
        place = (bars["close"] - bars["low"]) / (bars["high"] - bars["low"])
        return np.sign(place.rolling(3).mean() - self.share).shift(1).to_numpy()


@pytest.fixture(scope="module")
def setting(make_bars, make_agent):
    bars = make_bars(BARS, 11)
    spread = np.random.default_rng(3).random((2, BARS))
    bars["high"], bars["low"] = bars["close"] * (1 + 0.01 * spread[0]), bars["close"] * (1 - 0.01 * spread[1])
    rows = [(30, 1), (50, 0), (70, None), (95, 1), (120, 0), (140, 1)]
    table = Guidance.from_rows(
        [
            {"issued_at": bars.index[place], "direction": said, "confidence": None if said is None else 3}
            for place, said in rows
        ]
    ).made_from(bars)
    asked = FollowProvider(says_by_sum)
    array = np.resize([1.0, -1.0, 0.0, np.nan, 0.5], BARS)
    return bars, {
        "agent": make_agent(bars, last=60),
        "guided": FollowAgent(make_agent(bars, table.tau(bars.index), last=75), table),
        "asking": FollowAgent(make_agent(bars, asked.ask(bars).tau(bars.index), last=40), asked),
        "guidance": table,
        "asked": asked,
        "rules": "rules",
        "hold": "hold",
        "trend": MovingAverages(3, 12, since=bars.index[100]),
        "reversion": MovingAverages(2, 40, rule="reversion", prior=Prior(0.01, 20)),
        "mine": momentum,
        "kind": Range(),
        "array": array,
        "series": pd.Series(-array, index=bars.index),
    }


def walk(live, bars):
    """Show a LiveMix all bars, each before it is over, and return what it says of each."""
    said, before = [], None
    for stamp, values in zip(bars.index.to_pydatetime(), bars[COLUMNS].to_numpy().tolist(), strict=True):
        said.append(live.see(stamp, before))
        before = Bar(stamp, values)
    return said


def frames(said, names):
    """Sides, records, weights and positions as arrays."""
    by_name = (np.array([[getattr(at, part)[name] for name in names] for at in said]) for part in PARTS)
    return *by_name, np.array([at.position for at in said])


PARTS = ("sides", "records", "weights")


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1, 29, 31, 66, 130])
def test_bar_by_bar_it_is_mix_on_history_and_bars_together(setting, before):
    bars, experts = setting
    mixed = llmguide.mix(bars, experts, start=1)
    live = LiveMix(experts, history=bars.iloc[:before] if before else None)
    assert live.names == tuple(experts)
    assert live.needs == ("close", "high", "low", "volume", "open")
    sides, records, weights, positions = frames(walk(live, bars.iloc[before:]), live.names)
    first = 1 if before == 0 else 0  # functions are not asked about the very first bar, of which nothing is known
    np.testing.assert_array_equal(sides[first:], mixed.sides.iloc[before + first :])
    np.testing.assert_allclose(records, mixed.records.iloc[before:], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(weights[first:], mixed.weights.iloc[before + first :], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(positions[first:], mixed.positions.iloc[before + first :], rtol=0.0, atol=1e-12)
    live.check()
    last = Bar(bars.index[-1].to_pydatetime(), bars[COLUMNS].iloc[-1].tolist())
    afterwards = live.mixed(last, start=1)
    for part in ("sides", "results", "records", "weights", "positions", "closes", "counts"):
        one, other = (getattr(each, part).iloc[first:] for each in (afterwards, mixed))
        assert one.index.equals(other.index)
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-12, err_msg=part)


@pytest.mark.parametrize("before", [0, 65])
def test_nothing_after_a_bar_changes_anything_up_to_it(setting, before):
    bars, experts = setting
    mine = {name: experts[name] for name in ("agent", "asked", "rules", "trend", "mine", "kind", "array")}
    mine["guidance"] = experts["guidance"].of_any_bars()
    history, feed = bars.iloc[:before] if before else None, bars.iloc[before:]
    now = walk(LiveMix(mine, history=history), feed)
    for t in (1, 30, 62, 90):
        changed = feed.copy()
        moved = np.exp(np.random.default_rng(t).normal(0.0, 0.1, (len(feed) - 1 - t, 5)))
        changed.iloc[t + 1 :] = changed.iloc[t + 1 :].to_numpy() * moved
        then = walk(LiveMix(mine, history=history), changed)
        # What to hold from the close of t + 1 on is known at that of t.
        assert repr(now[: t + 2]) == repr(then[: t + 2])
        assert all(repr(one) != repr(other) for one, other in zip(now[t + 10 :], then[t + 10 :], strict=True))


def test_before_the_first_bar_there_is_nothing_to_look_back_on(make_bars):
    bars = make_bars(5, 0)
    with pytest.raises(LlmguideError, match="no bar has been seen yet"):
        LiveMix({"hold": "hold"}).mixed(Bar(bars.index[0].to_pydatetime(), bars[COLUMNS].iloc[0].tolist()))


def peeks(bars):
    return np.sign(bars["close"].pct_change())


def normalises(bars):
    return np.tanh(bars["close"].shift(1) / bars["close"].mean() - 1.0)


def draws(bars):
    return np.random.default_rng().random(len(bars))


@pytest.mark.parametrize("before", [0, 70])
@pytest.mark.parametrize("function", [peeks, normalises, draws])
def test_a_function_that_looks_ahead_or_leaves_it_to_chance_is_refused_at_once(make_bars, function, before):
    bars = make_bars(100, 2)
    live = LiveMix({"mine": function}, history=bars.iloc[:before] if before else None)
    with pytest.raises(LlmguideError, match=r"the expert 'mine': the function.* looks ahead"):
        walk(live, bars.iloc[before : before + 5])


def test_a_function_gets_the_known_bars_and_a_row_whose_values_repeat(make_bars):
    bars, got = make_bars(60, 2), []

    def remembers(frame):
        got.append(frame.copy())
        frame["close"] = 0.0  # its own to change
        return np.ones(len(frame))

    walk(LiveMix({"mine": remembers}), bars)
    assert [len(frame) for frame in got] == list(range(2, 61))
    for frame in got:
        known = bars.iloc[: len(frame) - 1]
        pd.testing.assert_frame_equal(frame.iloc[:-1], known[COLUMNS], check_freq=False)
        assert frame.index.equals(bars.index[: len(frame)])
        assert frame.iloc[-1].tolist() == known[COLUMNS].iloc[-1].tolist()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda bars: np.full(len(bars), 2.0),
            r"the expert 'mine': the function <lambda>: expected sides in \[-1",
        ),
        (lambda bars: np.ones(3), r"the expert 'mine': the function <lambda>: expected the shape \(2,\), got \(3,\)"),
        (lambda bars: ["long"] * len(bars), "the expert 'mine': the function <lambda>: expected numbers"),
    ],
)
def test_a_function_that_returns_no_sides_is_refused_by_name(make_bars, answer, message):
    with pytest.raises(LlmguideError, match=message):
        walk(LiveMix({"mine": answer}), make_bars(5, 0))


def test_a_series_has_the_bars_dates_and_an_array_their_number(make_bars):
    bars = make_bars(20, 0)
    sides = pd.Series(1.0, index=bars.index)
    history, feed = bars.iloc[:8], bars.iloc[8:]
    walk(LiveMix({"mine": sides}, history=history), feed)
    with pytest.raises(LlmguideError, match=r"expert .mine.: .* different dates .* side 0 is of 2016-01-04"):
        walk(LiveMix({"mine": sides}), feed)
    with pytest.raises(LlmguideError, match=r"there are 19 sides, and bar 19 of 2016-01-29 .* has none"):
        walk(LiveMix({"mine": np.ones(19)}, history=history), feed)
    with pytest.raises(LlmguideError, match=r"of which 0 is short.*sides_of"):
        LiveMix({"mine": sides.rename("decision")})


def test_guidance_of_other_bars_is_refused_as_soon_as_that_is_clear(make_bars):
    bars, others = make_bars(200, 3), make_bars(200, 9)
    table = llmguide.guide(others, "constant")
    live = LiveMix({"table": table})
    with pytest.raises(GuidanceError, match="the expert 'table': this guidance was made from other bars"):
        walk(live, bars)
    assert len(live._known) < 100
    with pytest.raises(GuidanceError, match="made from other bars"):
        LiveMix({"table": table}, history=bars.iloc[:150]).see(bars.index[150], None)
    short = LiveMix({"table": table})
    walk(short, bars.iloc[:60])
    with pytest.warns(DataWarning, match="2 of 2 rows of the guidance saw different prices"):  # two are not enough
        short.check()


def test_guidance_that_ends_early_is_noted_and_who_never_spoke_is_named(make_bars):
    bars = make_bars(400, 3)
    table = Guidance.from_rows([{"issued_at": bars.index[30], "direction": 1, "confidence": 3}])
    live = LiveMix({"table": table, "late": Hold(since="2030-01-01")})
    walk(live, bars)
    with (
        pytest.warns(DataWarning, match="all of these see the last row"),
        pytest.warns(DataWarning, match="the expert 'late' had no opinion on any bar from 2016-01-04 to 2017-07-13"),
    ):
        live.check()


def test_an_unasked_mixture_has_nothing_to_check(make_bars):
    live = LiveMix({"hold": "hold"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        live.check()
        live.see(make_bars(1, 0).index[0], None)
        live.check()


def test_foresight_is_marked(make_bars):
    bars = make_bars(80, 0)
    assert LiveMix({"oracle": oracle(bars), "hold": "hold"}).uses_future
    assert not LiveMix({"hold": "hold"}).uses_future


def test_a_history_that_cannot_be_one_is_refused(make_bars, make_agent):
    bars = make_bars(60, 0)
    with pytest.raises(DataError, match=r"a history that ends before the first bar of 2016-02-29 .* cut it"):
        LiveMix({"hold": "hold"}, history=bars.iloc[:41]).see(bars.index[40], None)
    with pytest.raises(DataError, match="use read_bars"):
        LiveMix({"hold": "hold"}, history=bars.iloc[::-1])
    with pytest.raises(DataError, match="the history lacks volume, which an expert needs"):
        LiveMix({"agent": make_agent(bars)}, history=bars.drop(columns="volume"))
    LiveMix({"hold": "hold"}, history=bars[["close"]]).see(pd.Timestamp("2017-01-01").to_pydatetime(), None)


@pytest.mark.parametrize("experts", [None, {}, [Hold()], "hold"])
def test_experts_come_by_name(experts):
    with pytest.raises(LlmguideError, match="expected experts by name"):
        LiveMix(experts)


def test_only_the_first_bar_has_none_before_it(make_bars):
    bars = make_bars(3, 0)
    live = LiveMix({"hold": "hold"})
    live.see(bars.index[0], None)
    with pytest.raises(LlmguideError, match="expected the bar before the one of 2016-01-05"):
        live.see(bars.index[1], None)


def test_an_agent_that_does_not_say_what_it_learned_from_is_refused_by_name(make_bars, random_agent):
    with pytest.raises(LlmguideError, match="the expert 'agent': the agent does not say which bars"):
        LiveMix({"agent": random_agent(make_bars(60, 0), guided=False)})
