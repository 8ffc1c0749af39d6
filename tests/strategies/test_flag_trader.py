"""FlagTrader does what the environment's walk does, whatever way Backtrader is made to run, and sees no later bar."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest
from text_policy import TextPolicy

from llmguide.backtest import BarsData, CloseFillBroker, SharpeDrawdown
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.evaluation import walk_flag
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.states.text import read_state_template
from llmguide.strategies import FlagTrader

START = 20


class LiveBars(BarsData):
    """Bars that arrive one by one, with a pause before every tenth."""

    def islive(self):
        return True

    def start(self):
        super().start()
        self._calls = 0

    def _load(self):
        self._calls += 1
        return None if self._calls % 10 == 0 else super()._load()


class Restless(TextPolicy):
    """Would rather do the opposite of what it did last, and asks for what is not possible, too."""

    def _numbers(self, state):
        numbers = super()._numbers(state)
        return np.sin(37.0 * numbers).astype(np.float32)


def trained(policy=None, *, template="flag", **settings) -> TrainedPolicy:
    return TrainedPolicy(policy or Restless(3), FlagConfig(**settings), read_state_template(template), 3, {})


def run(bars, *, broker=None, feed=BarsData, mode=None, cost=0.001, **params):
    cerebro = bt.Cerebro(stdstats=False, **(mode or {}))
    cerebro.broker = broker or CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=cost)
    cerebro.adddata(feed(dataname=bars))
    cerebro.addstrategy(FlagTrader, start=START, **params)
    cerebro.addanalyzer(SharpeDrawdown)
    (ran,) = cerebro.run()
    return ran, ran.analyzers.sharpedrawdown.account


@pytest.fixture(scope="module")
def case(make_bars):
    bars = make_bars(110, 4)
    model = trained()
    walked = walk_flag(model, bars, start=START)
    assert min((walked["action"] == action).sum() for action in (-1, 0, 1)) >= 5  # else little would be proved
    return bars, model, walked


@pytest.mark.parametrize("feed", [BarsData, LiveBars])
@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}, {"exactbars": -2}])
def test_actions_and_account_are_those_of_the_walk_in_every_mode(case, feed, mode):
    bars, model, walked = case
    ran, account = run(bars, feed=feed, mode=mode, model=model)
    assert [acted.date for acted in ran.action_log] == bars.index[START:].to_pydatetime().tolist()
    assert account["shares"].tolist()[START:] == walked["shares"].tolist()
    np.testing.assert_allclose(account["value"][START:], walked["value"], rtol=1e-12)
    probabilities = np.array([acted.probabilities for acted in ran.action_log])
    np.testing.assert_array_equal(probabilities, walked[["p_sell", "p_hold", "p_buy"]])
    held = [decided.decision for decided in ran.decision_log]
    assert held == [1 if shares else -1 for shares in walked["shares"]]
