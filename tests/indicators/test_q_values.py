"""Q-value lines against `Agent.q_table` over the whole frame."""

from __future__ import annotations

import itertools

import backtrader as bt
import numpy as np
import pytest

from llmguide.backtest import BarsData
from llmguide.errors import DataError, ModelError
from llmguide.indicators import LLMGuidance, QValues
from llmguide.indicators.q_values import TABLE
from llmguide.rl.agent import greedy_decisions
from llmguide.rl.checkpoint import save_agent


class LiveBars(BarsData):
    def islive(self):
        return True


class Keeps(bt.Strategy):
    """A user's own strategy that looks at the lines."""

    params = (("settings", {}), ("select", None))

    def __init__(self):
        self.q = QValues(self.data, **self.p.settings)
        self.first, self.table, self.path = None, [], []

    def next(self):
        self.first = len(self.data) - 1 if self.first is None else self.first
        if self.p.select is not None:
            self.q.select(self.p.select)
        lines = self.q.lines
        self.table.append([getattr(lines, name)[0] for name in TABLE])
        self.path.append([lines.side[0], lines.short[0], lines.long[0]])


def run(bars, *, feed=BarsData, select=None, mode=None, **settings):
    cerebro = bt.Cerebro(stdstats=False, **(mode or {}))
    cerebro.adddata(feed(dataname=bars))
    cerebro.addstrategy(Keeps, settings=settings, select=select)
    return cerebro.run()[0]


MODES = [
    {"runonce": runonce, "preload": preload, "exactbars": exactbars}
    for runonce, preload, exactbars in itertools.product([True, False], [True, False], [False, 1, -1, -2])
]


@pytest.mark.parametrize("feed", [BarsData, LiveBars])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("guided", [True, False])
def test_every_mode_has_the_table_of_the_whole_frame(bars, guidance, make_agent, guided, mode, feed):
    agent = make_agent(guided=guided)
    tau = guidance.tau(bars.index) if guided else None
    ran = run(bars, feed=feed, mode=mode, model=agent, guidance=guidance if guided else None)
    expected = agent.q_table(bars, tau)
    assert ran.first == 30
    np.testing.assert_allclose(np.array(ran.table).reshape(-1, 3, 2), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", MODES[::3])
def test_long_and_short_follow_the_agents_own_path(bars, guidance, make_agent, mode):
    for seed in range(100):
        agent = make_agent(guided=True, seed=seed)
        table = agent.q_table(bars, guidance.tau(bars.index))
        sides = np.concatenate([[0], 2 * greedy_decisions(table)[:-1].astype(int) - 1])
        if np.count_nonzero(np.diff(sides)) > 8:
            break
    else:
        pytest.fail("no agent changes its side often enough to prove anything")
    path = np.array(run(bars, mode=mode, model=agent, guidance=guidance).path)
    assert path[:, 0].tolist() == sides.tolist()
    np.testing.assert_allclose(path[:, 1:], table[np.arange(len(sides)), sides + 1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", MODES[::3])
@pytest.mark.parametrize("side", [-1, 0, 1])
def test_a_strategy_may_select_the_side_that_it_holds(bars, make_agent, mode, side):
    agent = make_agent(guided=False)
    ran = run(bars, mode=mode, select=side, model=agent)
    expected = agent.q_table(bars)[:, side + 1]
    np.testing.assert_allclose(np.array(ran.path)[:, 1:], expected, rtol=1e-12, atol=1e-13)


def test_paths_and_an_indicator_do_as_collaborators(bars, guidance, make_agent, tmp_path):
    agent = make_agent(guided=True)
    model = save_agent(agent, tmp_path / "agent.safetensors")
    table = guidance.save(tmp_path / "guidance.csv")
    expected = run(bars, model=agent, guidance=guidance).table
    assert run(bars, model=str(model), guidance=str(table)).table == expected

    class Shares(Keeps):
        def __init__(self):
            self.p.settings = {"model": model, "guidance": LLMGuidance(self.data, guidance=table)}
            super().__init__()

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addstrategy(Shares)
    (ran,) = cerebro.run()
    assert ran.table == expected
    assert ran.q.plotlabel() == "Q-values (agent.safetensors)"


@pytest.mark.parametrize("count", [1, 20, 30])
@pytest.mark.parametrize("mode", [{}, {"runonce": False}])
def test_bars_too_few_for_an_observation_give_no_value(bars, make_agent, count, mode):
    ran = run(bars.iloc[:count], mode=mode, model=make_agent(guided=False))
    assert ran.table == []


def test_thirty_one_bars_give_one_value(bars, make_agent):
    agent = make_agent(guided=False)
    ran = run(bars.iloc[:31], model=agent)
    np.testing.assert_allclose(np.ravel(ran.table), agent.q_table(bars)[0].ravel(), rtol=1e-12)


def test_guidance_and_agent_must_fit(bars, guidance, make_agent):
    with pytest.raises(ModelError, match="trained with guidance; give QValues guidance="):
        run(bars, model=make_agent(guided=True))
    with pytest.raises(ModelError, match="trained without guidance; give QValues no guidance"):
        run(bars, model=make_agent(guided=False), guidance=guidance)
    with pytest.raises(ModelError, match=r"QValues needs model=.*got None"):
        run(bars)


@pytest.mark.parametrize("mode", [{}, {"runonce": False}])
def test_a_hole_in_the_bars_is_an_error_and_not_a_short(bars, make_agent, mode):
    holed = bars.copy()
    holed.iloc[50, holed.columns.get_loc("low")] = np.nan
    with pytest.raises(DataError, match=r"has no low \(nan\) on bar 50, 2018-03-12, which the agent needs"):
        run(holed, mode=mode, model=make_agent(guided=False))
