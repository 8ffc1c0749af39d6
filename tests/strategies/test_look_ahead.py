"""Nothing up to the close of bar t depends on any bar after t, and no decision on bar t itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from momentum import Momentum

from llmguide.backtest import make_cerebro, run_backtest
from llmguide.guidance import Guidance
from llmguide.indicators.q_values import TABLE
from llmguide.mixture import FollowAgent, MovingAverages
from llmguide.strategies import DQN, BuyAndHold, LLMGuidedDQN, LLMOnly, MixtureOfExperts, SellAndHold

CUTS = (30, 31, 44, 61, 78)


@pytest.fixture(scope="module")
def setting(make_bars, make_agent, make_guidance):
    bars = make_bars(80, 6)
    guidance = make_guidance(bars)
    return {
        "bars": bars,
        "guidance": guidance,
        DQN: {"model": make_agent(bars)},
        LLMGuidedDQN: {"model": make_agent(bars, guidance.tau(bars.index)), "guidance": guidance},
        LLMOnly: {"guidance": guidance},
        BuyAndHold: {},
        SellAndHold: {},
        Momentum: {},
        MixtureOfExperts: {
            "experts": {
                "agent": FollowAgent(make_agent(bars), since=bars.index[35]),
                "guidance": guidance,
                "trend": MovingAverages(2, 9),
            }
        },
    }


def other_bars(bars: pd.DataFrame, *, after: int, seed: int) -> pd.DataFrame:
    """The same bars up to and including `after`, and quite different ones from there on."""
    random = np.random.default_rng(seed)
    changed = bars.copy()
    rest = changed.index[after + 1 :]
    factor = np.exp(random.normal(0.0, 0.3, len(rest)))
    for name in ("open", "high", "low", "close"):
        changed.loc[rest, name] *= factor
    changed.loc[rest, "volume"] = random.uniform(1.0, 50_000.0, len(rest))
    return changed


@pytest.mark.parametrize("fill", ["close", "next_open"])
@pytest.mark.parametrize("strategy", [DQN, LLMGuidedDQN, LLMOnly, BuyAndHold, SellAndHold, Momentum, MixtureOfExperts])
def test_later_bars_change_nothing_before_them(setting, strategy, fill):
    bars, params = setting["bars"], setting[strategy]
    whole = run_backtest(bars, strategy, fill=fill, reserve=0.9, **params)
    for cut in CUTS:
        result = run_backtest(other_bars(bars, after=cut, seed=cut), strategy, fill=fill, reserve=0.9, **params)
        assert result.account.iloc[: cut + 1].equals(whole.account.iloc[: cut + 1])
        # At the close, the decision on the next bar is known as well: it is taken from bars up to the cut. (With fills
        # at the open, whether the order was filled there is known too, and may matter.)
        last = bars.index[min(cut + (fill == "close"), len(bars) - 1)]
        assert result.decisions.loc[:last].equals(whole.decisions.loc[:last])


@pytest.mark.parametrize("limits", [{"long_only": True}, {"max_leverage": 0.4}, {"max_leverage": 0.4, "band": 0.0}])
def test_later_bars_change_nothing_before_them_under_limits_either(setting, limits):
    bars, params = setting["bars"], setting[LLMGuidedDQN] | limits
    whole = run_backtest(bars, LLMGuidedDQN, **params)
    for cut in CUTS:
        result = run_backtest(other_bars(bars, after=cut, seed=cut), LLMGuidedDQN, **params)
        assert result.account.iloc[: cut + 1].equals(whole.account.iloc[: cut + 1])
        last = bars.index[min(cut + 1, len(bars) - 1)]
        assert result.decisions.loc[:last].equals(whole.decisions.loc[:last])


@pytest.mark.parametrize("runonce", [True, False])
@pytest.mark.parametrize("strategy", [DQN, LLMGuidedDQN])
def test_q_values_on_a_bar_use_the_bars_before_it_and_not_itself(setting, strategy, runonce):
    def q_values(bars):
        cerebro = make_cerebro(bars, strategy, **setting[strategy])
        (ran,) = cerebro.run(runonce=runonce)
        return np.array([getattr(ran.q_values.lines, name).array for name in TABLE])

    bars = setting["bars"]
    whole = q_values(bars)
    assert np.isnan(whole[:, :30]).all()
    for cut in CUTS[:-1]:
        changed = q_values(other_bars(bars, after=cut, seed=cut))
        # Up to the bar after the cut nothing may change, from the next one on everything must.
        assert (changed[:, 30 : cut + 2] == whole[:, 30 : cut + 2]).all()
        assert (changed[:, cut + 2 :] != whole[:, cut + 2 :]).all()


def test_later_guidance_changes_nothing_before_it(setting):
    bars, guidance = setting["bars"], setting["guidance"]
    cut = 50
    day = bars.index[cut]
    kept = [row._asdict() for row in guidance.rows if row.issued_at <= day]
    opposite = [
        {"issued_at": later, "direction": 0, "confidence": 3, "entropy": 0.0} for later in bars.index[cut + 1 :: 3]
    ]
    changed = Guidance.from_rows([*kept, *opposite])
    mixed = {"experts": setting[MixtureOfExperts]["experts"] | {"guidance": changed}}
    for strategy in (LLMOnly, LLMGuidedDQN, MixtureOfExperts):
        params = setting[strategy]
        other = mixed if strategy is MixtureOfExperts else {"guidance": changed}
        one = run_backtest(bars, strategy, **params)
        two = run_backtest(bars, strategy, **{**params, **other})
        assert one.account.iloc[: cut + 1].equals(two.account.iloc[: cut + 1])
        assert not one.account.equals(two.account)
