"""One account through many strategies: that of an unbroken run, to the bit, and continuous at every seam."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide import guide, sample_bars, simulate
from llmguide.backtest import run_backtest
from llmguide.experiments.mixing import HoldPositions
from llmguide.experiments.walk_forward.relay import Leg, run_relay
from llmguide.strategies import DQN, BuyAndHold, LLMGuidedDQN, LLMOnly, TrendFollowing
from llmguide.strategies.base import AccountStrategy

BARS = sample_bars(years=1, seed=5)
BEGIN = 100
SEAMS = (100, 131, 190, 252)
WINDOWS = tuple(pairwise(SEAMS))
MONEY = {"cash": 50_000.0, "cost": 0.002}


class Scripted(AccountStrategy):
    """Carries out what is written for each bar."""

    params: ClassVar[Any] = (("script", ()),)

    def decide(self) -> int | None:
        return self.p.script[len(self.traded) - 1]


def relay(legs, bars=BARS):
    return run_relay(bars, legs, periods=252, **MONEY)


def signed(account):
    return account["side"] * account["shares"]


def same_as_unbroken(strategy, params, bars=BARS, windows=WINDOWS):
    """A strategy that hands over to itself is the strategy that goes through."""
    found = relay([Leg(strategy, params, window) for window in windows], bars)
    begin = windows[0][0]
    whole = run_backtest(bars, strategy, start=begin, periods=252, **MONEY, **params)
    pd.testing.assert_frame_equal(found.account, whole.account.iloc[begin:], check_freq=False)
    np.testing.assert_array_equal(found.decisions, whole.decisions)
    assert found.decisions.index.equals(whole.decisions.index)
    pd.testing.assert_frame_equal(found.orders.drop(columns=["leg", "ref"]), whole.orders.drop(columns="ref"))
    return found


@pytest.mark.parametrize(
    ("strategy", "params"),
    [(BuyAndHold, {}), (TrendFollowing, {"short": 3, "long": 20}), (LLMOnly, {"guidance": guide(BARS, "rules")})],
    ids=["hold", "trend", "llm"],
)
def test_a_relay_of_one_strategy_is_its_unbroken_run(strategy, params):
    same_as_unbroken(strategy, params)


@pytest.mark.parametrize("guided", [False, True])
def test_a_relay_of_one_agent_is_its_unbroken_run(guided, random_agent):
    agent = random_agent(BARS.iloc[:BEGIN], guided=guided)
    params = {"model": agent} | ({"guidance": guide(BARS, "rules")} if guided else {})
    same_as_unbroken(LLMGuidedDQN if guided else DQN, params)


def test_a_relay_of_positions_is_an_unbroken_run():
    positions = np.random.default_rng(0).uniform(-1.0, 1.0, len(BARS))
    same_as_unbroken(HoldPositions, {"positions": positions})


@given(data=st.data())
@settings(max_examples=25)
def test_a_relay_is_an_unbroken_run_wherever_the_seams_are(data):
    script = data.draw(st.lists(st.sampled_from([0, 1, None]), min_size=60, max_size=60))
    seams = sorted(data.draw(st.sets(st.integers(2, 59), min_size=1, max_size=5)))
    windows = tuple(zip([1, *seams], [*seams, 60], strict=True))
    same_as_unbroken(Scripted, {"script": script}, BARS.iloc[:60], windows)


def test_a_short_that_was_bought_back_whole_stays_short_beyond_the_seam():
    close = np.concatenate([np.full(20, 100.0), 100.0 * 1.12 ** np.arange(20)])
    bars = pd.DataFrame(
        dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1e6},
        index=pd.date_range("2020-01-01", periods=40, freq="D", name="date"),
    )
    found = same_as_unbroken(Scripted, {"script": [0] * 40}, bars, ((10, 30), (30, 40)))
    assert found.account["side"].eq(-1).all()
    assert found.account["shares"].iloc[-1] < found.account["shares"].iloc[0]


@pytest.mark.parametrize("arm", ["trend", "llm", "rl", "hold"])
def test_the_account_is_that_of_its_decisions(arm, random_agent):
    def leg(number, window):
        if arm == "trend":
            return Leg(TrendFollowing, {"short": 2 + number, "long": 10 + 7 * number}, window)
        if arm == "rl":
            return Leg(DQN, {"model": random_agent(BARS.iloc[: window[0]], guided=False, seed=number)}, window)
        return Leg(LLMOnly, {"guidance": guide(BARS, "rules")}, window) if arm == "llm" else Leg(BuyAndHold, {}, window)

    found = relay([leg(number, window) for number, window in enumerate(WINDOWS)])
    bars = BARS.iloc[: SEAMS[-1]]
    start = len(bars) - len(found.decisions)
    account = simulate(bars, found.decisions, start=start, **MONEY).iloc[BEGIN:]
    np.testing.assert_allclose(found.account["value"], account["value"], rtol=1e-9)
    np.testing.assert_array_equal(found.account["shares"], account["shares"])
    np.testing.assert_array_equal(found.account["side"], account["side"])


def test_agents_of_different_windows_decide_for_the_side_that_they_inherit(random_agent):
    agents = [random_agent(BARS.iloc[: window[0]], guided=False, seed=number) for number, window in enumerate(WINDOWS)]
    found = relay([Leg(DQN, {"model": agent}, window) for agent, window in zip(agents, WINDOWS, strict=True)])
    side, expected = 0, []
    for agent, (begin, end) in zip(agents, WINDOWS, strict=True):
        table = agent.q_table(BARS.iloc[:end], None)  # (bars - lookback, sides -1 0 +1, actions)
        for t in range(begin, end):
            short, long = table[t - agent.config.lookback, side + 1]
            expected.append(int(long > short))
            side = 1 if long > short else -1
    np.testing.assert_array_equal(found.decisions, expected)


def test_nothing_happens_at_a_seam_but_the_trade_of_its_bar(random_agent):
    agents = [random_agent(BARS.iloc[: window[0]], guided=False, seed=number) for number, window in enumerate(WINDOWS)]
    account = relay([Leg(DQN, {"model": agent}, window) for agent, window in zip(agents, WINDOWS, strict=True)]).account
    close = BARS["close"].iloc[BEGIN : SEAMS[-1]].to_numpy()
    held, cash, value = signed(account).to_numpy(), account["cash"].to_numpy(), account["value"].to_numpy()
    traded = np.diff(held) * close[1:]
    np.testing.assert_allclose(
        value[1:], cash[:-1] + held[:-1] * close[1:] - MONEY["cost"] * np.abs(traded), rtol=1e-12
    )
    at = [seam - BEGIN for seam in SEAMS[1:-1]]
    assert (held[np.array(at) - 1] != 0).all()  # there was something to hand over


def test_later_bars_change_nothing_before_them(random_agent):
    agents = [random_agent(BARS.iloc[:BEGIN], guided=False, seed=number) for number in range(len(WINDOWS))]
    legs = [Leg(DQN, {"model": agent}, window) for agent, window in zip(agents, WINDOWS, strict=True)]
    changed = BARS.copy()
    changed.iloc[150:] *= np.random.default_rng(0).uniform(0.5, 2.0, (len(BARS) - 150, 1))
    one, other = relay(legs), relay(legs, changed)
    pd.testing.assert_frame_equal(one.account.iloc[: 150 - BEGIN], other.account.iloc[: 150 - BEGIN])
    np.testing.assert_array_equal(one.decisions.iloc[: 151 - BEGIN], other.decisions.iloc[: 151 - BEGIN])
    assert not one.account.iloc[150 - BEGIN :].equals(other.account.iloc[150 - BEGIN :])
