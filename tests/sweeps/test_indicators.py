"""Guidance and agents as vectorbt indicators: the numbers of Guidance.align, of Agent, and of the sweep's rules."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from llmguide.errors import GuidanceError, LlmguideError, ModelError
from llmguide.sweeps import sweep

pytestmark = pytest.mark.slow  # importing vectorbt takes seconds, its first portfolio more


@pytest.fixture(scope="module")
def citizens():
    from llmguide.sweeps import indicators

    return indicators


def test_the_guidance_indicator_says_what_the_table_says(citizens, make_bars, make_guidance):
    bars = make_bars(120)
    table = make_guidance(bars)
    shown = citizens.GuidanceIndicator.run(bars["close"], guidance=table)
    aligned = table.align(bars.index)
    for name in ("direction", "confidence", "entropy", "strength", "tau"):
        pd.testing.assert_series_equal(getattr(shown, name), aligned[name], check_names=False, check_freq=False)


def test_its_decisions_are_those_of_the_rule_for_each_combination_and_column(citizens, make_bars, make_guidance):
    bars = make_bars(120)
    table = make_guidance(bars)
    close = pd.DataFrame({"A": bars["close"], "B": 2 * bars["close"]})
    shown = citizens.GuidanceIndicator.run(
        close, guidance=table, threshold=[0.0, 0.3], hold=[1.0, math.inf], param_product=True
    )
    assert shown.decision.shape == (120, 8)
    assert shown.decision.columns.names[-1] is None  # the columns of close
    swept = sweep(bars, "guidance", guidance=table, threshold=[0.0, 0.3], hold=[1.0, math.inf], start=1)
    for place, label in enumerate(swept.frame.index):
        for column in (2 * place, 2 * place + 1):
            np.testing.assert_array_equal(shown.decision.iloc[1:, column], swept.decisions(label))


@pytest.mark.parametrize("guided", [True, False])
def test_the_agent_indicator_has_its_gap_and_decides_as_it_does(
    citizens, make_bars, make_guidance, random_agent, guided
):
    bars = make_bars(120)
    agent, table = random_agent(bars, guided=guided), make_guidance(bars)
    prices = [bars[name] for name in ("close", "high", "low", "volume")]
    shown = citizens.AgentIndicator.run(*prices, agent=agent, guidance=table if guided else None)
    tau = table.tau(bars.index) if guided else None
    decided = agent.decide(bars, tau)
    np.testing.assert_array_equal(shown.decision[30:], decided)
    assert (shown.decision[:30] == -1).all()
    assert shown.gap[:30].isna().all()
    values, side = agent.q_table(bars, tau), 0
    for t, decision in enumerate(decided):
        assert shown.gap.iloc[30 + t] == values[t, side + 1, 1] - values[t, side + 1, 0]
        side = 1 if decision else -1


def test_weights_and_bands_are_those_of_the_blend(citizens, make_bars, make_guidance, random_agent):
    bars = make_bars(120)
    agent, table = random_agent(bars, guided=True), make_guidance(bars)
    prices = [bars[name] for name in ("close", "high", "low", "volume")]
    shown = citizens.AgentIndicator.run(*prices, agent=agent, guidance=table, weight=[0.3, 0.7], scale=1.0, band=0.1)
    swept = sweep(bars, "blend", agent=agent, guidance=table, weight=[0.3, 0.7], scale=1.0, band=0.1)
    for place, weight in enumerate((0.3, 0.7)):
        np.testing.assert_array_equal(shown.decision.iloc[30:, place], swept.decisions({"weight": weight}))


def test_a_user_of_vectorbt_can_trade_on_them(citizens, make_bars, make_guidance):
    import vectorbt as vbt

    bars = make_bars(120)
    followed = citizens.GuidanceIndicator.run(bars["close"], guidance=make_guidance(bars), threshold=[0.2, 0.5])
    portfolio = vbt.Portfolio.from_signals(
        bars["close"], followed.decision_equal(1), short_entries=followed.decision_equal(0), freq="1D"
    )
    assert portfolio.total_return().notna().all()
    assert portfolio.wrapper.shape == (120, 2)


def test_what_is_missing_is_said(citizens, make_bars, make_guidance, random_agent):
    bars = make_bars(60)
    prices = [bars[name] for name in ("close", "high", "low", "volume")]
    with pytest.raises(LlmguideError, match="trained with guidance; pass guidance="):
        citizens.AgentIndicator.run(*prices, agent=random_agent(bars, guided=True))
    with pytest.raises(LlmguideError, match="threshold lies between 0 and 1"):
        citizens.GuidanceIndicator.run(bars["close"], guidance=make_guidance(bars), threshold=2.0)
    with pytest.raises((GuidanceError, ModelError, LlmguideError)):
        citizens.GuidanceIndicator.run(bars["close"].tz_localize("UTC"), guidance=make_guidance(bars))
