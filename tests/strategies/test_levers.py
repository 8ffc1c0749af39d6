"""Agents of three actions, and of tau of a constant size, trade in Cerebro as they do in the simulator."""

from __future__ import annotations

import itertools

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide import simulate
from llmguide.backtest import BarsData, run_backtest
from llmguide.errors import DataError, LlmguideError
from llmguide.experiments.usage import measure_usage
from llmguide.guidance.live import COLUMNS
from llmguide.indicators import QValues
from llmguide.indicators.q_values import FLAT_TABLE
from llmguide.mixture import FollowAgent, LiveMix
from llmguide.mixture.followers import Bar
from llmguide.strategies import DQN, LLMGuidedDQN
from llmguide.trading.account import FLAT
from llmguide.trading.env import TradingEnv
from llmguide.trading.moving_averages import decisions as averages

START = 30


@pytest.fixture(scope="module")
def bars(make_bars):
    return make_bars(90, 3)


@pytest.fixture(scope="module")
def guidance(make_guidance, bars):
    return make_guidance(bars)


@pytest.fixture(scope="module")
def agent(random_agent, bars):
    """An agent that takes each of its three actions often."""
    for seed in range(500):
        found = random_agent(bars, guided=False, seed=seed, actions=3)
        decided = found.decide(bars)
        if min(np.sum(decided == decision) for decision in (1, 0, FLAT)) > 10 and np.sum(np.diff(decided) != 0) > 15:
            return found
    raise AssertionError("no such agent")


@pytest.fixture(scope="module")
def constant(random_agent, bars, guidance):
    """An agent that sees the sign of tau, and would decide otherwise if it saw its size."""
    tau = guidance.tau(bars.index)
    for seed in range(500):
        pair = [random_agent(bars, guided=True, seed=seed, tau=kind) for kind in ("constant", "published")]
        decided = [one.decide(bars, tau) for one in pair]
        if np.sum(decided[0] != decided[1]) > 3:
            return pair[0]
    raise AssertionError("no such agent")


@pytest.mark.parametrize("limits", [{}, {"long_only": True}, {"max_leverage": 0.4}, {"max_leverage": 0.4, "band": 0.0}])
def test_flat_is_carried_out_as_the_simulator_does(bars, agent, limits):
    result = run_backtest(bars, DQN, model=agent, **limits)
    expected = simulate(bars, result.decisions, flat=True, **limits)
    if "long_only" not in limits:  # there it is never short, which it observes
        np.testing.assert_array_equal(result.decisions, agent.decide(bars))
    np.testing.assert_allclose(result.values, expected["value"], rtol=1e-12)
    np.testing.assert_array_equal(result.sides, expected["side"])
    assert (result.sides.iloc[START:] == 0).sum() > 5


def test_with_fills_at_the_next_open_a_flat_decision_closes_what_is_held(bars, agent):
    result = run_backtest(bars, DQN, model=agent, fill="next_open", reserve=0.9)
    decided = agent.decide(bars)
    assert (result.sides.iloc[START + 1 :].to_numpy()[decided[:-1] == FLAT] == 0).all()


MODES = [
    {"runonce": runonce, "preload": preload, "exactbars": exactbars}
    for runonce, preload, exactbars in itertools.product([True, False], [True, False], [False, 1])
]


class Keeps(bt.Strategy):
    params = (("settings", {}),)

    def __init__(self):
        self.q = QValues(self.data, **self.p.settings)
        self.seen, self.selected = [], []

    def next(self):
        lines = self.q.lines
        self.seen.append([lines.side[0], lines.short[0], lines.long[0], lines.flat[0]])
        self.selected.append([*self.q.select(-1), *(getattr(lines, name)[0] for name in FLAT_TABLE)])
        self.q.select(int(lines.side[0]))


@pytest.mark.parametrize("mode", MODES)
def test_the_lines_of_q_values_know_the_third_action(bars, agent, mode):
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addstrategy(Keeps, settings={"model": agent})
    (ran,) = cerebro.run()
    table, decided = agent.q_table(bars), agent.decide(bars)
    sides = np.array([0, *(0 if decision == FLAT else 2 * int(decision) - 1 for decision in decided[:-1])])
    seen, selected = np.array(ran.seen), np.array(ran.selected)
    assert seen[:, 0].tolist() == sides.tolist()
    np.testing.assert_allclose(seen[:, 1:], table[np.arange(len(sides)), sides + 1], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(selected[:, :3], table[:, 0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(selected[:, 3:], table[:, :, 2], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("live", [True, False])
def test_at_decision_time_an_agent_of_constant_tau_sees_the_sign_alone_in_every_mode(bars, guidance, constant, live):
    class Feed(BarsData):
        def islive(self):
            return live

    cerebro = bt.Cerebro(stdstats=False, runonce=not live)
    cerebro.adddata(Feed(dataname=bars))
    cerebro.addstrategy(LLMGuidedDQN, model=constant, guidance=guidance)
    (ran,) = cerebro.run()
    expected = constant.decide(bars, np.sign(guidance.tau(bars.index)))
    assert [entry.decision for entry in ran.decision_log] == expected.tolist()
    np.testing.assert_array_equal(expected, constant.decide(bars, guidance.tau(bars.index)))


@pytest.mark.parametrize("which", ["flat", "constant"])
def test_later_bars_change_nothing_before_them(bars, guidance, agent, constant, which):
    kind, params = (DQN, {"model": agent}) if which == "flat" else (LLMGuidedDQN, {"model": constant})
    if which == "constant":
        params["guidance"] = guidance
    whole = run_backtest(bars, kind, **params)
    for cut in (31, 44, 61, 78):
        changed = bars.copy()
        moved = np.exp(np.random.default_rng(cut).normal(0.0, 0.3, len(bars) - cut - 1))
        changed.iloc[cut + 1 :, :4] = changed.iloc[cut + 1 :, :4].mul(moved, axis=0)
        result = run_backtest(changed, kind, **params)
        assert result.account.iloc[: cut + 1].equals(whole.account.iloc[: cut + 1])
        assert result.decisions.loc[: bars.index[cut + 1]].equals(whole.decisions.loc[: bars.index[cut + 1]])


def test_flat_agrees_with_no_direction(bars, guidance, agent):
    aligned = guidance.align(bars.index)
    usage = measure_usage(agent, bars, bars, aligned, aligned)
    said, decided = aligned["direction"].to_numpy()[START:], agent.decide(bars)
    known = ~np.isnan(said)
    assert usage.agreement_test == pytest.approx(np.mean(decided[known] == said[known]))
    assert usage.agreement_test < 1 - np.mean(decided[known] == FLAT)


def test_a_mixture_takes_flat_for_an_opinion_as_bars_come_and_all_at_once(make_bars, agent):
    bars = make_bars(140, 3)
    expert = FollowAgent(agent, since=bars.index[40])
    sides = expert.sides(bars)
    decided = agent.decide(bars)
    np.testing.assert_array_equal(sides[40:], np.array([0.0 if d == FLAT else 2.0 * d - 1.0 for d in decided])[10:])
    assert 0.0 in sides[40:]
    mixed = llmguide.mix(bars, {"agent": expert, "hold": "hold"})
    for before in (0, 70):
        live = LiveMix({"agent": expert, "hold": "hold"}, history=bars.iloc[:before] if before else None)
        found, known = [], None
        for stamp, values in zip(bars.index.to_pydatetime(), bars[list(COLUMNS)].to_numpy(), strict=True):
            if stamp >= bars.index[before]:
                found.append(live.see(stamp, known).sides["agent"])
                known = Bar(stamp, values.tolist())
        np.testing.assert_array_equal(found, mixed.sides["agent"].iloc[before:])


def test_the_environment_has_the_third_action(bars, agent):
    env = TradingEnv(bars, scaler=agent.scaler, actions=3)
    assert env.action_space.n == 3
    observation, info = env.reset()
    values, over = [info["value"]], False
    while not over:
        action = int(np.argmax(agent.network(observation[None])[0]))
        observation, reward, over, _, info = env.step(action)
        assert set(info["untaken_rewards"]) == {0, 1, 2} - {action}
        values.append(info["value"])
    expected = simulate(bars, agent.decide(bars), flat=True)
    np.testing.assert_allclose(values[1:], expected["value"].iloc[START:], rtol=1e-12)
    assert reward == pytest.approx(expected["reward"].iloc[-1])
    for action in (0, 1, 2):  # the untaken rewards are those that the others have
        env.reset(options={"start": 40})
        _, own, _, _, info = env.step(action)
        for other, unfulfilled in info["untaken_rewards"].items():
            env.reset(options={"start": 40})
            assert env.step(other)[1] == unfulfilled
            assert env.step(other)[4]["untaken_rewards"].keys() == {0, 1, 2} - {other}
        assert own not in (None, np.nan)
    with pytest.raises(DataError, match=r"actions must be 1 \(long\) or 0 \(short\) or 2 \(flat\), got 3"):
        env.step(3)
    with pytest.raises(DataError, match="actions must be 2"):
        TradingEnv(bars, actions=4)


@pytest.mark.slow
def test_what_does_not_know_flat_says_so(bars, agent):
    with pytest.raises(DataError, match=r"-1 is among them.*where -1 is flat, pass flat=True"):
        simulate(bars, agent.decide(bars))
    with pytest.raises(DataError, match="2 is among them"):
        simulate(bars, np.full(len(bars) - START, 2), flat=True)
    with pytest.raises(LlmguideError, match="the rule 'blend' weighs long against short, and this agent has a third"):
        llmguide.sweep(bars, "blend", agent=agent, weight=0.0)
    own = llmguide.sweep(bars, agent.decide(bars))
    np.testing.assert_array_equal(own.decisions(), agent.decide(bars))


def test_decisions_of_two_actions_are_what_they_were(bars):
    assert set(averages(bars, 2, 9)) <= {0, 1}
    pd.testing.assert_frame_equal(simulate(bars, averages(bars, 2, 9)), simulate(bars, averages(bars, 2, 9), flat=True))
