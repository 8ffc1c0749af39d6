"""What each strategy decides, and what it refuses."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from llmguide import simulate
from llmguide.backtest import BarsData, CloseFillBroker, SharpeDrawdown, run_backtest
from llmguide.errors import DataError, DataWarning, GuidanceError, LlmguideError, ModelError
from llmguide.guidance import Guidance
from llmguide.rl.checkpoint import save_agent
from llmguide.strategies import DQN, BuyAndHold, LLMGuidedDQN, LLMOnly, SellAndHold


def test_hold_and_sell_are_the_benchmarks_baselines(make_bars):
    bars = make_bars(80, 0)
    for strategy, decision in ((BuyAndHold, 1), (SellAndHold, 0)):
        result = run_backtest(bars, strategy)
        assert (result.decisions == decision).all()
        np.testing.assert_allclose(result.values, simulate(bars, [decision] * 50)["value"], rtol=1e-12)


@pytest.mark.parametrize("kind", ["agent", "path"])
def test_the_agents_decide_as_they_do_over_the_whole_frame(make_bars, make_agent, make_guidance, tmp_path, kind):
    bars = make_bars(90, 2)
    guidance = make_guidance(bars)
    tau = guidance.tau(bars.index)
    rl, hybrid, table = make_agent(bars), make_agent(bars, tau), guidance
    if kind == "path":
        rl, hybrid = (save_agent(agent, tmp_path / f"{agent.guided}.safetensors") for agent in (rl, hybrid))
        table = str(guidance.save(tmp_path / "guidance.csv"))
    expected = make_agent(bars).decide(bars), make_agent(bars, tau).decide(bars, tau)
    assert run_backtest(bars, DQN, model=rl).decisions.tolist() == expected[0].tolist()
    result = run_backtest(bars, LLMGuidedDQN, model=hybrid, guidance=table)
    assert result.decisions.tolist() == expected[1].tolist()


def test_llm_only_follows_the_direction_and_keeps_its_side_without_one(make_bars):
    bars = make_bars(60, 0)
    guidance = Guidance.from_rows(
        [
            {"issued_at": bars.index[33], "direction": 1, "confidence": 1},
            {"issued_at": bars.index[40], "direction": None, "confidence": None},
            {"issued_at": bars.index[45], "direction": 0, "confidence": 3},
            {"issued_at": bars.index[50], "direction": None, "confidence": None},
        ]
    )
    result = run_backtest(bars, LLMOnly, guidance=guidance)
    assert result.sides.tolist() == [0] * 33 + [1] * 12 + [-1] * 15
    assert result.decisions.tolist() == [1] * 12 + [0] * 15
    assert result.decisions.index[0] == bars.index[33]
    np.testing.assert_allclose(result.values, simulate(bars, result.decisions, start=33)["value"], rtol=1e-12)


def test_guidance_issued_in_the_idle_bars_is_in_force_at_the_first_decision(make_bars):
    bars = make_bars(40, 0)
    guidance = Guidance.from_rows([{"issued_at": bars.index[5], "direction": 0, "confidence": 3}])
    result = run_backtest(bars, LLMOnly, guidance=guidance)
    assert result.sides.tolist() == [0] * 30 + [-1] * 10


@pytest.mark.parametrize(
    ("day", "message"),
    [("2030-01-01", "no bar saw any guidance; it begins 2030"), ("2001-01-01", "all bars saw the same guidance")],
)
def test_guidance_of_another_time_is_reported(make_bars, make_agent, day, message):
    bars = make_bars(60, 0)
    guidance = Guidance.from_rows([{"issued_at": day, "direction": 1, "confidence": 3}])
    agent = make_agent(bars, np.zeros(len(bars)))
    with pytest.warns(DataWarning, match=message):
        run_backtest(bars, LLMOnly, guidance=guidance)
    with pytest.warns(DataWarning, match=message):
        run_backtest(bars, LLMGuidedDQN, guidance=guidance, model=agent)


def test_an_empty_table_is_reported(make_bars):
    with pytest.warns(DataWarning, match="the guidance has no rows"):
        run_backtest(make_bars(60, 0), LLMOnly, guidance=Guidance(()))


def test_missing_and_wrong_collaborators_are_refused(make_bars, make_agent, make_guidance, tmp_path):
    bars = make_bars(60, 0)
    guidance = make_guidance(bars)
    rl, hybrid = make_agent(bars), make_agent(bars, guidance.tau(bars.index))
    stored = save_agent(rl, tmp_path / "rl.safetensors")
    refused = [
        (DQN, {}, ModelError, "DQN needs model=, an agent or the path"),
        (DQN, {"model": 3}, ModelError, "DQN needs model=.*got 3"),
        (DQN, {"model": hybrid}, ModelError, "needs an agent trained without guidance.*use LLMGuidedDQN"),
        (DQN, {"model": tmp_path / "none.safetensors"}, ModelError, "there is no checkpoint"),
        (LLMGuidedDQN, {"model": rl, "guidance": guidance}, ModelError, "trained with guidance.*use DQN"),
        (LLMGuidedDQN, {"model": stored, "guidance": guidance}, ModelError, "use DQN"),
        (LLMGuidedDQN, {"model": hybrid}, GuidanceError, "LLMGuidedDQN needs guidance="),
        (LLMOnly, {}, GuidanceError, "LLMOnly needs guidance="),
        (LLMOnly, {"guidance": tmp_path / "none.csv"}, GuidanceError, "no guidance file"),
        (LLMOnly, {"guidence": guidance}, LlmguideError, "no parameter 'guidence'.*did you mean 'guidance'"),
    ]
    for strategy, params, error, message in refused:
        with pytest.raises(error, match=message):
            run_backtest(bars, strategy, **params)


def test_a_hole_in_what_the_agent_observes_is_refused(make_bars, make_agent):
    bars = make_bars(60, 0)
    agent = make_agent(bars)
    holed = bars.copy()
    holed.iloc[40, holed.columns.get_loc("volume")] = np.nan
    with pytest.raises(DataError, match=r"has no volume \(nan\) on bar 40, 2018-02-26, which the agent needs"):
        run_backtest(holed, DQN, model=agent)


@pytest.mark.parametrize("exactbars", [False, 1])
def test_a_users_own_script_needs_nothing_else_of_llmguide(make_bars, make_agent, make_guidance, tmp_path, exactbars):
    """Backtrader's feed, broker and observers as they come."""
    bars = make_bars(90, 2)
    guidance = make_guidance(bars)
    agent = make_agent(bars, guidance.tau(bars.index))
    model = save_agent(agent, tmp_path / "hybrid-0.safetensors")
    cerebro = bt.Cerebro(exactbars=exactbars)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(LLMGuidedDQN, model=str(model), guidance=str(guidance.save(tmp_path / "aapl.parquet")))
    cerebro.addanalyzer(bt.analyzers.DrawDown)
    (ran,) = cerebro.run()
    # The side depends on the fills; given it, the decision is the agent's.
    table = agent.q_table(bars, guidance.tau(bars.index))
    first = ran.decision_log[0]
    assert first.decision == table[0, 1].argmax()
    assert len(ran.decision_log) == 60
    assert len({decided.decision for decided in ran.decision_log}) == 2
    assert not {"Margin", "Rejected"} & {order.getstatusname() for order in ran._orders}
    assert any(order.getstatusname() == "Completed" for order in ran._orders)


def test_optstrategy_with_two_processes_gives_what_single_runs_give(make_bars, make_agent, make_guidance, tmp_path):
    bars = make_bars(90, 2)
    tables, models = [], []
    for seed in range(2):
        guidance = make_guidance(bars, seed=seed)
        tables.append(str(guidance.save(tmp_path / f"{seed}.parquet")))
        agent = make_agent(bars, guidance.tau(bars.index))
        models.append(str(save_agent(agent, tmp_path / f"{seed}.safetensors")))
    cerebro = bt.Cerebro(maxcpus=2)
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addanalyzer(SharpeDrawdown)
    cerebro.optstrategy(LLMGuidedDQN, model=models, guidance=tables)
    found = {}
    for (run,) in cerebro.run():
        found[run.params.model, run.params.guidance] = run.analyzers.sharpedrawdown
    assert len(found) == 4
    for (model, table), analyzer in found.items():
        alone = run_backtest(bars, LLMGuidedDQN, model=model, guidance=table)
        pd.testing.assert_frame_equal(analyzer.account, alone.account, check_freq=False)
        assert analyzer.get_analysis()["sharpe"] == alone.sharpe
    assert len({analyzer.get_analysis()["sharpe"] for analyzer in found.values()}) > 1
